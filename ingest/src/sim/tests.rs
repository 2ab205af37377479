//! The simulated center behaves like a center, and its feed like a feed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use highwater_model::{AbandonStage, AgentState, Event, EventKey, decode};

use super::config::{DAY, HOUR, MINUTE};
use super::*;

type Feed = [Vec<(EventTime, Intake)>; 3];

fn small(seed: u64) -> SimConfig {
    SimConfig { agents: 60, seed, drift_every_ms: HOUR, ..SimConfig::default() }
}

/// All that arrives up to `until`, per lane with the source's clock, polled every `step`.
fn feed(config: SimConfig, until: EventTime, step: Millis) -> Feed {
    let start_at = config.start_at;
    let mut simulation = Simulation::open(config, &[]).unwrap();
    let mut feed: Feed = Default::default();
    let mut now = start_at;
    while now <= until {
        drain(&mut simulation, now, &mut feed);
        now += step;
    }
    feed
}

fn drain(simulation: &mut Simulation, now: EventTime, feed: &mut Feed) {
    let mut out = Vec::new();
    loop {
        let polled = simulation.poll(now, &mut out).unwrap();
        assert!(out.len() <= POLL_MAX);
        feed[polled.partition].extend(out.drain(..).map(|intake| (polled.received_at, intake)));
        match polled.next {
            Next::Ready => {}
            Next::At(at) => return assert!(now < at),
            Next::Done => panic!("a center never ends"),
        }
    }
}

fn raw(feed: &Feed) -> Vec<Vec<&[u8]>> {
    feed.iter().map(|lane| lane.iter().map(|(_, intake)| intake.raw.as_slice()).collect()).collect()
}

/// Every event of a well-behaved feed in order of time.
fn events(config: SimConfig, until: EventTime) -> Vec<(EventTime, Event)> {
    let feed = feed(config.well_behaved(), until, until);
    let mut events: Vec<(EventTime, Event)> = Vec::new();
    for (_, intake) in feed.into_iter().rev().flatten() {
        let envelope = intake.decoded.unwrap();
        events.push((envelope.at, envelope.event));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// From midnight to that hour of the first day, in one poll.
fn until_hour(mut config: SimConfig, hour: i64) -> (SimConfig, EventTime) {
    config.start_at = config.midnight_at + hour * HOUR;
    let until = config.start_at;
    (config, until)
}

#[test]
fn a_seed_gives_one_feed_however_it_is_polled() {
    let config = SimConfig { start_at: SimConfig::default().midnight_at, ..small(7) };
    let until = config.midnight_at + 10 * HOUR;
    let once = feed(config.clone(), until, 10 * HOUR);
    let often = feed(config.clone(), until, 2_000);
    assert!(raw(&once) == raw(&often));
    assert!(once.iter().all(|lane| 100 < lane.len()));
    let other = feed(SimConfig { seed: 8, ..config }, until, 10 * HOUR);
    assert!(raw(&once) != raw(&other));
}

#[test]
fn a_restart_goes_on_after_the_last_event() {
    let (config, start_at) = until_hour(small(3), 9);
    let mut simulation = Simulation::open(config.clone(), &[]).unwrap();
    let mut before: Feed = Default::default();
    drain(&mut simulation, start_at, &mut before);
    let resume: Vec<Option<u64>> =
        (0..3).map(|lane| before[lane].last().map(|(_, intake)| intake.position)).collect();
    assert_eq!(resume, (0..3).map(|lane| Some(simulation.position(lane))).collect::<Vec<_>>());
    let mut uninterrupted: Feed = Default::default();
    drain(&mut simulation, start_at + HOUR, &mut uninterrupted);

    // Somebody restarts it a day later on their own clock.
    let mut resumed = Simulation::open(config.clone(), &resume).unwrap();
    let mut after: Feed = Default::default();
    drain(&mut resumed, start_at + DAY, &mut after);
    let gap = start_at - resumed.simulated(start_at + DAY);
    assert!((0..MINUTE).contains(&gap), "simulated time goes on where it was");
    drain(&mut resumed, start_at + DAY + gap + HOUR, &mut after);
    assert!(raw(&after) == raw(&uninterrupted));

    // A center so small that it takes no time to find that it never gets there.
    let tiny = SimConfig { agents: 1, snapshot_every_ms: DAY, ..config };
    let wrong = Simulation::open(tiny, &[None, Some(u64::MAX)]).err().unwrap();
    assert!(wrong.to_string().contains("position"), "{wrong}");
}

#[test]
fn the_feed_misbehaves_as_much_as_it_is_told_to() {
    let (config, until) = until_hour(SimConfig { agents: 150, ..small(2) }, 22);
    let feed = feed(config, until, DAY);
    let (mut seen, mut duplicates) = (BTreeSet::new(), 0);
    let (mut newest, mut behind, mut far_behind) = (0, 0, 0);
    for (received_at, intake) in feed[0].iter().chain(&feed[1]) {
        let envelope = intake.decoded.as_ref().unwrap();
        assert!(envelope.at <= *received_at, "nothing comes from the future");
        if !seen.insert(envelope.key) {
            duplicates += 1;
            continue;
        }
        newest =
            if envelope.at < newest - 12 * HOUR { envelope.at } else { newest.max(envelope.at) };
        behind += i32::from(envelope.at < newest);
        far_behind += i32::from(envelope.at < newest - 2 * MINUTE);
    }
    let distinct = seen.len() as f64;
    assert!(30_000.0 < distinct, "{distinct} events");
    let share = |count: i32| f64::from(count) / distinct;
    assert!((0.004..0.006).contains(&share(duplicates)), "{duplicates} of {distinct} twice");
    assert!((0.045..0.06).contains(&share(behind)), "{behind} of {distinct} out of order");
    assert!((0.004..0.006).contains(&share(far_behind)), "{far_behind} of {distinct} late");
}

#[test]
fn reference_data_come_first_and_every_event_is_understood() {
    let (config, until) = until_hour(small(4), 8);
    let mut simulation = Simulation::open(config, &[]).unwrap();
    let mut out = Vec::new();
    assert_eq!(simulation.poll(until, &mut out).unwrap().partition, Lane::Wfm as usize);
    let mut feed: Feed = Default::default();
    drain(&mut simulation, until, &mut feed);
    for intake in out.iter().chain(feed.iter().flatten().map(|(_, intake)| intake)) {
        let decoded = decode(&intake.raw).unwrap();
        assert_eq!((decoded.unknown_fields, decoded.unknown_values), (0, 0));
    }
}

#[derive(Debug)]
struct Life {
    arrived_at: EventTime,
    answered_at: Option<EventTime>,
    ended: bool,
}

#[test]
fn contacts_and_agents_lead_consistent_lives() {
    let (config, until) = until_hour(SimConfig { agents: 120, ..small(5) }, 47);
    let mut contacts: BTreeMap<_, Life> = BTreeMap::new();
    let mut agents: BTreeMap<_, (AgentState, EventTime, Option<_>)> = BTreeMap::new();
    let mut seen: BTreeSet<AgentState> = BTreeSet::new();
    let (mut completed, mut abandoned) = (0, 0);
    for (at, event) in events(config, until) {
        match event {
            Event::ContactArrival(arrival) => {
                let life = Life { arrived_at: at, answered_at: None, ended: false };
                assert!(contacts.insert(arrival.contact, life).is_none(), "arrives once");
            }
            Event::AgentStateChange(change) => {
                let (state, since, with) = agents
                    .insert(change.agent.clone(), (change.new, at, change.contact.clone()))
                    .unwrap_or((AgentState::Offline, at, None));
                assert_eq!(state, change.previous, "{change:?}");
                assert!(since <= at);
                seen.insert(change.new);
                if change.new == AgentState::OnCall && change.previous != AgentState::Hold {
                    assert_eq!(state, AgentState::Available, "only the available are called");
                    let life = contacts.get_mut(change.contact.as_ref().unwrap()).unwrap();
                    assert!(life.answered_at.replace(at).is_none(), "answered once");
                } else if matches!(
                    change.new,
                    AgentState::Hold | AgentState::Acw | AgentState::OnCall
                ) {
                    assert_eq!(with, change.contact, "one call at a time");
                }
            }
            Event::ContactComplete(end) => {
                let life = contacts.get_mut(&end.contact).unwrap();
                assert!(!std::mem::replace(&mut life.ended, true));
                let answered_at = life.answered_at.unwrap();
                assert_eq!(end.wait_ms, Some(answered_at - life.arrived_at));
                assert_eq!(end.handle_ms, at - answered_at);
                assert_eq!(end.handle_ms, end.talk_ms + end.hold_ms + end.acw_ms);
                completed += 1;
            }
            Event::ContactAbandoned(end) => {
                let life = contacts.get_mut(&end.contact).unwrap();
                assert!(!std::mem::replace(&mut life.ended, true) && life.answered_at.is_none());
                assert_eq!((end.wait_ms, end.stage), (at - life.arrived_at, AbandonStage::Queue));
                abandoned += 1;
            }
            Event::QueueUpdate(queue) => {
                let counts = [
                    queue.contacts_waiting,
                    queue.longest_wait_s,
                    queue.agents_available,
                    queue.agents_on_call,
                    queue.agents_acw,
                    queue.agents_aux,
                ];
                assert!(counts.iter().all(|count| 0 <= *count), "{queue:?}");
                assert!(counts[2..].iter().all(|count| *count <= 120), "{queue:?}");
            }
            _ => {}
        }
    }
    assert!(agents.values().all(|(state, ..)| *state == AgentState::Offline), "all went home");
    let open = contacts.values().filter(|life| !life.ended).count();
    assert!(open * 50 < completed, "{open} contacts, mails, are left overnight of {completed}");
    assert!(abandoned * 10 < completed, "{abandoned} abandoned, {completed} answered");
    let states = ["away", "break", "hold", "lunch", "meeting", "not-responding", "training"];
    for state in states.map(|name| AgentState::parse(name).unwrap()) {
        assert!(seen.contains(&state), "nobody was ever {state:?}");
    }
}

#[test]
fn schedules_have_no_gaps_and_edits_replace_them() {
    let (config, until) =
        until_hour(SimConfig { agents: 200, edits_per_agent: 0.5, ..small(6) }, 22);
    let mut versions: BTreeMap<_, i64> = BTreeMap::new();
    let (mut retroactive, mut excused) = (0, 0);
    for (at, event) in events(config, until) {
        let Event::ScheduleUpdate(update) = event else { continue };
        assert!(update.activities.iter().all(|activity| activity.start_at < activity.end_at));
        let touching = |pair: &[highwater_model::Activity]| pair[0].end_at == pair[1].start_at;
        assert!(update.activities.windows(2).all(touching), "{update:?}");
        let version = versions.entry(update.shift.clone()).or_default();
        assert_eq!(update.version, *version + 1, "{update:?}");
        *version = update.version;
        let past = |code: &str| {
            update.activities.iter().any(|activity| {
                activity.code.as_str() == code && activity.end_at <= at && 1 < update.version
            })
        };
        retroactive += i32::from(past("coaching"));
        excused += i32::from(past("meeting"));
    }
    assert!(300 < versions.len(), "today's and tomorrow's shifts: {}", versions.len());
    assert!(5 < retroactive && 5 < excused, "{retroactive} explained, {excused} excused");
}

#[test]
fn a_silent_history_leaves_a_floor_that_is_known() {
    let (config, until) = until_hour(SimConfig { agents: 120, ..small(9) }, 11);
    let from = until - 30 * MINUTE;
    let all = events(config.clone(), until);
    let short = events(SimConfig { history_from: Some(from), ..config }, until);
    assert!(short.len() * 2 < all.len());

    let states = |events: &[(EventTime, Event)]| -> BTreeMap<String, AgentState> {
        let changes = events.iter().filter_map(|(_, event)| match event {
            Event::AgentStateChange(change) => Some((change.agent.to_string(), change.new)),
            _ => None,
        });
        changes.filter(|(_, state)| *state != AgentState::Offline).collect()
    };
    let known = states(&short);
    assert!(60 < known.len());
    assert!(
        states(&all)
            .iter()
            .all(|(agent, state)| { known.get(agent).is_none_or(|known| known == state) })
    );
    let arrived: BTreeSet<_> = short
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ContactArrival(arrival) => Some(arrival.contact.clone()),
            _ => None,
        })
        .collect();
    for (at, event) in &short {
        match event {
            Event::ContactComplete(end) => assert!(arrived.contains(&end.contact)),
            Event::ContactAbandoned(end) => assert!(arrived.contains(&end.contact)),
            Event::QueueUpdate(_) => assert!(from <= *at),
            _ => {}
        }
    }
}

#[test]
fn nothing_is_forecast_of_intervals_that_are_not_told() {
    let (config, start_at) = until_hour(SimConfig { agents: 120, ..small(9) }, 11);
    let config = SimConfig { start_at: start_at + 7 * MINUTE, ..config };
    let expected = |config: &SimConfig| -> BTreeMap<EventTime, usize> {
        let mut per_interval = BTreeMap::new();
        for (_, event) in events(config.clone(), config.start_at) {
            if let Event::ForecastUpdate(forecast) = event {
                *per_interval.entry(forecast.interval_start_at).or_default() += 1;
            }
        }
        per_interval
    };
    let all = expected(&config);
    let short = config.clone().telling_the_last(30 * MINUTE);
    // Half an hour before 11:07 is within the quarter of an hour from 10:30 on, which is told as a whole.
    let from = start_at - 30 * MINUTE;
    assert_eq!(short.history_from, Some(from));
    let told = expected(&short);
    assert!(told.len() < all.len() && told == all.range(from..).map(|(at, n)| (*at, *n)).collect());
    // Of an interval in which the silence ends there is a forecast.
    let within = SimConfig { history_from: Some(from + MINUTE), ..config };
    assert_eq!(expected(&within).first_key_value().map(|(at, _)| *at), Some(from));
}

#[test]
fn teams_drift_together() {
    let (config, until) = until_hour(small(11), 20);
    let mut out: BTreeMap<EventTime, i32> = BTreeMap::new();
    for (at, event) in events(config, until) {
        if let Event::AgentStateChange(change) = event
            && change.reason.as_deref() == Some("unplanned")
        {
            *out.entry(at / (10 * MINUTE)).or_default() += 1;
        }
    }
    assert!(out.values().any(|agents| 3 <= *agents), "{out:?}");
}

#[test]
fn what_is_kept_does_not_grow_with_the_days() {
    let config = SimConfig { agents: 100, ..small(12) };
    let noon = config.midnight_at + 12 * HOUR;
    let mut world = World::new(config, &[]);
    let mut kept = Vec::new();
    let mut nothing = Vec::new();
    for day in 0..6 {
        world.run(noon + day * DAY, u64::MAX / 2);
        for lane in 0..3 {
            world.feed.take(lane, world.now, usize::MAX, &mut nothing);
            nothing.clear();
        }
        kept.push(world.kept());
    }
    let most = *kept.iter().max().unwrap();
    assert!(most < 2 * kept[0], "kept per day: {kept:?}");
}

#[test]
fn a_day_of_a_thousand_agents_has_a_plausible_volume() {
    let config = SimConfig::default();
    let end = config.midnight_at + DAY;
    let mut world = World::new(config, &[]);
    let mut nothing = Vec::new();
    let (mut counts, mut now) = (BTreeMap::new(), world.now);
    let mut keys: BTreeSet<EventKey> = BTreeSet::new();
    while now < end {
        now = world.run(end, 50_000);
        for lane in 0..3 {
            world.feed.take(lane, now, usize::MAX, &mut nothing);
        }
        for envelope in nothing.drain(..).map(|intake| intake.decoded.unwrap()) {
            if keys.insert(envelope.key) {
                *counts.entry(envelope.event.event_type()).or_insert(0_i64) += 1;
            }
        }
    }
    let total: i64 = counts.values().sum();
    assert!((250_000..400_000).contains(&total), "{total}: {counts:?}");
    let [states, arrivals, abandoned] =
        ["AgentStateChange", "ContactArrival", "ContactAbandoned"].map(|name| counts[name]);
    assert!((100_000..250_000).contains(&states), "{counts:?}");
    assert!((25_000..60_000).contains(&arrivals), "{counts:?}");
    assert!((arrivals / 100..arrivals / 8).contains(&abandoned), "{counts:?}");
}

#[test]
fn a_nonsensical_center_is_refused() {
    let base = SimConfig::default();
    for (config, word) in [
        (SimConfig { agents: 0, ..base.clone() }, "agents"),
        (SimConfig { closes_min: 600, ..base.clone() }, "closes_min"),
        (SimConfig { start_at: 0, ..base.clone() }, "start_at"),
        (SimConfig { speed: f64::NAN, ..base.clone() }, "speed"),
        (SimConfig { late: 0.6, out_of_order: 0.6, ..base.clone() }, "shares"),
    ] {
        let error = Simulation::open(config, &[]).err().unwrap();
        assert!(error.to_string().contains(word), "{error}");
    }
    let config = base.starting_at(1_780_000_123_456, 9, 40);
    assert_eq!(config.midnight_at % (15 * MINUTE), 0);
    let local = config.start_at - config.midnight_at - 9 * HOUR - 40 * MINUTE;
    assert!(local.abs() <= 15 * MINUTE / 2, "{local}");
}
