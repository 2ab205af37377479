//! The JSON of the page's socket. Its shapes are used by `page/*.js` and documented in [`super`].
//!
//! Long messages are split into frames of about [`FRAME_BYTES`]; each names its `part` and says whether `more`
//! follow, and the client applies them together. So a client that stalls holds one frame, not a whole snapshot.

use axum::extract::ws::Utf8Bytes;
use highwater_dataflow::view::View;
use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Notification};
use serde::Serialize;

use super::board::{Extract, Part};

/// Frames are closed once they reach this size; one row more at the most.
const FRAME_BYTES: usize = 128 * 1024;

/// Facts that only the start of a snapshot carries.
#[derive(Serialize)]
pub(super) struct Site<'a> {
    pub(super) name: &'a str,
    /// IANA name; the page renders times in it.
    pub(super) time_zone: &'a str,
    /// Age of a source's last event above which the page calls it stale.
    pub(super) stale_after_ms: i64,
}

/// All rows: the first frame also has the site, the status fields, recent alert steps and corrections.
pub(super) fn snapshot(extract: &Extract, site: &Site<'_>, status: &str) -> Vec<Utf8Bytes> {
    let mut frames = Frames::new("snapshot", extract.seq, ",\"views\":{", "}");
    frames.field("site", &text(site));
    frames.splice(status);
    frames.field("watermark", &watermark(extract.watermark));
    frames.field("alerts", &text(&extract.notices.iter().map(Notice::from).collect::<Vec<_>>()));
    frames.field("corrections", &text(&extract.corrections));
    for part in &extract.tables {
        frames.group(&view_head(part), "]}");
        part.come.iter().for_each(|row| frames.item(row));
        frames.group_end();
    }
    frames.finish()
}

/// What changed between two sequences: `[1, row]` sets the row of its key, `[-1, key]` removes it.
pub(super) fn delta(from: u64, extract: &Extract) -> Vec<Utf8Bytes> {
    let mut frames = Frames::new("delta", extract.seq, ",\"changes\":[", "]");
    frames.field("from", &from.to_string());
    frames.field("watermark", &watermark(extract.watermark));
    if !extract.notices.is_empty() {
        let notices: Vec<_> = extract.notices.iter().map(Notice::from).collect();
        frames.field("alerts", &text(&notices));
    }
    if !extract.corrections.is_empty() {
        frames.field("corrections", &text(&extract.corrections));
    }
    for part in &extract.tables {
        frames.group(&format!("{{\"view\":{},\"rows\":[", text(part.view.name)), "]}");
        part.gone.iter().for_each(|key| frames.item(&format!("[-1,{key}]")));
        part.come.iter().for_each(|row| frames.item(&format!("[1,{row}]")));
        frames.group_end();
    }
    frames.finish()
}

/// The state of the sources, sent every other second: the page's heartbeat too.
pub(super) fn status(status: &str) -> Utf8Bytes {
    let mut frame = String::from("{\"type\":\"status\"");
    splice(&mut frame, status);
    frame.push('}');
    frame.into()
}

/// An alert's step as the page shows it.
#[derive(Serialize)]
struct Notice<'a> {
    alert_id: &'a str,
    revision: u32,
    step: &'static str,
    rule: &'a str,
    scope: &'a str,
    from_ms: EventTime,
    to_ms: Option<EventTime>,
    value: i64,
    threshold: i64,
}

impl<'a> From<&'a Notification> for Notice<'a> {
    fn from(notice: &'a Notification) -> Self {
        let incident = &notice.incident;
        Notice {
            alert_id: &notice.alert_id,
            revision: notice.revision,
            step: notice.step.name(),
            rule: &notice.rule,
            scope: &incident.scope,
            from_ms: incident.from,
            to_ms: Some(incident.to).filter(|&to| to != FOREVER),
            value: incident.value,
            threshold: incident.threshold,
        }
    }
}

/// Milliseconds, `null` before the first and `"end"` after the last event.
fn watermark(at: EventTime) -> String {
    match at {
        BEGINNING => "null".into(),
        FOREVER => "\"end\"".into(),
        at => at.to_string(),
    }
}

fn view_head(part: &Part) -> String {
    let View { name, key, columns, .. } = part.view;
    let columns: Vec<_> = columns.iter().map(|column| column.name).collect();
    let truncated = part.truncated;
    format!(
        "{}:{{\"columns\":{},\"key\":{key},\"truncated\":{truncated},\"rows\":[",
        text(name),
        text(&columns)
    )
}

fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("plain data becomes JSON")
}

fn splice(frame: &mut String, object: &str) {
    let fields = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let fields = fields.expect("the status is a JSON object");
    if !fields.is_empty() {
        frame.push(',');
        frame.push_str(fields);
    }
}

/// Writes groups of items, and starts a new frame whenever one is full.
struct Frames {
    kind: &'static str,
    seq: u64,
    open: &'static str,
    close: &'static str,
    done: Vec<Utf8Bytes>,
    frame: String,
    /// The opening brackets of the groups are written.
    body: bool,
    groups: usize,
    items: usize,
    group: (String, &'static str),
}

impl Frames {
    fn new(kind: &'static str, seq: u64, open: &'static str, close: &'static str) -> Self {
        let mut frames = Frames {
            kind,
            seq,
            open,
            close,
            done: Vec::new(),
            frame: String::new(),
            body: false,
            groups: 0,
            items: 0,
            group: (String::new(), ""),
        };
        frames.begin();
        frames
    }

    fn begin(&mut self) {
        let (kind, seq, part) = (self.kind, self.seq, self.done.len());
        self.frame = format!("{{\"type\":\"{kind}\",\"seq\":{seq},\"part\":{part}");
        self.body = false;
        self.groups = 0;
        self.items = 0;
    }

    fn field(&mut self, name: &str, json: &str) {
        debug_assert!(!self.body, "fields come before groups");
        self.frame.push_str(",\"");
        self.frame.push_str(name);
        self.frame.push_str("\":");
        self.frame.push_str(json);
    }

    fn splice(&mut self, object: &str) {
        splice(&mut self.frame, object);
    }

    fn group(&mut self, head: &str, tail: &'static str) {
        self.group = (head.to_owned(), tail);
        self.group_begin();
    }

    fn group_begin(&mut self) {
        if !self.body {
            self.frame.push_str(self.open);
            self.body = true;
        }
        if 0 < self.groups {
            self.frame.push(',');
        }
        self.frame.push_str(&self.group.0);
        self.groups += 1;
        self.items = 0;
    }

    fn group_end(&mut self) {
        self.frame.push_str(self.group.1);
    }

    fn item(&mut self, json: &str) {
        if FRAME_BYTES <= self.frame.len() {
            self.group_end();
            self.end(true);
            self.begin();
            self.group_begin();
        }
        if 0 < self.items {
            self.frame.push(',');
        }
        self.frame.push_str(json);
        self.items += 1;
    }

    fn end(&mut self, more: bool) {
        if !self.body {
            self.frame.push_str(self.open);
        }
        self.frame.push_str(self.close);
        self.frame.push_str(if more { ",\"more\":true}" } else { ",\"more\":false}" });
        self.done.push(std::mem::take(&mut self.frame).into());
    }

    fn finish(mut self) -> Vec<Utf8Bytes> {
        self.end(false);
        self.done
    }
}
