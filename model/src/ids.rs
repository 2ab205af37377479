//! Identifiers: short strings stored inline, one type per noun so that they cannot be mixed up.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// A short string; up to 24 bytes live inline, without an allocation.
pub type Name = CompactString;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Name);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                $name(s.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

id! {
    /// An agent as the ACD names them.
    AgentId
    /// A queue.
    QueueId
    /// A contact: one call, chat or mail from arrival to completion.
    ContactId
    /// A team of agents; the scope of a supervisor.
    TeamId
    /// A site: place and time zone.
    SiteId
    /// A shift of one agent in the schedule.
    ShiftId
    /// A scheduled activity's code ("on-queue", "break"), in normalised spelling.
    ActivityCode
}

/// The identity of an event: a 128-bit hash of its `event_id`, for deduplication without keeping the text.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EventKey(pub u128);
