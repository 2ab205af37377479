//! Every view against its oracle, at every closed epoch, under disorder.
//!
//! ```text
//! HIGHWATER_SEEDS=0..500 cargo test --test highwater views
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use highwater_dataflow::view::{Commit, Row, Value};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Notification, Signal, Step};
use highwater_model::{AgentId, Envelope, Event};
use highwater_queries::retain::Base;
use highwater_queries::settings::{
    AdherenceSettings, ClosedSide, Grace, PayrollSettings, RuleSettings, SiteSettings,
};
use highwater_queries::{Attribute, Attribution, Entry, Settings};

use crate::oracle::alarms::Stretch;
use crate::oracle::team_drift::passed_in;
use crate::oracle::{Contents, Epoch, Oracle};
use crate::sim::delivery::{Trouble, deliver, epochs};
use crate::sim::drive::{Sinks, difference, run, run_with_restarts};
use crate::sim::random::Random;
use crate::sim::world::{Edits, LENGTH, START, happenings};

/// The seeds to run, from the environment or `usual`.
fn seeds(usual: impl Iterator<Item = u64>) -> Vec<u64> {
    let Ok(text) = std::env::var("HIGHWATER_SEEDS") else { return usual.collect() };
    let parse = |text: &str| text.trim().parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(parse(from)?..parse(to)?));
    range.unwrap_or_else(|| panic!("HIGHWATER_SEEDS={text}; write it as 0..500")).collect()
}

/// The usual seeds, and one that once found what they did not.
fn usual() -> impl Iterator<Item = u64> {
    (0..20).chain([26])
}

/// A deployment and its input, made from a seed.
struct Case {
    settings: Settings,
    epochs: Vec<Epoch>,
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        // Every third run forgets within the run what lies too far back.
        let forgets = seed % 3 == 2;
        let edits = if forgets { Edits::None } else { Edits::Past };
        let settings = Settings {
            interval_s: *random.pick(&[300, 900, 1800]),
            closed: *random.pick(&[ClosedSide::Left, ClosedSide::Right]),
            allowed_lateness_s: *random.pick(&[0, 300, 600, 1800]),
            correction_s: if forgets { 1800 + random.within(0, 1800) } else { 86_400 },
            empty_intervals: random.chance(75),
            attribution: Attribution {
                counts: *random.pick(&[
                    Attribute::Event,
                    Attribute::Event,
                    Attribute::Offered,
                    Attribute::Completed,
                ]),
                handle_time: *random.pick(&[
                    Attribute::Event,
                    Attribute::Event,
                    Attribute::Offered,
                    Attribute::Completed,
                    Attribute::Prorated,
                ]),
            },
            rules: rules(&mut random),
            ..time_settings(seed)
        };
        settings.check().unwrap();
        let trouble = Trouble {
            duplicates: *random.pick(&[5, 20, 50]),
            late: *random.pick(&[1, 5, 15]),
            very_late: if forgets { 3 } else { 0 },
            late_edits: !forgets,
            partitions: random.within(1, 4) as u32,
            // By the seed itself: the other numbers stay what they were.
            recording: (seed / 2 % 3 == 1).then_some(0),
            disorder: *random.pick(&[0, 10_000, 60_000]),
            ends: random.chance(50),
        };
        let happenings = happenings(&mut random, edits);
        let told = deliver(&mut random, happenings, trouble);
        let largest = *random.pick(&[20, 40, 120]);
        let epochs = epochs(&mut random, told, largest, trouble);
        Case { settings, epochs }
    }
}

/// What a deployment chose about adherence, zones and pay. In the north a day ends in the middle of the run.
fn time_settings(seed: u64) -> Settings {
    // Random numbers of its own: the others stay what they were.
    let mut random = Random::new(seed ^ 0x5eed_0ad4);
    let zones = [("north", "Etc/GMT+9"), ("south", "Asia/Kathmandu")];
    let zones = zones.into_iter().filter(|_| random.chance(80));
    let sites = SiteSettings {
        time_zones: zones.map(|(site, zone)| (site.into(), zone.into())).collect(),
        ..SiteSettings::default()
    };
    Settings {
        adherence: AdherenceSettings {
            grace_s: *random.pick(&[0, 0, 90, 300]),
            grace: *random.pick(&[Grace::Whole, Grace::Whole, Grace::Excess]),
            refresh_s: *random.pick(&[20, 180, 420]),
            day_refresh_s: *random.pick(&[20, 180, 900]),
        },
        payroll: PayrollSettings {
            unpaid_states: if random.chance(50) {
                vec!["lunch".into()]
            } else {
                vec!["break".into(), "away".into()]
            },
        },
        sites,
        aht_history_s: *random.pick(&[None, Some(900), Some(3600), Some(7700)]),
        ..Settings::default()
    }
}

/// Rules told so that a small world sets them off.
fn rules(random: &mut Random) -> BTreeMap<String, RuleSettings> {
    let mut rules = BTreeMap::new();
    let mut tell = |rule: &str, parameters: &[(&str, i64)]| {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), *value as f64));
        let told = RuleSettings { enabled: None, parameters: parameters.collect() };
        rules.insert(rule.to_owned(), told);
    };
    tell(
        "team_drift",
        &[("agents_out_min", random.within(2, 4)), ("lasting_s", *random.pick(&[0, 0, 0, 120]))],
    );
    tell(
        "queue_overflow",
        &[("waiting_max", random.within(2, 6)), ("lasting_s", *random.pick(&[0, 60, 200]))],
    );
    tell("volume_surge", &[("sigmas", random.within(0, 2)), ("dispersion", 1)]);
    tell("aht_spike", &[("min_contacts", 1), ("history_min", 2)]);
    let limit = random.within(2, 9) * 60;
    tell(
        "agent_stuck",
        &[("break_s", limit), ("acw_s", limit / 2), ("away_s", 300), ("lunch_s", 0)],
    );
    tell("feed_silent", &[("silent_s", *random.pick(&[20, 60, 240]))]);
    tell(
        "consumer_lag",
        &[("lag_max_s", *random.pick(&[20, 60, 300])), ("lasting_s", *random.pick(&[0, 30]))],
    );
    tell("dead_letter_rate", &[("letters_max", random.within(0, 2))]);
    rules
}

#[test]
fn views_equal_their_oracles_at_every_epoch_even_seeds() {
    for seed in seeds(usual()).into_iter().filter(|seed| seed % 2 == 0) {
        check(seed);
    }
}

#[test]
fn views_equal_their_oracles_at_every_epoch_odd_seeds() {
    for seed in seeds(usual()).into_iter().filter(|seed| seed % 2 == 1) {
        check(seed);
    }
}

/// Whatever the order of arrival and however it is cut, the same is known in the end.
#[test]
fn arrival_order_and_batching_leave_no_trace() {
    for seed in seeds(0..6) {
        let settings = Settings { allowed_lateness_s: 86_400, ..Settings::default() };
        let trouble = Trouble {
            duplicates: 20,
            late: 10,
            very_late: 2,
            late_edits: true,
            partitions: 3,
            recording: None,
            disorder: 30_000,
            ends: false,
        };
        let outcome = |order: u64| {
            let mut random = Random::new(seed);
            let happenings = happenings(&mut random, Edits::Past);
            let mut told = deliver(&mut random, happenings, trouble);
            let mut random = Random::new(seed + order);
            if order > 0 {
                random.shuffle(&mut told);
            }
            let mut epochs = epochs(&mut random, told, 20 + 60 * order as i64, trouble);
            let number = epochs.last().map_or(1, |last| last.number + 1);
            let bound = START + 10 * LENGTH;
            let signals =
                (0..trouble.partitions).map(|partition| Signal::Bound { partition, bound });
            epochs.push(Epoch { number, entries: Vec::new(), signals: signals.collect() });
            let mut sinks = Sinks::default();
            for commit in run(&settings, &epochs, 1, false) {
                sinks.apply(&commit).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
            }
            for view in FORECASTS {
                assert!(!sinks.views[view].is_empty(), "seed {seed}: {view} shows something");
            }
            settled(sinks.views)
        };
        let (views, standing) = outcome(0);
        assert!(!standing.is_empty() && views.len() > 4, "seed {seed} shows something");
        for order in 1..=2 {
            let (others, standing_too) = outcome(order);
            same(&others, &views).unwrap_or_else(|wrong| panic!("seed {seed}/{order}: {wrong}"));
            assert_eq!(standing_too, standing, "seed {seed}/{order}: alerts that stand");
        }
    }
}

/// What was forecast is a fact of its time: by what was known then.
const FORECASTS: [&str; 4] = ["reforecast", "staffing", "forecast_refresh", "reforecast_accuracy"];

/// What is known in the end, whatever the order in which it came to be known: the views, and the alerts that stand.
pub(crate) fn settled(mut views: Contents) -> (Contents, BTreeSet<Stretch>) {
    // What came when is all it tells.
    views.remove("source_lag");
    for view in FORECASTS {
        views.remove(view);
    }
    let alerts = views.remove("alerts").unwrap_or_default();
    let standing = alerts.values().filter(|row| text(&row[3]) != "retracted").map(claim);
    // Of two copies of an event the one that comes first is the cause.
    let standing = standing.map(|claim| Stretch { causes: None, ..claim });
    // How late things came is the one thing that must show.
    let standing = standing.filter(|claim| claim.rule != "consumer_lag").collect();
    (as_corrected(views), standing)
}

/// Stopped at any closed epoch and continued from what the operators kept, every later commit is the same to the byte.
#[test]
fn restarts_leave_no_trace() {
    for seed in seeds(usual()) {
        let case = Case::of(seed);
        let whole = run(&case.settings, &case.epochs, 1, false);
        let mut random = Random::new(seed ^ 0x5eed);
        for workers in [1, 1, 2] {
            let n = case.epochs.len() as i64;
            let mut cuts: Vec<usize> =
                (0..random.within(1, 4)).map(|_| random.within(1, n) as usize).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let from = cuts.last().copied().unwrap_or(0);
            let others = run_with_restarts(&case.settings, &case.epochs, workers, &cuts);
            if let Some(difference) = difference(&whole[from..], &others) {
                panic!("seed {seed}: {workers} workers, restarts after {cuts:?}\n{difference}");
            }
            assert_eq!(others.len(), whole.len() - from, "seed {seed}: a commit for each");
        }
    }
}

/// The views without what they say of how they came about: what was published once, and what was corrected when.
fn as_corrected(mut views: Contents) -> Contents {
    views.remove("payroll_ledger");
    for view in highwater_queries::registry::views() {
        let Some(rows) = views.get_mut(view.name) else { continue };
        let named = |name: &'static str| {
            view.columns.iter().enumerate().filter(move |(_, column)| column.name.starts_with(name))
        };
        if named("published_").next().is_none() {
            continue;
        }
        for row in rows.values_mut() {
            named("published_").for_each(|(n, _)| row[n] = Value::Null);
        }
        // A row that came to nothing stays for what was published.
        let amounts = ["scheduled_ms", "outside_ms", "paid_ms", "productive_ms"];
        let amounts: Vec<usize> = amounts.into_iter().flat_map(named).map(|(n, _)| n).collect();
        rows.retain(|_, row| amounts.iter().any(|&n| row[n] != Value::Int(0)));
    }
    views
}

/// A replay that begins with a base instead of the journal's beginning gives the same rows for all that comes after.
#[test]
fn a_base_says_what_the_journal_before_it_said() {
    for seed in seeds(0..8) {
        let case = Case::of(seed);
        // What came too late to show an empty interval is in time in a base, which is one epoch.
        let settings = Settings { empty_intervals: false, ..case.settings.clone() };
        let whole = contents(&run(&settings, &case.epochs, 1, false));
        let cut = Random::new(seed ^ 0xba5e).within(1, case.epochs.len() as i64) as usize;
        let mut base = Base::default();
        for epoch in &case.epochs[..cut] {
            base.fold(epoch.entries.iter().cloned(), &epoch.signals, &settings);
        }
        base.compact(&settings);
        let base = Base::decode(&base.encode()).unwrap();
        let (entries, signals) = base.input();
        let mut epochs = vec![Epoch { number: case.epochs[cut - 1].number, entries, signals }];
        epochs.extend_from_slice(&case.epochs[cut..]);
        let from = base.vouches_from();
        let rest = contents(&run(&settings, &epochs, 1, false));
        let after = |contents: &Contents, view: &str, end: usize| {
            let rows = contents.get(view).into_iter().flat_map(BTreeMap::values);
            let rows = rows.filter(|row| matches!(row[end], Value::Int(at) if at > from));
            rows.cloned().collect::<Vec<Row>>()
        };
        for (view, end) in [("queue_interval", 2), ("queue_rolling", 2)] {
            let (is, should) = (after(&rest, view, end), after(&whole, view, end));
            assert_eq!(is, should, "seed {seed}, cut {cut}: {view}");
        }
        assert_eq!(rest.get("queue_now"), whole.get("queue_now"), "seed {seed}, cut {cut}");
        if seed % 3 != 2 {
            let now = |contents: &Contents| contents.get("adherence_now").cloned();
            assert_eq!(now(&rest), now(&whole), "seed {seed}, cut {cut}");
            for (view, end) in
                [("adherence_interval", 4), ("adherence_day", 4), ("payroll_hours", 3)]
            {
                let (is, should) = (after(&rest, view, end), after(&whole, view, end));
                assert_eq!(is, should, "seed {seed}, cut {cut}: {view}");
            }
        }
    }
}

/// What views hold in the end.
fn contents(commits: &[Commit]) -> Contents {
    let mut sinks = Sinks::default();
    for commit in commits {
        sinks.apply(commit).unwrap();
    }
    sinks.views
}

/// One seed, for 1, 2 and 4 workers, epoch by epoch and many at once.
fn check(seed: u64) {
    let case = Case::of(seed);
    let commits = run(&case.settings, &case.epochs, 1, true);
    if let Err(wrong) = compare(&case, &commits) {
        panic!("seed {seed}: {wrong}");
    }
    for (workers, one_by_one) in [(1, false), (2, seed.is_multiple_of(4)), (4, false)] {
        let others = run(&case.settings, &case.epochs, workers, one_by_one);
        if let Some(difference) = difference(&commits, &others) {
            panic!(
                "seed {seed}: {workers} workers (one by one: {one_by_one}) differ\n{difference}"
            );
        }
    }
}

/// Folds the commits and holds every epoch against the oracles.
fn compare(case: &Case, commits: &[Commit]) -> Result<(), String> {
    let mut oracle = Oracle::new(&case.settings);
    let mut sinks = Sinks::default();
    let mut watermark = BEGINNING;
    for (nth, (epoch, commit)) in case.epochs.iter().zip(commits).enumerate() {
        let place = format!("epoch {nth} of {} ({})", case.epochs.len(), epoch.number);
        sinks.apply(commit).map_err(|wrong| format!("{place}: {wrong}"))?;
        let before = std::mem::replace(&mut watermark, commit.watermark);
        let expected = oracle.after(epoch);
        causes(epoch, commit, before, oracle.known(), &expected.passed)
            .map_err(|wrong| format!("{place}: {wrong}"))?;
        if commit.watermark != expected.watermark {
            let (is, should) = (commit.watermark, expected.watermark);
            return Err(format!("{place}: the watermark is {is}, not {should}"));
        }
        same(&sinks.views, &expected.views)
            .and_then(|()| alerts(&sinks, commit, &expected.alarms))
            .and_then(|()| settles(&sinks.views))
            .map_err(|wrong| format!("{place}, watermark {}: {wrong}", commit.watermark))?;
    }
    Ok(())
}

/// Every view but `alerts` holds exactly the expected rows.
pub(crate) fn same(views: &Contents, expected: &Contents) -> Result<(), String> {
    for (name, rows) in expected {
        let none = std::collections::BTreeMap::new();
        let held = views.get(name).unwrap_or(&none);
        if held == rows {
            continue;
        }
        let mut wrong = format!("{name} differs");
        for key in held.keys().chain(rows.keys()).collect::<BTreeSet<_>>() {
            let (is, should) = (held.get(key), rows.get(key));
            if is != should {
                let _ = write!(wrong, "\n  is     {is:?}\n  should {should:?}");
            }
        }
        return Err(wrong);
    }
    Ok(())
}

/// The alerts that stand are the true alarms, each told by its messages; what this commit retracts is untrue.
fn alerts(sinks: &Sinks, commit: &Commit, alarms: &[Stretch]) -> Result<(), String> {
    let none = BTreeMap::new();
    let rows = sinks.views.get("alerts").unwrap_or(&none);
    let mut standing = Vec::new();
    for row in rows.values() {
        let claim = claim(row);
        let status = text(&row[3]);
        let by_extent = if claim.to == FOREVER { "open" } else { "resolved" };
        if status == by_extent {
            standing.push(claim);
        } else if status != "retracted" {
            return Err(format!("an alert is {status} and should be {by_extent}: {row:?}"));
        }
    }
    standing.sort();
    let same = |claim: &Stretch, alarm: &Stretch| {
        let causes = alarm.causes.as_ref().or(claim.causes.as_ref());
        *claim == Stretch { causes: causes.cloned(), ..alarm.clone() }
    };
    if standing.len() != alarms.len() || !standing.iter().zip(alarms).all(|(a, b)| same(a, b)) {
        let within = |all: &[Stretch], one: &Stretch| {
            all.iter().any(|other| same(one, other) || same(other, one))
        };
        let wrong: Vec<_> = standing.iter().filter(|claim| !within(alarms, claim)).collect();
        let missing: Vec<_> = alarms.iter().filter(|alarm| !within(&standing, alarm)).collect();
        return Err(format!("alerts differ\n  wrong   {wrong:#?}\n  missing {missing:#?}"));
    }
    // What is retracted is untrue now; it may come true again later, under this name or another.
    for message in commit.notifications.iter().filter(|m| m.step == Step::Retracted) {
        let is = &message.incident;
        let claimed = (message.rule.as_str(), is.scope.as_str(), is.from, is.to);
        if alarms.iter().any(|a| (a.rule.as_str(), a.scope.as_str(), a.from, a.to) == claimed) {
            return Err(format!("retracted, and true: {message:?}"));
        }
    }
    for message in commit.notifications.iter().filter(|m| m.step == Step::Retracted) {
        taken_back(message, rows).map_err(|wrong| format!("{wrong}: {message:?}"))?;
    }
    if rows.len() != sinks.alerts.len() {
        return Err(format!("{} alerts, messages of {}", rows.len(), sinks.alerts.len()));
    }
    for row in rows.values() {
        let id = text(&row[0]);
        let Some(last) = sinks.alerts.get(id) else {
            return Err(format!("no message of {id}"));
        };
        let status = match last.step {
            Step::Retracted => "retracted",
            _ if last.incident.to == FOREVER => "open",
            _ => "resolved",
        };
        let told = Stretch {
            rule: last.rule.to_string(),
            scope: last.incident.scope.to_string(),
            from: last.incident.from,
            to: last.incident.to,
            value: last.incident.value,
            threshold: last.incident.threshold,
            members: last.incident.members.join(","),
            reason: last.incident.reason.to_string(),
            causes: Some(last.incident.causes.clone()),
        };
        if (claim(row), text(&row[3]), &row[9])
            != (told, status, &Value::Int(i64::from(last.revision)))
        {
            return Err(format!("the row {row:?} is not what was told last: {last:?}"));
        }
    }
    Ok(())
}

/// What is taken back says why: another alert covers it now, and which; or nothing does, and it never was true.
fn taken_back(message: &Notification, rows: &BTreeMap<String, Row>) -> Result<(), String> {
    let is = &message.incident;
    let covers = |row: &&Row| {
        let other = claim(row);
        let same = (other.rule.as_str(), other.scope.as_str()) == (&*message.rule, &*is.scope);
        same && text(&row[3]) != "retracted" && other.from < is.to && is.from < other.to
    };
    let mut covering = rows.values().filter(covers).map(|row| text(&row[0]));
    match is.reason.strip_prefix("merged into ") {
        Some(other) if covering.any(|id| id == other) => Ok(()),
        Some(other) => Err(format!("{other} does not cover it")),
        None if is.reason != "never was true" => Err("no reason is given".to_owned()),
        None => covering.next().map_or(Ok(()), |other| Err(format!("it is part of {other}"))),
    }
}

/// Whoever pays what is published of a closed day, and settles every entry of the ledger, has paid what is known.
fn settles(views: &Contents) -> Result<(), String> {
    let none = BTreeMap::new();
    let int = |cell: &Value| match cell {
        Value::Int(n) => *n,
        other => panic!("no whole number: {other:?}"),
    };
    let key = |row: &Row| format!("{:?}", &row[..3]);
    let mut paid: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for entry in views.get("payroll_ledger").unwrap_or(&none).values() {
        let (time, productive) = paid.entry(key(entry)).or_default();
        (*time, *productive) = (*time + int(&entry[7]), *productive + int(&entry[10]));
    }
    for day in views.get("payroll_hours").unwrap_or(&none).values() {
        let settled = paid.remove(&key(day));
        if text(&day[9]) == "open" {
            if settled.is_some() || day[7..9] != [Value::Null, Value::Null] {
                return Err(format!("settled before it is over: {day:?}"));
            }
            continue;
        }
        let (time, productive) = settled.unwrap_or_default();
        if (int(&day[7]) + time, int(&day[8]) + productive) != (int(&day[5]), int(&day[6])) {
            return Err(format!("{time} and {productive} ms were settled of {day:?}"));
        }
    }
    // Of a day that is not there nothing was published, and nothing is known.
    match paid.into_iter().find(|(_, settled)| *settled != (0, 0)) {
        Some((day, settled)) => Err(format!("{settled:?} ms settled of no day {day}")),
        None => Ok(()),
    }
}

/// What changes, ends or takes back an alert is named: records that came in that very epoch; of alerts about agents also
/// those that time made come true in it, and then one at least. For others time may have passed without a word.
fn causes(
    epoch: &Epoch,
    commit: &Commit,
    before: EventTime,
    known: &[Envelope],
    passed: &BTreeMap<AgentId, BTreeSet<u64>>,
) -> Result<(), String> {
    let seq = |entry: &Entry| match entry {
        Entry::Event(envelope) | Entry::Recorded(envelope) | Entry::Kept(envelope) => envelope.seq,
        Entry::Rejected(rejected) => rejected.seq,
        Entry::Receipt(receipt) => receipt.seq,
    };
    let came: BTreeSet<u64> = epoch.entries.iter().map(seq).collect();
    let told = commit.notifications.iter();
    let opened: BTreeSet<&str> =
        told.clone().filter(|m| m.step == Step::Opened).map(|m| m.alert_id.as_str()).collect();
    // What opens and ends in one breath is over for what brought it about.
    for told in told.filter(|told| !opened.contains(told.alert_id.as_str())) {
        let due: BTreeSet<u64> = match told.rule.as_str() {
            "team_drift" => passed_in(&told.incident.scope, known, passed),
            "mapping_missing" => passed.values().flatten().copied().collect(),
            _ => BTreeSet::new(),
        };
        // Terms that ask for a while to pass come true when it has.
        let waited = |seq: &u64| {
            let word = |it: &Envelope| match &it.event {
                Event::RuleUpdate(word) => it.seq == *seq && word.rule == told.rule,
                _ => false,
            };
            before < commit.watermark && known.iter().any(word)
        };
        let fits = |seq: &u64| came.contains(seq) || due.contains(seq) || waited(seq);
        if let Some(other) = told.causes.iter().find(|seq| !fits(seq)) {
            return Err(format!("{other} came in another epoch, and is not due: {told:?}"));
        }
        let always = ["team_drift", "mapping_missing"].contains(&told.rule.as_str());
        if (always || commit.watermark == before) && told.causes.is_empty() {
            return Err(format!("nothing is named that could have done this: {told:?}"));
        }
    }
    Ok(())
}

/// What a row of `alerts` claims.
fn claim(row: &Row) -> Stretch {
    let int = |cell: &Value| match cell {
        Value::Int(n) => *n,
        Value::Null => FOREVER,
        other => panic!("no whole number: {other:?}"),
    };
    let seqs = text(&row[10]).split(',').filter(|seq| !seq.is_empty());
    Stretch {
        rule: text(&row[1]).to_owned(),
        scope: text(&row[2]).to_owned(),
        from: int(&row[4]),
        to: int(&row[5]),
        value: int(&row[6]),
        threshold: int(&row[7]),
        members: text(&row[8]).replace(", ", ","),
        reason: if row[13] == Value::Null { String::new() } else { text(&row[13]).to_owned() },
        causes: Some(seqs.map(|seq| seq.parse().unwrap()).collect()),
    }
}

fn text(cell: &Value) -> &str {
    match cell {
        Value::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}
