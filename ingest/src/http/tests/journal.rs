//! With the real journal behind it: what a 202 says is what the journal gives back.

use std::time::Duration;

use super::*;
use crate::journal::{Journal as Disk, JournalWriter, Options, PartitionSpec};

#[tokio::test]
async fn a_202_names_what_the_journal_holds() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock(AtomicI64::new(NOW)));
    let disk = Disk::open(dir.path(), Options::default(), clock.clone()).unwrap();
    let (writer, mut follower) = disk.start(0, JournalWriter::abort_on_fatal()).unwrap();
    let plan = HttpConfig::default().resolve(&env).unwrap();
    let config = plan.config.clone();
    let router = router(plan, Arc::new(writer.clone()), clock, Arc::default(), |name| {
        writer.register_partition(PartitionSpec::live(name, "http"))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(async move {
        serve(listener, router, &config, async { drop(stopped.await) }).await;
    });

    let ahead = arrival("3").replace("2026-05-15", "2036-05-15");
    let body = format!("[{}, 7, {ahead}, {}]", arrival("1"), arrival("2"));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(&Call::events(body).bytes()).await.unwrap();
    let answer = Answer::read(stream).await;
    assert_eq!(answer.counts(), (2, 2));
    let statuses: Vec<&str> = answer.body["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["accepted", "dead_letter", "dead_letter", "accepted"]);

    let frame = loop {
        let next = follower.next(Duration::from_secs(10)).unwrap().expect("a frame is durable");
        if !next.envelopes.is_empty() {
            break next;
        }
    };
    let seq = |index: usize| answer.body["events"][index]["seq"].as_u64().unwrap();
    let kept: Vec<u64> = frame.envelopes.iter().map(|envelope| envelope.seq).collect();
    assert_eq!(kept, [seq(0), seq(3)]);
    let dead: Vec<u64> = frame.dead_letters.iter().map(|letter| letter.seq).collect();
    assert_eq!(dead, [seq(1), seq(2)]);
    assert_eq!(frame.dead_letters[0].raw, b"7");
    assert_eq!(frame.dead_letters[1].raw, ahead.as_bytes());
    stop.send(()).unwrap();
    running.await.unwrap();
    writer.close();
}
