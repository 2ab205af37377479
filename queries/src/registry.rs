//! The registry: one line per query and per rule. Everything that is published starts here.

use std::cell::OnceCell;

use highwater_dataflow::view::{View, ViewRow};
use highwater_dataflow::window::LateElement;
use highwater_dataflow::{AlertRow, Alerts, Graph, Overlay, Point, Table};
use highwater_model::{AgentId, Name, QueueId, RuleUpdate};

use crate::adherence::{Judged, adherence};
use crate::contacts::{Outcome, outcomes, told};
use crate::input::{Entry, Inputs, Rejected};
use crate::intraday::{Spoken, intraday};
use crate::late_events::{DuplicateCount, LateElements, LateEvent, late_elements};
use crate::measured::{Measured, measured};
use crate::rule::Definition;
use crate::settings::Settings;
use crate::staffing::{Staffed, staffed};
use crate::volume_surge::{Surges, surges};
use crate::{
    AdherenceDay, AdherenceInterval, AdherenceNow, AgentSession, ContactRecord, ForecastRefresh,
    InForce, PayrollHours, PayrollLedger, QueueInterval, QueueNow, QueueReconciliation,
    QueueRolling, Reforecast, ReforecastAccuracy, SourceLag, Staffing, UnmappedState,
    adherence_interval, adherence_now, agent_sessions, agent_stuck, aht_spike, consumer_lag,
    contact_record, dead_letter_rate, feed_silent, feeds, forecast_refresh, late_events,
    mapping_missing, payroll_hours, queue_interval, queue_now, queue_overflow,
    queue_reconciliation, queue_rolling, reforecast, reforecast_accuracy, rules, source_lag,
    staffing, team_drift, unmapped_states, volume_surge,
};

/// What several queries share: computed once, forked where used.
pub struct Shared<'s> {
    pub input: Inputs<'s>,
    pub adherence: Overlay<'s, AgentId, Judged>,
    pub outcomes: Table<'s, (QueueId, (i64, Outcome))>,
    pub measured: Measured<'s>,
    pub intervals: Table<'s, QueueInterval>,
    pub lag: Table<'s, SourceLag>,
    pub reconciliation: Table<'s, QueueReconciliation>,
    /// `(rule, what it is told from then on)`, all scopes.
    pub rules: Table<'s, (Name, Point<RuleUpdate>)>,
    /// `(kind of event, slot with the lag of its promptest event)`.
    pub feeds: Table<'s, (Name, Point<i64>)>,
    /// What came for windows that are final, but for those of `rolling`.
    late: Table<'s, LateElements>,
    /// The rolling windows and what came too late for them; built on first use, for there are many.
    rolling: OnceCell<(Table<'s, QueueRolling>, Table<'s, LateElements>)>,
    /// Where arrivals surge; built on first use.
    surges: OnceCell<Surges<'s>>,
    /// What is said of every queue's day, and its rows with what the queue promises; built on first use.
    day: OnceCell<Table<'s, Spoken>>,
    staffed: OnceCell<Table<'s, Staffed>>,
}

impl<'s> Shared<'s> {
    /// The rows of `queue_rolling`, and what came for those that are final.
    fn rolling(&self, settings: &Settings) -> (Table<'s, QueueRolling>, Table<'s, LateElements>) {
        let build = || {
            let (rows, late) = queue_rolling::queue_rolling(&self.measured, settings);
            (rows, late_elements(QueueRolling::VIEW.name, named(late)))
        };
        self.rolling.get_or_init(build).clone()
    }

    /// What came for windows that are final, of whichever view.
    fn late(&self, settings: &Settings) -> Table<'s, LateElements> {
        self.late.clone().concat(self.rolling(settings).1)
    }

    /// What is said of every queue's day.
    pub fn day(&self, settings: &Settings) -> Table<'s, Spoken> {
        let build = || {
            let outcomes = self.outcomes.clone();
            // A surge refreshes the forecast ahead of the interval's end. It is one above what was published for the
            // interval, not above what is said here: nothing goes in a circle.
            let surges = self.surges(settings).starts();
            intraday(&self.input, outcomes, surges, settings)
        };
        self.day.get_or_init(build).clone()
    }

    /// Where every queue's arrivals surge.
    pub fn surges(&self, settings: &Settings) -> Surges<'s> {
        self.surges.get_or_init(|| surges(self, settings)).clone()
    }

    /// The rows of every queue's day, with what the queue promises.
    pub fn staffed(&self, settings: &Settings) -> Table<'s, Staffed> {
        let build = || staffed(&self.input, self.day(settings), &settings.staffing);
        self.staffed.get_or_init(build).clone()
    }
}

/// A query: the views it publishes, and how.
pub struct Query {
    pub name: &'static str,
    pub views: &'static [&'static View],
    pub publish: for<'s> fn(&mut Graph<'s, Entry>, &Shared<'s>, &Settings),
}

/// A rule: what it can be told, and the alerts it raises.
pub struct Rule {
    pub name: &'static str,
    pub definition: &'static Definition,
    pub alerts: for<'s> fn(&Shared<'s>, &Settings) -> Alerts<'s>,
}

#[rustfmt::skip]
pub const QUERIES: &[Query] = &[
    Query { name: "queue_interval", views: &[QueueInterval::VIEW], publish: |g, s, _| g.publish(s.intervals.clone()) },
    Query { name: "queue_rolling", views: &[QueueRolling::VIEW], publish: |g, s, o| g.publish(s.rolling(o).0) },
    Query { name: "queue_now", views: &[QueueNow::VIEW], publish: |g, s, o| g.publish(queue_now::queue_now(&s.input, s.outcomes.clone(), s.intervals.clone(), o)) },
    Query { name: "queue_reconciliation", views: &[QueueReconciliation::VIEW], publish: |g, s, _| g.publish(s.reconciliation.clone()) },
    Query { name: "contact_record", views: &[ContactRecord::VIEW], publish: |g, s, _| g.publish(contact_record::contact_record(&s.input)) },
    Query { name: "reforecast", views: &[Reforecast::VIEW], publish: |g, s, o| g.publish(reforecast::reforecast(s.staffed(o))) },
    Query { name: "staffing", views: &[Staffing::VIEW], publish: |g, s, o| g.publish(staffing::staffing(s.staffed(o))) },
    Query { name: "forecast_refresh", views: &[ForecastRefresh::VIEW], publish: |g, s, o| g.publish(forecast_refresh::forecast_refresh(s.day(o))) },
    Query { name: "reforecast_accuracy", views: &[ReforecastAccuracy::VIEW], publish: |g, s, o| g.publish(reforecast_accuracy::reforecast_accuracy(s.day(o))) },
    Query { name: "adherence_now", views: &[AdherenceNow::VIEW], publish: |g, s, _| g.publish(adherence_now::adherence_now(&s.input, &s.adherence)) },
    Query { name: "adherence_interval", views: &[AdherenceInterval::VIEW, AdherenceDay::VIEW], publish: |g, s, o| adherence_interval::publish(g, &s.input, &s.adherence, o) },
    Query { name: "unmapped_states", views: &[UnmappedState::VIEW], publish: |g, s, _| g.publish(unmapped_states::unmapped_states(&s.input, &s.adherence)) },
    Query { name: "agent_sessions", views: &[AgentSession::VIEW], publish: |g, s, _| g.publish(agent_sessions::agent_sessions(&s.input)) },
    Query { name: "payroll_hours", views: &[PayrollHours::VIEW, PayrollLedger::VIEW], publish: |g, s, o| payroll_hours::publish(g, &s.input, o) },
    Query { name: "dead_letters", views: &[Rejected::VIEW], publish: |g, s, _| g.publish(s.input.rejected()) },
    Query { name: "source_lag", views: &[SourceLag::VIEW], publish: |g, s, _| g.publish(s.lag.clone()) },
    Query { name: "rules", views: &[InForce::VIEW], publish: |g, s, o| g.publish(rules::rules(s, o)) },
    Query { name: "late_events", views: &[LateEvent::VIEW, LateElements::VIEW, DuplicateCount::VIEW], publish: |g, s, o| { late_events::publish(g, &s.input); g.publish(s.late(o)); } },
];

#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule { name: "team_drift", definition: &team_drift::TEAM_DRIFT, alerts: team_drift::team_drift },
    Rule { name: "volume_surge", definition: &volume_surge::VOLUME_SURGE, alerts: volume_surge::volume_surge },
    Rule { name: "aht_spike", definition: &aht_spike::AHT_SPIKE, alerts: aht_spike::aht_spike },
    Rule { name: "queue_overflow", definition: &queue_overflow::QUEUE_OVERFLOW, alerts: queue_overflow::queue_overflow },
    Rule { name: "agent_stuck", definition: &agent_stuck::AGENT_STUCK, alerts: agent_stuck::agent_stuck },
    Rule { name: "mapping_missing", definition: &mapping_missing::MAPPING_MISSING, alerts: mapping_missing::mapping_missing },
    Rule { name: "feed_silent", definition: &feed_silent::FEED_SILENT, alerts: feed_silent::feed_silent },
    Rule { name: "consumer_lag", definition: &consumer_lag::CONSUMER_LAG, alerts: consumer_lag::consumer_lag },
    Rule { name: "dead_letter_rate", definition: &dead_letter_rate::DEAD_LETTER_RATE, alerts: dead_letter_rate::dead_letter_rate },
];

/// All views, sorted by name.
pub fn views() -> Vec<&'static View> {
    let mut views: Vec<&'static View> =
        QUERIES.iter().flat_map(|query| query.views.iter().copied()).collect();
    views.push(AlertRow::VIEW);
    views.sort_by_key(|view| view.name);
    views
}

/// Builds every query and rule into the graph.
pub fn build(graph: &mut Graph<'_, Entry>, settings: &Settings) {
    build_only(graph, settings, |_| true);
}

/// Builds the queries and rules whose name is `wanted`.
pub fn build_only(
    graph: &mut Graph<'_, Entry>,
    settings: &Settings,
    wanted: impl Fn(&str) -> bool,
) {
    let input = Inputs::new(graph, settings);
    input.keep_refused(graph);
    let told = told(&input);
    let measured = measured(&input, told.clone(), settings);
    let (intervals, late) = queue_interval::queue_interval(&input, &measured, settings);
    let late = late_elements(QueueInterval::VIEW.name, named(late));
    let (reconciliation, missed) =
        queue_reconciliation::queue_reconciliation(&input, &measured, settings);
    let missed = late_elements(QueueReconciliation::VIEW.name, named(missed));
    let (lag, behind) = source_lag::source_lag(&input, settings);
    let behind = late_elements(SourceLag::VIEW.name, behind);
    let shared = Shared {
        adherence: adherence(&input),
        measured,
        outcomes: outcomes(told),
        intervals,
        reconciliation,
        lag,
        late: late.concat(missed).concat(behind),
        rolling: OnceCell::new(),
        rules: input.rule_updates(),
        feeds: feeds::feeds(&input),
        input,
        surges: OnceCell::new(),
        day: OnceCell::new(),
        staffed: OnceCell::new(),
    };
    for query in QUERIES.iter().filter(|query| wanted(query.name)) {
        (query.publish)(graph, &shared, settings);
    }
    let rules = RULES.iter().filter(|rule| wanted(rule.name));
    let alerts = rules.map(|rule| (rule.alerts)(&shared, settings)).reduce(|all, more| Alerts {
        rows: all.rows.concat(more.rows),
        messages: all.messages.concat(more.messages),
    });
    if let Some(alerts) = alerts {
        graph.publish(alerts.rows);
        graph.notify(alerts.messages);
    }
}

fn named(late: Table<'_, (QueueId, LateElement)>) -> Table<'_, (Name, LateElement)> {
    late.map(|(queue, late)| (queue.0, late))
}
