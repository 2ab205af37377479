//! The service: engine, sources and HTTP server together, from the plan to the last commit.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use highwater_dataflow::Clock;
use highwater_dataflow::latency::Latency;
use highwater_ingest::http::{self, HttpCounters};
use highwater_ingest::journal::PartitionSpec;
use highwater_sinks::channel::Channel;
use highwater_sinks::wallboard::{Shown, Wallboard};
use highwater_sinks::{Listener, ViewReaders};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::belongs::Belongs;
use crate::clock::WallClock;
use crate::cluster;
use crate::drive::Road;
use crate::engine::{self, Engine, Parts};
use crate::gauges::Gauges;
use crate::heard::Door;
use crate::plan::{Plan, journal_in};
use crate::site::{Running, Site};
use crate::stop::Stop;
use crate::why::Asked;

/// How often the engine is asked whether it still works.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Runs a plan until Ctrl-C or SIGTERM, then finishes what was accepted. `ready` is told where it listens.
///
/// A second Ctrl-C ends the process at once: the journal loses nothing by it.
/// Errors: it cannot start (a port that is taken, a journal in use), or a part of it failed.
pub(crate) fn run(plan: Plan, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    run_watched(plan, &Stop::default(), |_| Vec::new(), ready)
}

/// As [`run`], until `stop` is said too; the listeners that `watch` makes hear of every commit after the page does.
pub(crate) fn run_watched(
    plan: Plan,
    stop: &Stop,
    watch: impl FnOnce(&Wallboard) -> Vec<Box<dyn Listener>>,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the HTTP server's threads")?;
    let _entered = runtime.enter();
    let mut signals = Signals::new()?;
    // The port comes first: of two services started by mistake the second says so before it touches any data.
    let listen = plan.http.config.listen;
    let listener = runtime.block_on(TcpListener::bind(listen)).with_context(|| {
        format!(
            "cannot listen on {listen}\nhint: another program may have it; choose another address"
        )
    })?;
    let address = listener.local_addr().context("cannot tell where we listen")?;
    make_dir(&plan.data_dir)?;

    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let latency = Arc::new(Latency::default());
    let views = engine::views(&[]);
    let shown = Shown::page(plan.wallboard.rows_max);
    let wallboard = Wallboard::new(&views, shown, latency.clone(), clock.clone());
    let mut listeners: Vec<Box<dyn Listener>> = vec![Box::new(wallboard.clone())];
    listeners.extend(watch(&wallboard));
    let sinks_path = plan.sinks.path.clone();
    let (idle_after, quiet_delay) = (plan.journal.idle_after, plan.journal.quiet_delay_ms);
    let settings = plan.settings.clone();
    let belongs = Belongs {
        url: plan.cluster.as_ref().map(|cluster| cluster.url(address)).unwrap_or_default(),
        cluster: plan.cluster.clone(),
        data_dir: Some(plan.data_dir.clone()),
        adopt: plan.adopt.iter().map(|dir| (dir.clone(), journal_in(dir))).collect(),
    };
    let parts = Parts {
        belongs,
        journal_dir: plan.journal_dir(),
        journal: plan.journal,
        dataflow: highwater_dataflow::Options {
            workers: plan.workers,
            ..highwater_dataflow::Options::default()
        },
        settings: plan.settings,
        only: Vec::new(),
        sinks: plan.sinks,
        changelog: plan.changelog,
        channels: channels(&plan.alerts)?,
        listeners,
        disk: engine::real_disk,
        reached: None,
        checkpoints: Some(plan.checkpoints),
        clock: clock.clone(),
        latency: latency.clone(),
    };
    let readers = Arc::new(ViewReaders::new(sinks_path, clock.clone()));
    let site = Site {
        config: plan.wallboard,
        wallboard: wallboard.clone(),
        views,
        readers: readers.clone(),
        latency: latency.clone(),
        authorizer: plan.http.authorizer.clone(),
        clock: clock.clone(),
        running: Arc::default(),
    };
    let page = site.routes();
    let config = plan.http.config.clone();
    // The others may be long in coming.
    let (listener, meanwhile) = match &plan.cluster {
        None => (listener, None),
        Some(cluster) => {
            let (listener, same) = twice(listener).context("cannot listen")?;
            let page =
                if cluster.process == 0 { page.clone() } else { cluster::router(None, &page) };
            let config = config.clone();
            let serve = async move {
                let never = std::future::pending();
                http::serve(same, cluster::waiting(page), &config, never).await;
            };
            (listener, Some(runtime.spawn(serve)))
        }
    };
    let Some(engine) = runtime.block_on(signals.unless_ended(move || Engine::start(parts))) else {
        info!("stopped before the other processes were there");
        return Ok(());
    };
    let engine = engine?;

    info!(resumed = engine.resumed.is_some(), "engine started");
    if let Some(meanwhile) = meanwhile {
        // Requests in work are answered; connections then end, and come to whom is there now.
        meanwhile.abort();
    }
    let road = Road::to(&engine, &clock, idle_after);
    let heard = road.heard.clone();
    let counters = Arc::new(HttpCounters::default());
    let gauges = Arc::new(Gauges {
        clock: clock.clone(),
        writer: engine.writer.clone(),
        control: engine.control.clone(),
        fed: engine.fed.clone(),
        heard: heard.clone(),
        http: counters.clone(),
    });
    let max_future_ms = plan.http_future_ms;
    // Recordings first: from their registration on they hold the watermark, before anything else can move it.
    let sources: Vec<_> =
        plan.sources.into_iter().map(|source| (source.register(&road), source)).collect();
    let register = |name: &str| {
        let spec = PartitionSpec { max_future_ms, ..PartitionSpec::live(name, "http") };
        let partition = road.writer.register_partition(spec);
        heard.expect(partition, name);
        partition
    };
    let door = Arc::new(Door { writer: engine.writer.clone(), heard: heard.clone() });
    let ingest = http::router(plan.http, door, clock.clone(), counters, register);
    let asked = Asked {
        gauges: gauges.clone(),
        readers,
        settings,
        idle_after: idle_after.as_millis().try_into().unwrap_or(i64::MAX),
        quiet_delay,
    };
    site.runs(Running { gauges, why: asked.why_fn() });
    let reads = match engine.owner_url.clone() {
        None => page,
        owner => cluster::router(owner, &page),
    };
    let drivers: Vec<_> = sources
        .into_iter()
        .map(|(partitions, source)| source.start(partitions, road.clone()))
        .collect();

    ready(address);
    let mut broken = None;
    let shutdown = async {
        broken = signals.wait_for_end(&engine, stop).await;
        info!("stopping: finishing what was accepted");
        road.stop.say();
        wallboard.close();
        tokio::spawn(signals.exit_on_second(broken.is_none()));
    };
    runtime.block_on(http::serve(listener, ingest.merge(reads), &config, shutdown));
    for driver in drivers {
        if driver.join().is_err() {
            warn!("a source's thread failed");
        }
    }
    let finished = engine.finish();
    match broken {
        // What broke it says more than what was left unfinished by it.
        Some(error) => Err(error.context("the service cannot go on")),
        None => finished,
    }
}

/// Opens the alert channels; secrets come from the environment.
fn channels(configs: &[highwater_sinks::channel::ChannelConfig]) -> Result<Vec<Box<dyn Channel>>> {
    let env = |name: &str| std::env::var(name).ok();
    configs.iter().map(|config| config.open(&env).context("cannot open an alert channel")).collect()
}

/// Two handles on one listening socket: whoever calls is answered by whichever of them is served.
fn twice(listener: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let listener = listener.into_std()?;
    let same = listener.try_clone()?;
    Ok((TcpListener::from_std(listener)?, TcpListener::from_std(same)?))
}

fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the data directory {}", dir.display()))
}

/// The two signals that mean "finish".
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let on = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn one(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Does `start` on a thread of its own; `None` when a signal comes first, and then nobody waits for it.
    async fn unless_ended<T: Send + 'static>(
        &mut self,
        start: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, started) = tokio::sync::oneshot::channel();
        // Nobody may be left to hear of it.
        std::thread::spawn(move || drop(done.send(start())));
        tokio::select! {
            () = self.one() => None,
            started = started => Some(started.expect("the start does not panic")),
        }
    }

    /// Waits for a signal or the word to stop (`None`), or until the engine is broken, and says why.
    async fn wait_for_end(&mut self, engine: &Engine, stop: &Stop) -> Option<anyhow::Error> {
        let mut check = tokio::time::interval(CHECK_EVERY);
        loop {
            tokio::select! {
                () = self.one() => return None,
                _ = check.tick() => {}
            }
            if let Some(reason) = engine.broken() {
                return Some(reason);
            }
            if stop.said() {
                return None;
            }
        }
    }

    /// Ends the process at once when it is asked for the second time; `asked`: it was asked once already. What ends
    /// because another process was lost was not.
    async fn exit_on_second(mut self, asked: bool) {
        if !asked {
            self.one().await;
        }
        self.one().await;
        warn!("stopped at once; the journal has everything that was accepted");
        std::process::exit(130);
    }
}
