//! What a rule is told: its parameters, their defaults, and which terms are in force where and when.
//!
//! in   rule updates (rule, RuleUpdate from then on)   the scopes there are
//! out  terms (scope, Span<Terms>)   contiguous per scope, without the stretches over which the rule is disabled
//!
//! The most specific word counts, parameter by parameter: that of the scope itself, then that of everywhere, then the
//! configuration. A word is in force from its event time on; like every other event it may come late.

use highwater_dataflow::{
    Alarm, Alerts, BEGINNING, End, EventTime, FOREVER, Incident, Millis, Point, Revision, Span,
    Table,
};
use highwater_model::{Name, RuleUpdate};
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// What a rule is called, what it is about and what it can be told.
#[derive(Debug)]
pub struct Definition {
    pub name: &'static str,
    /// What its scopes are: a team, a queue, an agent.
    pub scope: &'static str,
    pub enabled: bool,
    pub parameters: &'static [Parameter],
}

/// A quantity that a rule is told.
#[derive(Debug)]
pub struct Parameter {
    /// Ends in its unit, as in `lasting_s`; without one it is a number of things.
    pub name: &'static str,
    pub doc: &'static str,
    pub default_milli: i64,
    pub min_milli: i64,
    /// Whether fractions make no sense.
    pub whole: bool,
}

impl Parameter {
    /// A number of things, `min` at least.
    pub const fn count(name: &'static str, default: i64, min: i64, doc: &'static str) -> Self {
        let (default_milli, min_milli) = (default * 1000, min * 1000);
        Parameter { name, doc, default_milli, min_milli, whole: true }
    }

    /// A length of event time in seconds, 0 or more; in thousandths it is in milliseconds.
    pub const fn seconds(name: &'static str, default: i64, doc: &'static str) -> Self {
        Parameter { name, doc, default_milli: default * 1000, min_milli: 0, whole: false }
    }

    /// A number with up to three decimals, in thousandths.
    pub const fn number(
        name: &'static str,
        default_milli: i64,
        min_milli: i64,
        doc: &'static str,
    ) -> Self {
        Parameter { name, doc, default_milli, min_milli, whole: false }
    }

    /// What is wrong with a value, in words.
    fn fault(&self, value_milli: i64) -> Option<String> {
        if value_milli < self.min_milli {
            return Some(format!("{} must be at least {}", self.name, decimal(self.min_milli)));
        }
        let broken = self.whole && value_milli % 1000 != 0;
        broken.then(|| format!("{} must be a whole number", self.name))
    }
}

/// What is in force: one value per parameter of the rule, in thousandths, in the order of its definition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Terms {
    pub enabled: bool,
    values: Vec<i64>,
}

impl Terms {
    /// The parameter's value in thousandths: milliseconds of one that is in seconds.
    pub fn milli(&self, parameter: usize) -> i64 {
        self.values[parameter]
    }

    /// The value of a parameter that is a number of things.
    pub fn count(&self, parameter: usize) -> i64 {
        self.values[parameter] / 1000
    }

    /// Both as a sender would write them: `agents_out_min=3 lasting_s=0`.
    pub fn text(&self, definition: &Definition) -> String {
        let pairs = definition.parameters.iter().zip(&self.values);
        let pairs: Vec<String> =
            pairs.map(|(parameter, &v)| format!("{}={}", parameter.name, decimal(v))).collect();
        pairs.join(" ")
    }
}

/// Thousandths as a decimal number.
fn decimal(milli: i64) -> String {
    let text = format!("{}.{:03}", milli.abs() / 1000, milli.abs() % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{text}", if milli < 0 { "-" } else { "" })
}

/// A word on a rule, as far as the rule understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Said {
    pub enabled: Option<bool>,
    /// Parameters by their place in the definition.
    pub values: Vec<(usize, i64)>,
}

impl Definition {
    /// A word as the rule understands it, and what it does not understand or accept.
    pub fn read<'x>(
        &self,
        enabled: Option<bool>,
        parameters: impl Iterator<Item = (&'x str, i64)>,
    ) -> (Said, Vec<String>) {
        let mut said = Said { enabled, values: Vec::new() };
        let mut faults = Vec::new();
        for (name, value) in parameters {
            match self.parameters.iter().position(|parameter| parameter.name == name) {
                None => {
                    let known: Vec<&str> = self.parameters.iter().map(|it| it.name).collect();
                    let known = known.join(", ");
                    faults.push(format!("no parameter is called {name}; there are {known}"));
                }
                Some(at) => match self.parameters[at].fault(value) {
                    Some(fault) => faults.push(fault),
                    None => said.values.push((at, value)),
                },
            }
        }
        (said, faults)
    }

    pub fn heard(&self, update: &RuleUpdate) -> (Said, Vec<String>) {
        let parameters = update.parameters.iter();
        self.read(update.enabled, parameters.map(|p| (p.name.as_str(), p.value_milli)))
    }

    /// What the configuration says.
    pub fn configured(&self, settings: &Settings) -> Terms {
        let values = self.parameters.iter().map(|parameter| parameter.default_milli);
        let terms = Terms { enabled: self.enabled, values: values.collect() };
        let Some(rule) = settings.rules.get(self.name) else { return terms };
        let parameters = rule.parameters.iter();
        let parameters = parameters.map(|(name, value)| (name.as_str(), in_milli(*value)));
        terms.with(&self.read(rule.enabled, parameters).0)
    }
}

/// A configured number in thousandths.
pub(crate) fn in_milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

impl Terms {
    /// These terms, changed by what is said over them.
    pub fn with(mut self, said: &Said) -> Self {
        self.enabled = said.enabled.unwrap_or(self.enabled);
        for &(at, value) in &said.values {
            self.values[at] = value;
        }
        self
    }
}

/// Whose word it is: a later one counts more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    Everywhere,
    /// What the scope's own profile says.
    Profile,
    Scope,
}

/// The scope an update is about; `None`: everywhere.
pub fn scope_of(update: &RuleUpdate) -> Option<&Name> {
    update.scope.as_ref().filter(|scope| *scope != EVERYWHERE)
}

/// How views and senders may write "everywhere".
pub const EVERYWHERE: &str = "*";

/// The two answers of [`terms`].
pub struct InScopes<'s> {
    /// `(scope, Span<Terms>)`, contiguous per scope, without the stretches over which the rule is disabled.
    pub terms: Table<'s, (Name, Span<Terms>)>,
    /// `(scope, Revision)`: the words that bear on the scope. One that disables the rule leaves no terms that could name it.
    pub words: Table<'s, (Name, Revision)>,
}

/// What is in force in each of the `scopes`; `profiles` are words that come with the scopes themselves.
///
/// State: every word ever said of the rule, and per scope the words that bear on it. Words are reference data: few, and
/// kept.
pub fn terms<'s>(
    definition: &'static Definition,
    settings: &Settings,
    updates: Table<'s, (Name, Point<RuleUpdate>)>,
    scopes: Table<'s, Name>,
    profiles: Option<Table<'s, (Name, Point<Said>)>>,
) -> InScopes<'s> {
    let words = updates.filter(|(rule, _)| rule == definition.name).map(|(_, point)| {
        let said = definition.heard(&point.value).0;
        (scope_of(&point.value).cloned(), Point { at: point.at, value: said, seq: point.seq })
    });
    let everywhere = words.clone().filter(|(scope, _)| scope.is_none()).map(|(_, p)| ((), p));
    let base = Point { at: BEGINNING, value: Said::default(), seq: 0 };
    let mut all = scopes
        .clone()
        .map(|scope| ((), scope))
        .join(everywhere, |(), scope, word| (scope.clone(), (Layer::Everywhere, word.clone())))
        // A scope of which nothing was said has the configuration's terms.
        .concat(scopes.map(move |scope| (scope, (Layer::Everywhere, base.clone()))))
        .concat(words.flat_map(|(scope, p)| scope.map(|scope| (scope, (Layer::Scope, p)))));
    if let Some(profiles) = profiles {
        all = all.concat(profiles.map(|(scope, word)| (scope, (Layer::Profile, word))));
    }
    let words = all.clone().filter(|(_, (_, word))| word.seq > 0);
    let words = words.map(|(scope, (_, word))| (scope, Revision { at: word.at, seq: word.seq }));
    let configured = definition.configured(settings);
    let terms = all
        .reduce(&format!("terms of {}", definition.name), move |_, words, out| {
            let words: Vec<&(Layer, Point<Said>)> = words.iter().map(|(word, _)| *word).collect();
            out.extend(timeline(&configured, &words).into_iter().map(|span| (span, 1)));
        })
        .filter(|(_, span)| span.value.enabled);
    InScopes { terms, words }
}

/// The terms of one scope over time; `words` are sorted by layer, time and value.
fn timeline(configured: &Terms, words: &[&(Layer, Point<Said>)]) -> Vec<Span<Terms>> {
    let mut instants: Vec<EventTime> = words.iter().map(|(_, word)| word.at).collect();
    instants.sort_unstable();
    instants.dedup();
    let ends = instants.iter().skip(1).copied().chain([FOREVER]);
    let spans = instants.iter().zip(ends).map(|(&from, to)| {
        let mut terms = configured.clone();
        let mut seq = 0;
        for layer in words.chunk_by(|a, b| a.0 == b.0) {
            let until = layer.partition_point(|(_, word)| word.at <= from);
            let Some((_, word)) = until.checked_sub(1).map(|last| layer[last]) else { continue };
            terms = terms.with(&word.value);
            if word.at == from {
                seq = word.seq;
            }
        }
        Span { from, to, value: terms, seq }
    });
    spans.collect()
}

/// An alarm as an incident of `scope`.
pub fn incident<V>(scope: Name, alarm: Alarm<V>, members: Vec<Name>) -> Incident {
    let reason = match alarm.end {
        End::Condition => "",
        End::TermsChanged => "rule changed",
        End::TermsEnded => "rule disabled",
    };
    Incident {
        scope,
        from: alarm.from,
        to: alarm.to,
        value: alarm.value,
        threshold: alarm.threshold,
        members,
        causes: alarm.causes,
        reason: reason.into(),
    }
}

/// The alerts of a rule whose incidents these are.
pub fn raise<'s>(
    definition: &'static Definition,
    incidents: Table<'s, Incident>,
    revisions: Table<'s, (Name, Revision)>,
    horizon: Millis,
) -> Alerts<'s> {
    incidents.alerts(definition.name, revisions, horizon)
}
