//! The read API, the page's files, probes and metrics, over plain HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use highwater_dataflow::view::Value;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::*;
use crate::wallboard::Status;

/// Status, head in lower case, body.
pub(super) async fn get(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

async fn serve() -> SocketAddr {
    let mut rig = Rig::new(open());
    let mut odd = interval("say \"hi\", q2", 15, 0, "final");
    odd[1] = Value::Int(15);
    let rows = vec![interval("q1", 0, 4, "final"), interval("q1", 15, 0, "open"), odd];
    rig.parts.as_mut().unwrap().reader = Arc::new(Rows(rows));
    rig.loopback().await
}

#[tokio::test]
async fn views_are_listed_with_their_columns() {
    let address = serve().await;
    let (status, _, body) = get(address, "/v1/views", &[]).await;
    let body: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["views"][0]["name"], "queue_interval");
    assert_eq!(body["views"][0]["key"], json!(["queue_id", "interval_start_ms"]));
    let column = json!({ "name": "agent_id", "kind": "text", "doc": "Agent." });
    assert_eq!(body["views"][1]["columns"][0], column);
}

#[tokio::test]
async fn rows_come_as_json_or_csv_by_key_prefix() {
    let address = serve().await;
    let (_, _, body) = get(address, "/v1/views/queue_interval?queue_id=q1&limit=1", &[]).await;
    let body: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(body["rows"], json!([["q1", 0, 5, 5, 4, 0, 1, 80.5, "final"]]));
    assert_eq!(body["more"], true);

    let path = "/v1/views/queue_interval?format=csv&interval_start_ms=15&queue_id=q1";
    let (_, head, body) = get(address, path, &[]).await;
    assert!(head.contains("content-type: text/csv") && head.contains("highwater-more: false"));
    assert_eq!(
        body,
        "queue_id,interval_start_ms,arrivals,offered,answered,abandoned,in_progress,sl_offered_pct,status\r\n\
         q1,15,1,1,0,0,1,,open\r\n"
    );
    let (_, _, body) = get(address, "/v1/views/queue_interval?format=csv", &[]).await;
    assert!(body.ends_with("\"say \"\"hi\"\", q2\",15,1,1,0,0,1,,final\r\n"), "{body}");
}

#[tokio::test]
async fn a_view_and_the_start_of_its_key_are_asked_about() {
    let address = serve().await;
    for (path, status, says) in [
        (
            "/v1/why?view=queue_interval&key=q1&key=15",
            200,
            "queue_interval [Text(\\\"q1\\\"), Int(15)]",
        ),
        ("/v1/why?view=adherence_now", 200, "adherence_now []"),
        ("/v1/why", 400, "which view?"),
        ("/v1/why?view=other", 404, "GET /v1/views lists them"),
        ("/v1/why?view=adherence_now&key=a&key=b", 400, "a key of 1 columns"),
        ("/v1/why?view=queue_interval&key=q1&key=soon", 400, "is a whole number"),
        ("/v1/why?view=adherence_now&agent=a", 400, "use view and key"),
    ] {
        let (answered, _, body) = get(address, path, &[]).await;
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(says), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_wrong_request_is_told_what_would_be_right() {
    let address = serve().await;
    for (path, status, says) in [
        ("/v1/views/nothing", 404, "GET /v1/views lists them"),
        ("/v1/views/queue_interval?format=xml", 400, "json or csv"),
        ("/v1/views/queue_interval?limit=0", 400, "from 1 to"),
        ("/v1/views/queue_interval?limit=1e9", 400, "from 1 to"),
        ("/v1/views/queue_interval?answered=1", 400, "queue_id, interval_start_ms"),
        ("/v1/views/queue_interval?interval_start_ms=15", 400, "needs `queue_id`"),
        ("/v1/views/queue_interval?queue_id=q&interval_start_ms=x", 400, "whole number"),
        ("/v1/views/adherence_now", 503, "took too long"),
    ] {
        let (got, _, body) = get(address, path, &[]).await;
        assert_eq!(got, status, "{path}");
        assert!(body.contains(says), "{path}: {body}");
    }
}

#[tokio::test]
async fn probes_and_status() {
    let address = serve().await;
    assert_eq!(get(address, "/healthz", &[]).await.0, 200);
    assert_eq!(get(address, "/readyz", &[]).await.0, 200);
    let (_, _, body) = get(address, "/v1/status", &[]).await;
    let body: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["epoch"], &body["sources"][0]["name"]), (&json!(9), &json!("acd")));

    let mut rig = Rig::new(open());
    let status = Status { catching_up: true, lag_ms: 1_500, ..Status::default() };
    rig.parts.as_mut().unwrap().status = Arc::new(move || status.clone());
    let address = rig.loopback().await;
    let (code, _, body) = get(address, "/readyz", &[]).await;
    assert_eq!(code, 503);
    assert!(body.contains("1500 ms behind"), "{body}");
}

#[tokio::test]
async fn metrics_are_in_the_text_format_and_latency_in_json() {
    let address = serve().await;
    let (_, head, body) = get(address, "/metrics", &[]).await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"));
    assert!(body.contains("\nhighwater_events_total 3\n"));
    assert!(body.contains("highwater_page_clients 0\n"));
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let family = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end).filter(|_| family.contains("seconds")))
            .unwrap_or(family);
        assert!(body.contains(&format!("# TYPE {family} ")), "{line}");
    }
    let (_, _, body) = get(address, "/v1/latency", &[]).await;
    let lines: Json = serde_json::from_str(&body).unwrap();
    let alerted = lines.as_array().unwrap().iter().find(|line| line["path"] == "agent_state");
    assert_eq!(alerted.unwrap()["budget_us"], 2_000_000);
}

#[tokio::test]
async fn the_page_allows_nothing_inline_and_fetches_nothing_elsewhere() {
    let address = serve().await;
    let (_, head, page) = get(address, "/", &[]).await;
    let policy = head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(head.contains("x-content-type-options: nosniff"));
    assert!(page.contains("<title>Highwater</title>"));
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    assert!(page.matches("<script").all(|_| page.contains("<script type=\"module\" src=")));
    // Every module that is named is served, and no address leads elsewhere.
    let mut queue = vec!["/style.css".to_owned(), "/app.js".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = queue.pop() {
        let (status, head, body) = get(address, &path, &[]).await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("content-security-policy:"), "{path}");
        let foreign = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{path}");
        assert!(!body.contains("innerHTML") && !body.contains("eval("), "{path}");
        for import in body.lines().filter_map(|line| line.split_once("from './")) {
            let name = format!("/{}", import.1.trim_end_matches("';"));
            if !seen.contains(&name) {
                seen.push(name.clone());
                queue.push(name);
            }
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}
