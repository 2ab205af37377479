//! When rules must alarm: levels and terms looked up at every instant at which either begins or ends.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{Envelope, Event};
use highwater_queries::Settings;
use highwater_queries::registry::RULES;

/// What a rule must claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub(crate) rule: String,
    pub(crate) scope: String,
    pub(crate) from: EventTime,
    /// `FOREVER` while it lasts.
    pub(crate) to: EventTime,
    pub(crate) value: i64,
    pub(crate) threshold: i64,
    /// Comma separated, sorted.
    pub(crate) members: String,
    /// Why it ended, where its condition did not; else empty.
    pub(crate) reason: String,
    /// Journal positions of the records that brought it about; `None` where this oracle does not follow them.
    pub(crate) causes: Option<Vec<u64>>,
}

/// Something that holds over `[from, to)`, said by the record at `seq`.
#[derive(Clone, Debug)]
pub(crate) struct Level<V> {
    pub(crate) from: EventTime,
    pub(crate) to: EventTime,
    pub(crate) value: V,
    pub(crate) seq: u64,
}

/// What is found at an instant: value, threshold, how long it must last (ms), and of which kind it is.
pub(crate) type Found = (i64, i64, i64, i64);

/// A word on a rule: its event time, whether it is on, parameters in thousandths, and its journal position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    pub(crate) at: EventTime,
    pub(crate) enabled: Option<bool>,
    pub(crate) parameters: BTreeMap<String, i64>,
    pub(crate) seq: u64,
}

/// All words on a rule, and what is configured.
pub(crate) struct Book {
    rule: &'static str,
    configured: (bool, BTreeMap<String, i64>),
    words: Vec<(Option<String>, Word)>,
}

/// Parameters by name, in thousandths, where the rule is on.
pub(crate) type InForce = Option<BTreeMap<String, i64>>;

impl Book {
    pub(crate) fn of(rule: &'static str, known: &[Envelope], settings: &Settings) -> Self {
        let definition = RULES.iter().find(|known| known.name == rule).unwrap().definition;
        let mut configured: BTreeMap<String, i64> = BTreeMap::new();
        for parameter in definition.parameters {
            configured.insert(parameter.name.to_owned(), parameter.default_milli);
        }
        let mut enabled = definition.enabled;
        if let Some(said) = settings.rules.get(rule) {
            enabled = said.enabled.unwrap_or(enabled);
            for (name, value) in &said.parameters {
                configured.insert(name.clone(), (value * 1000.0).round() as i64);
            }
        }
        let mut words = Vec::new();
        for envelope in known {
            let Event::RuleUpdate(update) = &envelope.event else { continue };
            if update.rule != rule {
                continue;
            }
            let mut parameters = BTreeMap::new();
            for said in &update.parameters {
                let Some(parameter) = definition.parameters.iter().find(|p| p.name == said.name)
                else {
                    continue;
                };
                let whole = !parameter.whole || said.value_milli % 1000 == 0;
                if whole && said.value_milli >= parameter.min_milli {
                    parameters.insert(said.name.to_string(), said.value_milli);
                }
            }
            let scope = update.scope.as_ref().map(ToString::to_string);
            let (at, seq) = (envelope.at, envelope.seq);
            words.push((scope, Word { at, enabled: update.enabled, parameters, seq }));
        }
        Book { rule, configured: (enabled, configured), words }
    }

    /// The words that bear on a scope, widest first.
    fn bearing(&self, scope: &str, profile: &[Word]) -> [Vec<Word>; 3] {
        let said = |of: Option<&str>| {
            let words = self.words.iter().filter(|(scope, _)| scope.as_deref() == of);
            words.map(|(_, word)| word.clone()).collect::<Vec<Word>>()
        };
        [said(None), profile.to_vec(), said(Some(scope))]
    }

    /// What is in force at `at`, and the record that said so if it did just then.
    fn at(&self, layers: &[Vec<Word>; 3], at: EventTime) -> (InForce, Option<u64>) {
        let (mut enabled, mut parameters) = self.configured.clone();
        let mut said = None;
        for layer in layers {
            let latest = layer.iter().filter(|word| word.at <= at).max_by_key(|word| {
                // Of two at one instant the greater says more; of two alike the last in the journal.
                (word.at, word.enabled, numbered(self.rule, word), word.seq)
            });
            let Some(word) = latest else { continue };
            enabled = word.enabled.unwrap_or(enabled);
            parameters.extend(word.parameters.clone());
            if word.at == at {
                said = Some(word.seq);
            }
        }
        (enabled.then_some(parameters), said)
    }

    /// The stretches over which the rule must alarm in a scope, with the levels that hold during each.
    pub(crate) fn alarms<V: Clone>(
        &self,
        scope: &str,
        profile: &[Word],
        levels: &[Level<V>],
        watermark: EventTime,
        judge: impl Fn(&BTreeMap<String, i64>, &[&V]) -> Option<Found>,
    ) -> Vec<(Stretch, Vec<V>)> {
        let layers = self.bearing(scope, profile);
        let mut instants: BTreeSet<EventTime> = BTreeSet::new();
        for level in levels {
            instants.extend([level.from, level.to]);
        }
        instants.extend(layers.iter().flatten().map(|word| word.at));
        instants.remove(&FOREVER);
        let instants: Vec<EventTime> = instants.into_iter().collect();

        let holding = |at: EventTime| -> Vec<&V> {
            let mut holding: Vec<&Level<V>> =
                levels.iter().filter(|l| l.from <= at && at < l.to).collect();
            holding.sort_by_key(|level| level.from);
            holding.into_iter().map(|level| &level.value).collect()
        };
        let found = |terms: &InForce, at: EventTime| {
            let values = holding(at);
            terms.as_ref().filter(|_| !values.is_empty()).and_then(|terms| judge(terms, &values))
        };
        // What is found from each instant to the next.
        let pieces: Vec<(EventTime, EventTime, Option<Found>)> = instants
            .iter()
            .enumerate()
            .map(|(i, &at)| {
                let to = instants.get(i + 1).copied().unwrap_or(FOREVER);
                (at, to, found(&self.at(&layers, at).0, at))
            })
            .collect();
        let mut alarms = Vec::new();
        let mut i = 0;
        while i < pieces.len() {
            let (began, _, Some((_, _, _, kind))) = pieces[i] else {
                i += 1;
                continue;
            };
            let mut end = i;
            while end < pieces.len() && pieces[end].2.is_some_and(|found| found.3 == kind) {
                end += 1;
            }
            let over = pieces[end - 1].1;
            // The parts of this condition over which it is an alarm.
            let mut parts: Vec<(EventTime, EventTime)> = Vec::new();
            for &(from, to, found) in &pieces[i..end] {
                let lasting = found.unwrap().2;
                let alarming = from.max(began.saturating_add(lasting));
                let told = lasting == 0 || over < FOREVER || began + lasting <= watermark;
                if told && alarming < to {
                    match parts.last_mut() {
                        Some(last) if last.1 == alarming => last.1 = to,
                        Some(_) => parts.push((alarming, to)),
                        None => parts.push((began, to)),
                    }
                }
            }
            for (from, to) in parts {
                let inside = pieces[i..end].iter().filter(|p| p.0 < to && p.1 > from);
                let peak = inside.map(|piece| piece.2.unwrap()).max_by_key(|found| found.0);
                let (value, threshold, ..) = peak.unwrap();
                let reason = if to == FOREVER {
                    ""
                } else if to < over {
                    "rule changed"
                } else {
                    // Would the terms before have gone on?
                    let before = self.at(&layers, to - 1).0;
                    match (self.at(&layers, to).0, found(&before, to)) {
                        _ if found(&self.at(&layers, to).0, to).is_some() => "",
                        (None, Some(_)) => "rule disabled",
                        (Some(_), Some(_)) => "rule changed",
                        (_, None) => "",
                    }
                };
                let held = levels.iter().filter(|level| level.from < to && level.to > from);
                let first = held.clone().filter(|level| level.from <= from).map(|level| level.seq);
                let mut causes: Vec<u64> = first.chain(self.at(&layers, from).1).collect();
                causes.sort_unstable();
                causes.dedup();
                let stretch = Stretch {
                    rule: self.rule.to_owned(),
                    scope: scope.to_owned(),
                    from,
                    to,
                    value,
                    threshold,
                    members: String::new(),
                    reason: reason.to_owned(),
                    causes: Some(causes),
                };
                alarms.push((stretch, held.map(|level| level.value.clone()).collect()));
            }
            i = end;
        }
        alarms
    }
}

/// Parameters by their place in the rule's definition: how two words of one instant compare.
fn numbered(rule: &str, word: &Word) -> Vec<(usize, i64)> {
    let definition = RULES.iter().find(|known| known.name == rule).unwrap().definition;
    let place = |name: &String| definition.parameters.iter().position(|p| p.name == name).unwrap();
    // As they came: by name.
    word.parameters.iter().map(|(name, value)| (place(name), *value)).collect()
}

/// Points as what holds until the next one: `(at, value, seq)`, of several at one instant the greatest.
pub(crate) fn steps<V: Ord + Clone>(mut points: Vec<(EventTime, V, u64)>) -> Vec<Level<V>> {
    // The first in the journal of those that say the same comes last of its instant.
    points.sort_by(|a, b| (a.0, &a.1, b.2).cmp(&(b.0, &b.1, a.2)));
    let mut levels: Vec<Level<V>> = Vec::new();
    for (at, value, seq) in points {
        match levels.last_mut() {
            Some(last) if last.from == at => (last.value, last.seq) = (value, seq),
            last => {
                if let Some(last) = last {
                    last.to = at;
                }
                levels.push(Level { from: at, to: FOREVER, value, seq });
            }
        }
    }
    levels
}

/// Levels that hold for `most` ms at most, as far as the watermark knows.
pub(crate) fn at_most<V>(levels: &mut [Level<V>], most: i64, watermark: EventTime) {
    for level in levels {
        let over = level.from.saturating_add(most);
        if level.to < FOREVER || over <= watermark {
            level.to = level.to.min(over);
        }
    }
}
