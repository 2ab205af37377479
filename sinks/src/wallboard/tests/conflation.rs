//! A page that does not read: it is conflated, then cut, and nobody else notices. Time is paused: nothing waits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::timeout;

use super::rig::*;
use crate::wallboard::Config;

/// One update of them is several times what a pipe holds.
const AGENTS_COUNT: usize = 1_000;
const UPDATES: u64 = 400;

fn update(rig: &Rig, round: u64) {
    let rows = (0..AGENTS_COUNT).map(|n| (agent(&format!("agent {n:04}"), &format!("{round}")), 1));
    rig.apply(vec![changes(&AGENTS, rows)]);
    *rig.clock.0.lock().unwrap() += Duration::from_millis(60);
}

#[tokio::test(start_paused = true)]
async fn a_slow_page_is_conflated_and_holds_nobody_up() {
    let mut rig = Rig::new(open());
    update(&rig, 0);
    let pipes = rig.pipes();
    let mut slow = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    let mut quick = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    let (mut slow_copy, mut quick_copy) = (Copy::default(), Copy::default());
    slow_copy.take(&slow.next().await);
    quick_copy.take(&quick.next().await);

    // 10 MB of changes through a pipe of 8 kB that nobody empties.
    for round in 1..=UPDATES {
        update(&rig, round);
        if round % 100 == 0 {
            assert!(quick_copy.take(&quick.next().await));
        }
    }
    while quick_copy.seq <= UPDATES {
        assert!(quick_copy.take(&quick.next().await));
    }
    assert_eq!(rig.wallboard.clients(), 2, "the slow page is still there");

    // It reads again: the delta it was stuck in, and one with all the rest.
    while slow_copy.seq <= UPDATES {
        assert!(slow_copy.take(&slow.next().await));
    }
    assert_eq!(slow_copy.frames, ["snapshot", "delta", "delta"]);
    assert_eq!(slow_copy.views, quick_copy.views);
    let last = format!("{UPDATES}");
    assert!(slow_copy.views["adherence_now"].values().all(|row| row[1] == last.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_takes_nothing_for_ten_seconds_is_cut() {
    let mut rig = Rig::new(open());
    update(&rig, 0);
    let pipes = rig.pipes();
    let mut stalled = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    stalled.next().await;
    let mut quick = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    let mut copy = Copy::default();
    copy.take(&quick.next().await);
    update(&rig, 1);
    update(&rig, 2);
    while copy.seq < 3 {
        assert!(copy.take(&quick.next().await));
    }
    assert_eq!(rig.wallboard.clients(), 2);
    tokio::time::advance(Duration::from_secs(11)).await;
    quick.hear().await;
    update(&rig, 3);
    while copy.seq < 4 {
        assert!(copy.take(&quick.next().await));
    }
    assert_eq!(rig.wallboard.clients(), 1, "the stalled page is gone, the other is not");
    assert_eq!(rig.wallboard.counts().stalled.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn under_load_deltas_keep_their_distance_and_after_a_pause_none() {
    let mut rig = Rig::new(open());
    update(&rig, 0);
    let pipes = rig.pipes();
    let mut page = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    page.next().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    rig.apply(vec![changes(&AGENTS, [(agent("x", "1"), 1)])]);
    let started = tokio::time::Instant::now();
    page.next().await;
    assert!(started.elapsed() < Duration::from_millis(5), "at once: {:?}", started.elapsed());
    rig.apply(vec![changes(&AGENTS, [(agent("x", "2"), 1)])]);
    assert!(timeout(Duration::from_millis(40), page.next()).await.is_err(), "too soon");
    page.next().await;
    assert!(Duration::from_millis(49) <= started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_pages_and_a_place_comes_free() {
    let mut rig = Rig::new(open());
    rig.parts.as_mut().unwrap().config = Config { clients_max: 2, ..Config::default() };
    let pipes = rig.pipes();
    let mut first = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    let mut second = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    first.next().await;
    second.next().await;
    let mut third = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    assert_eq!(third.closed().await.code(), 1013);
    drop(first);
    // The freed place is noticed when its task next runs.
    second.hear().await;
    let mut fourth = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    assert_eq!(fourth.next().await["type"], "snapshot");
}

#[tokio::test(start_paused = true)]
async fn pages_are_sent_the_status_and_pings_and_silent_ones_are_let_go() {
    let mut rig = Rig::new(open());
    let pipes = rig.pipes();
    let mut page = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    page.next().await;
    let started = tokio::time::Instant::now();
    assert_eq!(page.hear().await.json()["type"], "status");
    assert_eq!(started.elapsed().as_secs(), 2);
    while page.hear().await != Heard::Ping {}
    assert_eq!(started.elapsed().as_secs(), 20);
    // It never answers.
    assert_eq!(page.closed().await, Heard::End);
    assert_eq!(started.elapsed().as_secs(), 60);
}
