//! The life of alerts: incidents that come, change and go become opened, amended, resolved and retracted.

use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};

use crate::alert::{Incident, Notification, Step};
use crate::closed::{Out, closed2, route};
use crate::keyed::Keyed;
use crate::overlay::Revision;
use crate::table::Table;
use crate::time::{Epoch, EventTime, FOREVER, Millis};
use crate::view::{Column, Row, Value, View, ViewRow};

/// The state of one alert, a row of the `alerts` view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertRow {
    pub alert_id: CompactString,
    pub rule: CompactString,
    pub incident: Incident,
    /// Journal positions of the records that made the latest step known.
    pub latest_causes: Vec<u64>,
    pub status: AlertStatus,
    pub revision: u32,
    /// The epoch in which the latest step became known.
    pub known: Epoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertStatus {
    Open,
    Resolved,
    Retracted,
}

impl AlertStatus {
    pub fn name(self) -> &'static str {
        match self {
            AlertStatus::Open => "open",
            AlertStatus::Resolved => "resolved",
            AlertStatus::Retracted => "retracted",
        }
    }
}

impl ViewRow for AlertRow {
    const VIEW: &'static View = &View {
        name: "alerts",
        doc: "Every alert with its latest state; a retracted one never was true, or is part of another.",
        key: 1,
        columns: &[
            Column::text("alert_id", "rule/scope/start as first known; stable for life"),
            Column::text("rule", "the rule that raised it"),
            Column::text("scope", "what it is about: a team, a queue, an agent"),
            Column::text("status", "open, resolved or retracted"),
            Column::int("from_ms", "event time at which the condition began, ms UTC"),
            Column::int("to_ms", "event time at which it ended, ms UTC; null while open"),
            Column::int("value", "the measured extreme in the rule's unit"),
            Column::int("threshold", "what it was held against"),
            Column::text("members", "who took part, comma separated"),
            Column::int("revision", "how many messages were sent about it"),
            Column::text("causes", "journal positions of the causing records, comma separated"),
            Column::int("known_ms", "when the latest step became known, ms UTC"),
            Column::text(
                "latest_causes",
                "journal positions of the records that made the latest step known, comma separated",
            ),
            Column::text(
                "reason",
                "why it ended or was taken back, where the condition's own end is not why",
            ),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let incident = &self.incident;
        row.extend([
            Value::from(self.alert_id.clone()),
            self.rule.clone().into(),
            incident.scope.clone().into(),
            self.status.name().into(),
            incident.from.into(),
            (incident.to < FOREVER).then_some(incident.to).into(),
            incident.value.into(),
            incident.threshold.into(),
            Value::Text(incident.members.join(", ").into()),
            i64::from(self.revision).into(),
            Value::Text(causes(&incident.causes).into()),
            ((self.known / 1000) as i64).into(),
            Value::Text(causes(&self.latest_causes).into()),
            Some(incident.reason.clone()).filter(|reason| !reason.is_empty()).into(),
        ]);
    }
}

fn causes(seqs: &[u64]) -> String {
    seqs.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// The two outputs of [`Table::alerts`].
pub struct Alerts<'s> {
    /// One row per alert, with its latest state.
    pub rows: Table<'s, AlertRow>,
    /// Every step, once, for the channels.
    pub messages: Table<'s, Notification>,
}

impl<'s> Table<'s, Incident> {
    /// Follows incidents through their lives.
    ///
    /// An incident that changes but still overlaps what it was remains the same alert. One that vanishes was never true
    /// and is retracted; or another one has grown over it, and it is retracted as a part of that. `revisions` (by scope)
    /// are the records that changed what had been said: those of an epoch are the causes of what it changes. State:
    /// alerts that ended within `horizon` of the watermark, and open ones; the rows of older ones stay.
    pub fn alerts(
        self,
        rule: &str,
        revisions: Table<'s, (CompactString, Revision)>,
        horizon: Millis,
    ) -> Alerts<'s> {
        let rule = CompactString::from(rule);
        let name = format!("Alerts {rule}");
        let mut due = Vec::new();
        let (rows, messages) = closed2(
            self.map(|incident| (incident.scope.clone(), incident)),
            |(scope, _)| route(scope),
            revisions,
            |(scope, _)| route(scope),
            &name,
            Keyed::<CompactString, Vec<AlertRow>>::new(),
            move |scopes, now, changes, revisions, out, messages| {
                let oldest = now.watermark.saturating_sub(horizon);
                let mut touched = Vec::new();
                scopes.group(changes, |slot, scope, alerts, rows| {
                    touched.push(slot);
                    let (mut gone, mut come) = (Vec::new(), Vec::new());
                    for (incident, diff) in rows {
                        let side = if diff > 0 { &mut come } else { &mut gone };
                        side.push(incident.clone());
                    }
                    let shown = revisions.iter().filter(|((of, _), _, n)| of == scope && *n > 0);
                    let mut shown: Vec<u64> = shown.map(|((_, known), _, _)| known.seq).collect();
                    shown.sort_unstable();
                    shown.dedup();
                    let mut life = Life { rule: &rule, epoch: now.epoch, shown, alerts };
                    life.step(gone, come, out, messages);
                });
                due.clear();
                scopes.due(now.watermark, &mut due);
                // A scope may be both touched and due, and gone after the first look.
                touched.extend(due.iter().copied());
                touched.sort_unstable();
                touched.dedup();
                for slot in touched {
                    let (_, alerts) = scopes.get(slot);
                    alerts.retain(|alert| alert.over() >= oldest);
                    let first = alerts.iter().map(AlertRow::over).min();
                    match first {
                        None => scopes.remove(slot),
                        Some(FOREVER) => {}
                        Some(over) => scopes.wake(slot, over.saturating_add(horizon + 1)),
                    }
                }
            },
        );
        Alerts { rows, messages }
    }
}

impl AlertRow {
    /// When nothing can happen to it any more, but for corrections.
    fn over(&self) -> EventTime {
        match self.status {
            AlertStatus::Retracted => self.incident.from,
            _ => self.incident.to,
        }
    }
}

/// The causes that are new in an incident that is otherwise what it was: who merely takes the place of another revises
/// nothing that was said.
fn successors(was: &Incident, is: &Incident) -> Vec<u64> {
    let alike = Incident { causes: is.causes.clone(), ..was.clone() } == *is;
    let new = is.causes.iter().filter(|seq| alike && !was.causes.contains(seq));
    new.copied().collect()
}

/// One scope's alerts, in the epoch that changes them.
struct Life<'a> {
    rule: &'a CompactString,
    epoch: Epoch,
    /// The records that changed in this epoch what had been said of the scope.
    shown: Vec<u64>,
    alerts: &'a mut Vec<AlertRow>,
}

impl Life<'_> {
    /// Applies an epoch's net change of incidents: `gone` were known before, `come` are known now.
    fn step(
        &mut self,
        mut gone: Vec<Incident>,
        mut come: Vec<Incident>,
        rows: &mut Out<AlertRow>,
        messages: &mut Out<Notification>,
    ) {
        gone.sort();
        come.sort();
        let mut orphans: Vec<usize> = Vec::new();
        for incident in &gone {
            let known = |alert: &AlertRow| {
                alert.status != AlertStatus::Retracted && alert.incident == *incident
            };
            // One that left memory at the horizon is final; nothing more is said of it.
            orphans.extend(self.alerts.iter().position(known));
        }
        for incident in come {
            let same = orphans.iter().position(|&at| {
                let was = &self.alerts[at].incident;
                was.from == incident.from || (was.from < incident.to && incident.from < was.to)
            });
            if let Some(same) = same {
                let at = orphans.remove(same);
                let ended = self.alerts[at].incident.to == FOREVER && incident.to < FOREVER;
                let step = if ended { Step::Resolved } else { Step::Amended };
                self.tell(at, step, incident, rows, messages);
            } else {
                let at = self.open(&incident);
                let open =
                    Incident { to: FOREVER, reason: CompactString::default(), ..incident.clone() };
                // Known only once it was over: it opens and resolves in one breath, so that receivers can pair them.
                if incident.to < FOREVER {
                    self.tell(at, Step::Opened, open, rows, messages);
                    self.tell(at, Step::Resolved, incident, rows, messages);
                } else {
                    self.tell(at, Step::Opened, incident, rows, messages);
                }
            }
        }
        for at in orphans {
            let was = self.alerts[at].incident.clone();
            let by = self.alerts.iter().enumerate().find(|(other, alert)| {
                let is = &alert.incident;
                let stands = *other != at && alert.status != AlertStatus::Retracted;
                stands && alert.known == self.epoch && is.from < was.to && was.from < is.to
            });
            let reason = by.map_or_else(
                || CompactString::const_new("never was true"),
                |(_, alert)| format_compact!("merged into {}", alert.alert_id),
            );
            self.tell(at, Step::Retracted, Incident { reason, ..was }, rows, messages);
        }
    }

    /// A new alert for `incident`, or the retracted one of the same name, come true again.
    ///
    /// A name may be taken by an alert whose start moved since, so that what now starts where it once did is another
    /// one: it gets a number after its name.
    fn open(&mut self, incident: &Incident) -> usize {
        let name = format_compact!("{}/{}/{}", self.rule, incident.scope, incident.from);
        let mut alert_id = name.clone();
        let mut nth = 1;
        while let Some(at) = self.alerts.iter().position(|alert| alert.alert_id == alert_id) {
            if self.alerts[at].status == AlertStatus::Retracted {
                return at;
            }
            nth += 1;
            alert_id = format_compact!("{name}/{nth}");
        }
        self.alerts.push(AlertRow {
            alert_id,
            rule: self.rule.clone(),
            incident: incident.clone(),
            latest_causes: Vec::new(),
            status: AlertStatus::Open,
            revision: 0,
            known: self.epoch,
        });
        self.alerts.len() - 1
    }

    fn tell(
        &mut self,
        at: usize,
        step: Step,
        incident: Incident,
        rows: &mut Out<AlertRow>,
        messages: &mut Out<Notification>,
    ) {
        let alert = &mut self.alerts[at];
        if alert.revision > 0 {
            rows.give(alert.clone(), -1);
        }
        alert.revision += 1;
        alert.known = self.epoch;
        alert.status = match step {
            Step::Retracted => AlertStatus::Retracted,
            _ if incident.to < FOREVER => AlertStatus::Resolved,
            _ => AlertStatus::Open,
        };
        alert.latest_causes = match step {
            Step::Opened => incident.causes.clone(),
            _ if self.shown.is_empty() => successors(&alert.incident, &incident),
            _ => self.shown.clone(),
        };
        alert.incident = incident;
        rows.give(alert.clone(), 1);
        messages.give(
            Notification {
                alert_id: alert.alert_id.clone(),
                revision: alert.revision,
                step,
                rule: alert.rule.clone(),
                incident: alert.incident.clone(),
                causes: alert.latest_causes.clone(),
                epoch: self.epoch,
            },
            1,
        );
    }
}
