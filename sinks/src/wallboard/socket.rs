//! One client of the page: admitted, given a snapshot, then deltas at its own pace.
//!
//! A client that reads slowly is conflated: it is sent what differs from what it has, whenever it is ready. One
//! that takes no frame for the stall time is cut. Neither holds up the flow or other clients.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info};

use super::Site;
use super::feed::{Signal, Update};
use super::gate::{Access, Role, host, origin_allowed};
use super::wire;

/// The subprotocol of the page's messages. A token may be offered beside it as `bearer.<token>`.
const PROTOCOL: &str = "highwater.v1";

/// Bounds of one client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Under load, the least time between two deltas. After a quiet moment a delta goes out at once.
    pub pace: Duration,
    /// A frame that is not taken for so long ends the connection.
    pub stall: Duration,
    /// Unsent bytes of one client; more ends the connection.
    pub unsent_bytes_max: usize,
    pub inbound_bytes_max: usize,
    pub inbound_per_minute_max: u32,
    /// Time for the first message to bring a token.
    pub admission: Duration,
    pub ping: Duration,
    /// Nothing heard for so long, not even an answer to pings, ends the connection.
    pub silence: Duration,
    /// How often the status goes out.
    pub status: Duration,
    /// How often a connected client's token is judged again.
    pub recheck: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pace: Duration::from_millis(50),
            stall: Duration::from_secs(10),
            unsent_bytes_max: 1 << 20,
            inbound_bytes_max: 64 << 10,
            inbound_per_minute_max: 120,
            admission: Duration::from_secs(10),
            ping: Duration::from_secs(20),
            silence: Duration::from_mins(1),
            status: Duration::from_secs(2),
            recheck: Duration::from_mins(30),
        }
    }
}

/// What clients may say.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    /// The client missed something and starts over.
    Resync,
    Auth {
        token: String,
    },
    #[serde(other)]
    Unknown,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client left, or the network did.
    Gone,
    Stalled,
    /// 1008, with the reason.
    Policy(&'static str),
    Full,
    Closing,
}

/// `GET /ws`.
pub(super) async fn upgrade(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let limits = site.limits;
    let refusal = refusal(&site, &headers, query.as_deref());
    let token = offered_token(&headers);
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limits.inbound_bytes_max)
        .max_frame_size(limits.inbound_bytes_max)
        .write_buffer_size(0)
        .max_write_buffer_size(limits.unsent_bytes_max)
        .on_upgrade(move |socket| async move {
            let mut client = Client { site, socket, heard: 0, silent: true };
            let end = match refusal {
                Some(reason) => End::Policy(reason),
                None => client.run(token).await,
            };
            client.end(end).await;
        })
}

/// What rules a request out before any token is looked at.
fn refusal(site: &Site, headers: &HeaderMap, query: Option<&str>) -> Option<&'static str> {
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("null"));
    if !origin_allowed(origin, host(headers), &site.config.allowed_origins) {
        return Some("origin not allowed: list it in http.origins");
    }
    let in_query = |query: &str| query.split('&').any(|pair| pair.starts_with("token="));
    if query.is_some_and(in_query) {
        // Addresses end up in histories and proxy logs; a token in one is to be considered lost.
        return Some("no token in the address: send it as a subprotocol or first message");
    }
    let open = (site.authorize)(Role::Read, None) == Access::Open;
    (open && !site.trusts_host(headers)).then_some("host not trusted: use localhost or an IP")
}

/// The token among the offered subprotocols, `bearer.<token>`.
fn offered_token(headers: &HeaderMap) -> Option<String> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix("bearer.").map(str::to_owned))
}

struct Client {
    site: Arc<Site>,
    socket: WebSocket,
    /// Messages heard in the running minute.
    heard: u32,
    /// Nothing heard since the last silence check.
    silent: bool,
}

impl Client {
    async fn run(&mut self, token: Option<String>) -> End {
        let wallboard = self.site.wallboard.clone();
        let Some(_seat) = wallboard.seat(self.site.config.clients_max) else { return End::Full };
        let mut signal = wallboard.subscribe();
        if signal.borrow().closing {
            return End::Closing;
        }
        let token = match self.admit(token).await {
            Ok(token) => token,
            Err(end) => return end,
        };
        match self.serve(token, &mut signal).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Judges the token, after asking for one if none was offered.
    async fn admit(&mut self, mut token: Option<String>) -> Result<Option<String>, End> {
        let judge = |site: &Site, token: Option<&str>| (site.authorize)(Role::Read, token);
        if token.is_none() && judge(&self.site, None) == Access::Unknown {
            self.deliver(Utf8Bytes::from_static(r#"{"type":"auth_required"}"#)).await?;
            let first = timeout(self.site.limits.admission, self.socket.recv()).await;
            let Ok(message) = first else { return Err(End::Policy("no token in time")) };
            match parse(&message.ok_or(End::Gone)?.map_err(|_| End::Gone)?) {
                Some(Request::Auth { token: given }) => token = Some(given),
                _ => return Err(End::Policy("the first message must bring a token")),
            }
        }
        match judge(&self.site, token.as_deref()) {
            Access::Open | Access::Granted => Ok(token),
            Access::Unknown => Err(End::Policy("unknown token")),
            Access::Forbidden => Err(End::Policy("this token lacks the role read")),
        }
    }

    async fn serve(
        &mut self,
        token: Option<String>,
        signal: &mut watch::Receiver<Signal>,
    ) -> Result<std::convert::Infallible, End> {
        let site = self.site.clone();
        let limits = site.limits;
        let ticks = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
            ticks
        };
        let (mut pings, mut silence) = (ticks(limits.ping), ticks(limits.silence));
        let (mut statuses, mut rechecks) = (ticks(limits.status), ticks(limits.recheck));
        let mut minutes = ticks(Duration::from_mins(1));

        let mut seq = self.snapshot().await?;
        let mut resync = false;
        // Elapsed: the first delta may go at once.
        let mut pace = Box::pin(sleep(Duration::ZERO));
        loop {
            let behind = resync || seq < signal.borrow().seq;
            tokio::select! {
                message = self.socket.recv() => {
                    resync |= self.hear(message)?;
                }
                () = &mut pace, if behind => {
                    seq = if resync { self.snapshot().await? } else { self.delta(seq).await? };
                    resync = false;
                    pace.set(sleep(limits.pace));
                }
                changed = signal.changed() => {
                    if changed.is_err() || signal.borrow().closing {
                        return Err(End::Closing);
                    }
                }
                _ = statuses.tick() => {
                    let status = site.wallboard.status(&site.status);
                    self.deliver(wire::status(&status)).await?;
                }
                _ = pings.tick() => self.send(Message::Ping(Vec::new().into())).await?,
                _ = silence.tick() => {
                    if std::mem::replace(&mut self.silent, true) {
                        return Err(End::Gone);
                    }
                }
                _ = minutes.tick() => self.heard = 0,
                _ = rechecks.tick() => {
                    let access = (site.authorize)(Role::Read, token.as_deref());
                    if !matches!(access, Access::Open | Access::Granted) {
                        return Err(End::Policy("the token is no longer good: sign in again"));
                    }
                }
            }
        }
    }

    /// Takes a message in; true when the client asks to start over.
    fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<bool, End> {
        let message = message.ok_or(End::Gone)?.map_err(|_| End::Gone)?;
        self.silent = false;
        self.heard += 1;
        if self.site.limits.inbound_per_minute_max < self.heard {
            return Err(End::Policy("too many messages"));
        }
        if matches!(message, Message::Close(_)) {
            return Err(End::Gone);
        }
        let resync = matches!(parse(&message), Some(Request::Resync));
        if resync {
            self.site.wallboard.counts().resyncs.fetch_add(1, Relaxed);
        }
        Ok(resync)
    }

    async fn snapshot(&mut self) -> Result<u64, End> {
        let site = self.site.clone();
        let snapshot = site.wallboard.snapshot(&site.config, &site.status).await;
        self.update(snapshot).await
    }

    async fn delta(&mut self, from: u64) -> Result<u64, End> {
        match self.site.wallboard.delta(from) {
            Some(delta) => self.update(delta).await,
            None => self.snapshot().await,
        }
    }

    async fn update(&mut self, update: Update) -> Result<u64, End> {
        for frame in update.frames.iter() {
            self.deliver(frame.clone()).await?;
        }
        self.site.wallboard.pushed(update.seq);
        Ok(update.seq)
    }

    async fn deliver(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        self.site.wallboard.counts().frames.fetch_add(1, Relaxed);
        self.send(Message::Text(frame)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.site.limits.stall, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|_| End::Gone),
            Err(_) => Err(End::Stalled),
        }
    }

    async fn end(mut self, end: End) {
        let counts = self.site.wallboard.counts();
        let (code, reason) = match end {
            End::Gone => {
                debug!("page client left");
                return;
            }
            End::Stalled => {
                counts.stalled.fetch_add(1, Relaxed);
                info!(stall = ?self.site.limits.stall, "page client cut: it takes no data");
                return;
            }
            End::Policy(reason) => {
                counts.refused.fetch_add(1, Relaxed);
                info!(reason, "page client refused");
                (close_code::POLICY, reason)
            }
            End::Full => {
                counts.refused.fetch_add(1, Relaxed);
                info!(clients_max = self.site.config.clients_max, "page client refused: full");
                (close_code::AGAIN, "too many clients: try again later")
            }
            End::Closing => (close_code::AWAY, "the service stops"),
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _ = self.send(Message::Close(Some(frame))).await;
        // Closing at once could reset the connection and lose the reason: wait for the client's answer.
        let answered = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(Duration::from_secs(1), answered).await;
    }
}

/// What a message asks; `None` for anything that is no request.
fn parse(message: &Message) -> Option<Request> {
    let Message::Text(text) = message else { return None };
    match serde_json::from_str(text) {
        Ok(Request::Unknown) | Err(_) => None,
        Ok(request) => Some(request),
    }
}
