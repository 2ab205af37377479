//! The read API over the SQLite views: what there is, and rows as JSON or CSV.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use highwater_dataflow::view::{Kind, Row, Value, View};
use serde::Serialize;
use serde_json::{Value as Json_, json};
use thiserror::Error;
use tokio::time::timeout;

use super::Site;

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 100_000;
/// Reads at one time; more wait, and give up after [`WAIT`].
pub(super) const READERS: usize = 4;
pub(super) const WAIT: Duration = Duration::from_secs(5);

/// Reads committed views. The implementation bounds how long one read may take.
pub trait ReadViews: Send + Sync + 'static {
    /// Rows of `view` in key order whose leading key cells equal `prefix`, at most `limit` of them.
    fn read(
        &self,
        view: &'static View,
        prefix: &[Value],
        limit: usize,
    ) -> Result<Vec<Row>, ReadError>;
}

#[derive(Debug, Error)]
pub enum ReadError {
    /// The read took too long and was interrupted, or the database is busy.
    #[error("the read took too long: ask for fewer rows, or for a key prefix")]
    Interrupted,
    /// The view's table is not there yet: nothing has been committed.
    #[error("the view has no rows yet: nothing has been committed")]
    NotYet,
    #[error("the views cannot be read: {0}")]
    Failed(String),
}

impl ReadError {
    /// Whether the same read may succeed a little later.
    pub fn retry(&self) -> bool {
        matches!(self, ReadError::Interrupted | ReadError::NotYet)
    }
}

/// `GET /v1/views`.
pub(super) async fn list(State(site): State<Arc<Site>>) -> Json<Json_> {
    #[derive(Serialize)]
    struct Column {
        name: &'static str,
        kind: &'static str,
        doc: &'static str,
    }
    let describe = |view: &&'static View| {
        let column = |column: &'static highwater_dataflow::view::Column| Column {
            name: column.name,
            kind: match column.kind {
                Kind::Int => "int",
                Kind::Real => "real",
                Kind::Text => "text",
            },
            doc: column.doc,
        };
        let columns: Vec<_> = view.columns.iter().map(column).collect();
        let key: Vec<_> = key_names(view).collect();
        json!({ "name": view.name, "doc": view.doc, "key": key, "columns": columns })
    };
    Json(json!({ "views": site.views.iter().map(describe).collect::<Vec<_>>() }))
}

/// `GET /v1/views/{name}?format=json|csv&limit=N&<key column>=<value>…`.
pub(super) async fn rows(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let Some(view) = site.views.iter().copied().find(|view| view.name == name) else {
        return problem(
            StatusCode::NOT_FOUND,
            format!("there is no view `{name}`: GET /v1/views lists them"),
        );
    };
    let request = match Request::parse(view, query) {
        Ok(request) => request,
        Err(message) => return problem(StatusCode::BAD_REQUEST, message),
    };
    let Ok(Ok(permit)) = timeout(WAIT, site.readers.clone().acquire_owned()).await else {
        return busy("too many reads at once: try again");
    };
    let reader = site.reader.clone();
    let Request { csv, limit, prefix } = request;
    let read = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        // One more than asked for tells whether there are more.
        let mut rows = reader.read(view, &prefix, limit + 1)?;
        let more = limit < rows.len();
        rows.truncate(limit);
        Ok::<_, ReadError>(encode(view, &rows, more, csv))
    });
    match read.await.expect("readers do not panic") {
        Ok(response) => response,
        Err(ReadError::NotYet) => encode(view, &[], false, csv),
        Err(error) if error.retry() => busy(&error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

struct Request {
    csv: bool,
    limit: usize,
    prefix: Vec<Value>,
}

impl Request {
    /// Errors say which parameter is wrong and what would be right.
    fn parse(view: &'static View, query: Vec<(String, String)>) -> Result<Self, String> {
        let mut request = Request { csv: false, limit: LIMIT_DEFAULT, prefix: Vec::new() };
        let mut key: Vec<Option<Value>> = vec![None; view.key];
        for (name, value) in query {
            match (name.as_str(), value.as_str()) {
                ("format", "json") => request.csv = false,
                ("format", "csv") => request.csv = true,
                ("format", _) => return Err("`format` is json or csv".into()),
                ("limit", n) => match n.parse() {
                    Ok(n) if (1..=LIMIT_MAX).contains(&n) => request.limit = n,
                    _ => return Err(format!("`limit` is a number from 1 to {LIMIT_MAX}")),
                },
                (name, value) => {
                    let Some(index) = key_names(view).position(|column| column == name) else {
                        let names: Vec<_> = key_names(view).collect();
                        let names = names.join(", ");
                        return Err(format!(
                            "`{name}` is no parameter: use format, limit, or the key columns {names}"
                        ));
                    };
                    key[index] = Some(cell(&view.columns[index], value)?);
                }
            }
        }
        request.prefix = key.iter_mut().map_while(Option::take).collect();
        if let Some(index) = key.iter().position(Option::is_some) {
            let (given, missing) = (view.columns[index].name, view.columns[index - 1].name);
            return Err(format!("`{given}` needs `{missing}` too: only a key's start is a filter"));
        }
        Ok(request)
    }
}

pub(super) fn cell(column: &highwater_dataflow::view::Column, text: &str) -> Result<Value, String> {
    let number = |_| format!("`{}` is a number", column.name);
    Ok(match column.kind {
        Kind::Int => Value::Int(text.parse().map_err(|_: std::num::ParseIntError| {
            format!("`{}` is a whole number", column.name)
        })?),
        Kind::Real => Value::Real(text.parse().map_err(|e: std::num::ParseFloatError| number(e))?),
        Kind::Text => Value::from(text),
    })
}

fn key_names(view: &'static View) -> impl Iterator<Item = &'static str> {
    view.columns[..view.key].iter().map(|column| column.name)
}

fn encode(view: &'static View, rows: &[Row], more: bool, csv: bool) -> Response {
    if csv {
        let kind = "text/csv; charset=utf-8; header=present";
        let more = if more { "true" } else { "false" };
        let headers = [(header::CONTENT_TYPE.as_str(), kind), ("highwater-more", more)];
        return (headers, to_csv(view, rows)).into_response();
    }
    let columns: Vec<_> = view.columns.iter().map(|column| column.name).collect();
    Json(json!({ "view": view.name, "columns": columns, "rows": rows, "more": more }))
        .into_response()
}

/// RFC 4180: a header line, CRLF, quotes only where needed; undefined is empty, empty text is `""`.
fn to_csv(view: &View, rows: &[Row]) -> String {
    let mut text = String::new();
    let names: Vec<_> = view.columns.iter().map(|column| column.name).collect();
    text.push_str(&names.join(","));
    text.push_str("\r\n");
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if 0 < index {
                text.push(',');
            }
            match cell {
                Value::Null => {}
                Value::Int(n) => text.push_str(&n.to_string()),
                Value::Real(x) => text.push_str(&x.to_string()),
                Value::Text(t) if t.is_empty() || t.contains([',', '"', '\r', '\n']) => {
                    text.push('"');
                    text.push_str(&t.replace('"', "\"\""));
                    text.push('"');
                }
                Value::Text(t) => text.push_str(t),
            }
        }
        text.push_str("\r\n");
    }
    text
}

pub(super) fn problem(status: StatusCode, message: String) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

pub(super) fn busy(message: &str) -> Response {
    let body = Json(json!({ "error": message }));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "2")], body).into_response()
}
