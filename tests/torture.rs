//! Lives that end at a sync point, at random, or with the power cut, by the example that also does it by the thousand.
//!
//! ```text
//! cargo test --test highwater --example torture torture
//! HIGHWATER_CRASHES=2000 cargo test torture
//! ```

use std::path::PathBuf;
use std::process::Command;

/// The example. It lies beside the tests' own directory; `cargo test` builds it, `cargo test --test` does not.
fn built() -> Option<PathBuf> {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/torture");
    if !built.exists() {
        eprintln!("SKIPPED: {} is not built; `cargo test` builds it", built.display());
        return None;
    }
    Some(built)
}

fn said(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("0 lost, 0 doubled"), "{said}");
    assert!(said.contains("0 forgotten, 0 sent again"), "{said}");
    eprint!("{said}");
    said
}

#[test]
fn killed_at_sync_points_nothing_is_lost_and_nothing_doubled() {
    let Some(torture) = built() else { return };
    let cycles = std::env::var("HIGHWATER_CRASHES").unwrap_or_else(|_| "200".to_owned());
    let said = said(Command::new(torture).args(["--cycles", &cycles, "--seed", "1"]));
    // Whether a short life gets to drop old segments is a matter of luck; every other point is on everybody's way.
    let missed = said.lines().filter_map(|line| line.trim().strip_prefix("0 killed at "));
    let missed: Vec<&str> = missed.filter(|point| *point != "disk.BeforeUnlink").collect();
    assert!(missed.is_empty() && said.contains(" of 17 sync points"), "never reached: {missed:?}");
}

#[test]
fn when_the_power_is_cut_what_was_acknowledged_is_on_the_disk() {
    let Some(torture) = built() else { return };
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg(
            "d=$(mktemp -d) && truncate -s 8M $d/disk && mkfs.ext4 -q $d/disk && mkdir $d/at && \
             mount -o loop $d/disk $d/at && umount $d/at && rm -r $d && perl -e 1",
        )
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("SKIPPED: no disk of one's own can be mounted here; no power was cut");
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("-m").arg(torture).args(["--cycles", "12", "--seed", "1", "--power"]);
    let said = said(&mut command);
    assert!(!said.contains(" 0 lost power"), "{said}");
}
