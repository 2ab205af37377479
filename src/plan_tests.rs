//! Tests of configurations and plans: the examples resolve, and mistakes are told with their place and their cure.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::config::parse;

fn secret(name: &str) -> Option<String> {
    if name.ends_with("URL") {
        return Some("https://pager.example.com/hook".to_owned());
    }
    name.starts_with("HIGHWATER_").then(|| format!("0123456789abcdef0123456789abcdef-{name}"))
}

fn resolve(text: &str) -> Result<Plan, String> {
    let config = parse(text).map_err(|error| error.to_string())?;
    Plan::resolve(config, Path::new("/etc/highwater"), &secret)
}

#[test]
fn every_example_resolves_and_prints() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "toml") {
            let plan = resolve(&std::fs::read_to_string(&path).unwrap());
            let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(plan.to_string().contains("queue_interval"), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} examples in {}", examples.display());
}

#[test]
fn an_empty_file_is_a_service_on_loopback() {
    let plan = resolve("").unwrap();
    assert_eq!(plan.http.config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(plan.data_dir, Path::new("/etc/highwater/data"));
    assert_eq!(plan.sinks.path, Path::new("/etc/highwater/data/views.sqlite"));
    assert_eq!(plan.http_future_ms, Some(600_000));
    assert_eq!(plan.journal.quiet_delay_ms, 2_000);
    assert!((1..=8).contains(&plan.workers));
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    let cases = [
        ("[service]\ndata_dri = 'x'", "line 2, column 1"),
        ("[service]\n\nworkers = 'two'", "line 3, column 11"),
        ("[http]\nlisten = '8080'", "line 2, column 10"),
        ("[queries]\nclosed = 'both'", "line 2, column 10"),
        ("[service\n", "line 1, column 9"),
        ("[[sources]]\nkind = 'files'", "line 2, column 8"),
    ];
    for (text, place) in cases {
        let error = resolve(text).unwrap_err();
        assert!(error.contains(place), "{text:?} says {error}");
    }
}

#[test]
fn what_cannot_work_is_told_before_anything_starts() {
    let cases = [
        ("[http]\nlisten = '0.0.0.0:80'", "no bearer token"),
        ("[[http.tokens]]\nenv = 'NOT_SET'\nroles = ['read']", "NOT_SET is not set"),
        ("[service]\nworkers = 0", "use 1 to 256"),
        ("[journal]\nqueue_events = 10", "at least 4096"),
        ("[queries]\ninterval_s = 0", "queries.interval_s"),
        ("[queries]\nrolling_s = 100", "multiple of"),
        ("[sinks]\nrows_per_commit_max = 0", "at least 1"),
        ("[[alerts]]\nkind='log'\nname='a'\n[[alerts]]\nkind='log'\nname='a'", "names must differ"),
        ("[[sources]]\nkind='sim'\n[[sources]]\nkind='sim'", "is taken"),
        ("[[sources]]\nkind='sim'\nname='http'", "is taken"),
        ("[[sources]]\nkind='sim'\nname='a b'", "cannot name a source"),
        ("[[sources]]\nkind='sim'\n[sources.center]\nagnets=5", "unknown field `agnets`"),
    ];
    for (text, part) in cases {
        let error = resolve(text).unwrap_err();
        assert!(error.contains(part), "{text:?} says {error}");
    }
}

#[test]
fn the_wall_clock_never_overtakes_a_recording() {
    let recorded = |sources: &str| {
        let plan = resolve(sources).unwrap();
        // What holds the watermark is the recording itself, until it ends; quiet time is the deployment's.
        assert_eq!(plan.journal.quiet_delay_ms, 2_000);
        plan.sources.iter().all(|source| !source.live())
    };
    assert!(recorded("[[sources]]\nkind='file'\npaths=['a']"));
    assert!(recorded("[[sources]]\nkind='sim'"));
    assert!(!recorded("[[sources]]\nkind='file'\npaths=['a']\nfollow=true"));
    // A simulation may run ahead of the wall: what people send into it is not from the future.
    assert_eq!(resolve("[[sources]]\nkind='sim'").unwrap().http_future_ms, None);
}

#[test]
fn partitions_are_found_again_by_name() {
    let plan = resolve("[[sources]]\nkind='file'\nname='x'\npaths=['a','b']\n[[sources]]\nkind='anonymous-bank'\npath='c'\n[[sources]]\nkind='sim'").unwrap();
    let names: Vec<_> = plan.sources.iter().flat_map(SourcePlan::partitions).collect();
    assert_eq!(names[..2], ["x:file:/etc/highwater/a", "x:file:/etc/highwater/b"]);
    assert_eq!(names[2..], ["anonymous-bank", "sim:sim-acd", "sim:sim-queues", "sim:sim-wfm"]);
}
