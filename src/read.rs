//! Who may read: the rule of the ingest routes, in the words of the page's.

use std::sync::Arc;

use highwater_ingest::http::{Authorizer, Denied, Role as Ingest};
use highwater_sinks::wallboard::{Access, Authorize, Role};

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
