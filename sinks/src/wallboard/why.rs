//! `GET /v1/why?view=<name>&key=<value>…`: what the next result of a view, or of one of its keys, waits for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use highwater_dataflow::Explanation;
use highwater_dataflow::view::{Value, View};
use serde::Serialize;

use super::read::{ReadError, busy, cell, problem};
use super::{Site, read};

/// Says what the next result of a view waits for, of the rows whose leading key cells equal those given.
///
/// It reads the views, so it may block.
pub type WhyFn = Arc<dyn Fn(&'static View, &[Value]) -> Result<Why, ReadError> + Send + Sync>;

/// What a view's next result waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// What comes next, in a sentence.
    pub next: String,
    /// What it waits for; `None` when it waits for events only.
    #[serde(flatten)]
    pub waits_for: Option<Explanation>,
}

pub(super) async fn why(
    State(site): State<Arc<Site>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let (view, key) = match request(&site.views, query) {
        Ok(request) => request,
        Err((status, message)) => return problem(status, message),
    };
    let Ok(Ok(permit)) =
        tokio::time::timeout(read::WAIT, site.readers.clone().acquire_owned()).await
    else {
        return busy("too many reads at once: try again");
    };
    let why = site.why.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        why(view, &key)
    });
    match asked.await.expect("readers do not panic") {
        Ok(why) => Json(why).into_response(),
        Err(error) if error.retry() => busy(&error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The view and the key's start that are asked about.
fn request(
    views: &[&'static View],
    query: Vec<(String, String)>,
) -> Result<(&'static View, Vec<Value>), (StatusCode, String)> {
    let (mut name, mut texts) = (None, Vec::new());
    for (parameter, value) in query {
        match parameter.as_str() {
            "view" => name = Some(value),
            "key" => texts.push(value),
            other => {
                let message = format!("`{other}` is no parameter: use view and key");
                return Err((StatusCode::BAD_REQUEST, message));
            }
        }
    }
    let Some(name) = name else {
        let message = "which view? ask /v1/why?view=NAME&key=VALUE".to_owned();
        return Err((StatusCode::BAD_REQUEST, message));
    };
    let Some(view) = views.iter().copied().find(|view| view.name == name) else {
        let message = format!("there is no view `{name}`: GET /v1/views lists them");
        return Err((StatusCode::NOT_FOUND, message));
    };
    if texts.len() > view.key {
        let message = format!("`{name}` has a key of {} columns; give no more", view.key);
        return Err((StatusCode::BAD_REQUEST, message));
    }
    let cells = texts.iter().zip(view.columns).map(|(text, column)| cell(column, text));
    let key = cells.collect::<Result<_, _>>().map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    Ok((view, key))
}
