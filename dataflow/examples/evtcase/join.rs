//! Temporal joins: each left row with the right version valid at its time, said when the watermark has passed it.

use serde_json::Value;

use super::run::Outcome;

pub(crate) fn run(_steps: &[Value]) -> Result<Outcome, String> {
    Err("temporal joins are not supported".to_owned())
}
