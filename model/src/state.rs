//! Agent states, channels and adherence verdicts, with the spellings they come in.

use serde::{Deserialize, Serialize};

/// What an agent is doing, as far as adherence distinguishes it.
///
/// Vendors spell one state in several ways (`ON_QUEUE`, `OnQueue`, `On Queue`): [`AgentState::parse`] folds case and
/// separators. A spelling nobody knows becomes `Unknown`, never an error and never out of adherence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum AgentState {
    #[default]
    Unknown,
    Offline,
    Available,
    OnCall,
    Hold,
    Acw,
    NotResponding,
    OnQueue,
    Break,
    Lunch,
    Meeting,
    Training,
    Coaching,
    Aux,
    Away,
    Busy,
}

/// How contacts reach a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Channel {
    #[default]
    Unknown,
    Voice,
    Chat,
    Email,
    Message,
    Callback,
    Video,
}

/// One cell of the activity x state matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    /// No cell for this pair: counted, and never out of adherence.
    #[default]
    Unmapped,
    In,
    Out,
    Neutral,
    Ignored,
}

macro_rules! spellings {
    ($type:ident: $($variant:ident = $canonical:literal $(| $other:literal)*;)*) => {
        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            /// The product's own spelling.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $canonical),* }
            }

            /// Reads any known spelling, whatever its case and separators; `None` for one nobody knows.
            pub fn parse(text: &str) -> Option<Self> {
                // The product's own spelling is by far the most common.
                match text { $($canonical => return Some($type::$variant),)* _ => {} }
                let mut folded = [0u8; 32];
                let folded = fold(text, &mut folded)?;
                $(for known in [$canonical $(, $other)*] {
                    let mut buffer = [0u8; 32];
                    if fold(known, &mut buffer) == Some(folded) {
                        return Some($type::$variant);
                    }
                })*
                None
            }
        }
    };
}

spellings! { AgentState:
    Unknown = "unknown";
    Offline = "offline" | "logged out" | "logout" | "logged off";
    Available = "available" | "idle" | "ready";
    OnCall = "on-call" | "interacting" | "communicating" | "talking" | "in call";
    Hold = "hold" | "on hold";
    Acw = "acw" | "after call work" | "wrap up" | "after contact work";
    NotResponding = "not-responding" | "missed" | "no answer";
    OnQueue = "on-queue";
    Break = "break" | "on break";
    Lunch = "lunch" | "meal";
    Meeting = "meeting";
    Training = "training";
    Coaching = "coaching";
    Aux = "aux" | "auxiliary" | "not ready";
    Away = "away" | "out of office";
    Busy = "busy";
}

spellings! { Channel:
    Unknown = "unknown";
    Voice = "voice" | "call" | "phone";
    Chat = "chat" | "webchat";
    Email = "email" | "mail";
    Message = "message" | "messaging" | "sms";
    Callback = "callback";
    Video = "video";
}

spellings! { Verdict:
    Unmapped = "unmapped";
    In = "in";
    Out = "out";
    Neutral = "neutral";
    Ignored = "ignored";
}

/// Letters and digits in lower case, everything else dropped; `None` if it does not fit (then nobody knows it).
fn fold<'b>(text: &str, buffer: &'b mut [u8; 32]) -> Option<&'b [u8]> {
    let mut n = 0;
    for byte in text.bytes().filter(u8::is_ascii_alphanumeric) {
        *buffer.get_mut(n)? = byte.to_ascii_lowercase();
        n += 1;
    }
    Some(&buffer[..n])
}
