//! Who may read, and from what: the adapters between the page's routes and the parts that answer them.

use std::sync::Arc;

use highwater_dataflow::view::{Row, Value, View};
use highwater_ingest::http::{Authorizer, Denied, Role as Ingest};
use highwater_sinks::reader::Select;
use highwater_sinks::wallboard::{Access, Authorize, ReadError, ReadViews, Role};
use highwater_sinks::{SinkError, ViewReaders};

/// The view database behind `/v1/views`.
pub(crate) struct Views(pub(crate) ViewReaders);

impl ReadViews for Views {
    fn read(
        &self,
        view: &'static View,
        prefix: &[Value],
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let select = Select { prefix: prefix.to_vec(), limit: Some(limit) };
        self.0.with(|reader| reader.rows(view.name, &select)).map_err(|error| match error {
            SinkError::Interrupted { .. } | SinkError::Busy => ReadError::Interrupted,
            SinkError::NoSuchView(_) => ReadError::NotYet,
            error => ReadError::Failed(error.to_string()),
        })
    }
}

/// The rule of the ingest routes, for the page's.
pub(crate) fn authorize(authorizer: Arc<Authorizer>) -> Authorize {
    Arc::new(move |role, token| {
        if !authorizer.requires_token() {
            return Access::Open;
        }
        let role = match role {
            Role::Ingest => Ingest::Ingest,
            Role::Read => Ingest::Read,
        };
        match token.map(|token| authorizer.authorize_token(token, role)) {
            Some(Ok(())) => Access::Granted,
            Some(Err(Denied::Role(_))) => Access::Forbidden,
            Some(Err(_)) | None => Access::Unknown,
        }
    })
}
