//! Two hundred lives that end at a sync point or at random, by the example that also does it by the thousand.
//!
//! ```text
//! cargo test --test highwater --example torture torture
//! HIGHWATER_CRASHES=2000 cargo test torture
//! ```

use std::path::PathBuf;
use std::process::Command;

#[test]
fn killed_at_sync_points_nothing_is_lost_and_nothing_doubled() {
    // Examples lie beside the tests' own directory; `cargo test` builds them, `cargo test --test` does not.
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf =
        tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/torture");
    if !built.exists() {
        eprintln!("SKIPPED: {} is not built; `cargo test` builds it", built.display());
        return;
    }
    let cycles = std::env::var("HIGHWATER_CRASHES").unwrap_or_else(|_| "200".to_owned());
    let ran = Command::new(built).args(["--cycles", &cycles, "--seed", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("0 lost, 0 doubled"), "{said}");
    assert!(said.contains("at 17 of 17 sync points"), "a point was never reached: {said}");
    assert!(said.contains("0 forgotten, 0 sent again"), "{said}");
    eprint!("{said}");
}
