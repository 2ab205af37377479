//! Agent states, channels and adherence verdicts, with the spellings they come in.

use serde::{Deserialize, Serialize};

use crate::event::AbandonStage;

/// What an agent is doing, as far as adherence distinguishes it.
///
/// Vendors spell one state in several ways (`ON_QUEUE`, `OnQueue`, `On Queue`): [`AgentState::parse`] folds case and
/// separators. A spelling nobody knows becomes `Unknown`, never an error and never out of adherence.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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

/// How a service level is reckoned (A answered, B abandoned, T within the threshold, S short abandons).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum ServiceLevel {
    /// `A_T / (A + B)`
    #[default]
    Offered,
    /// `A_T / A`
    Answered,
    /// `(A_T + B_T) / (A + B)`, as Amazon Connect has it.
    Connect,
    /// `A_T / (A + B - B_T)`
    AbandonsWithinExcluded,
    /// `A_T / (A + B - S)`
    ShortAbandonsExcluded,
}

/// One cell of the activity x state matrix.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
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
    ($type:ident: $($variant:ident = $canonical:literal, $($folded:literal)|+;)*) => {
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
                let mut buffer = [0; FOLDED_MAX];
                match fold(text, &mut buffer)? {
                    $($($folded)|+ => Some($type::$variant),)*
                    _ => None,
                }
            }

            #[cfg(test)]
            const SPELLINGS: &'static [($type, &'static str, &'static [&'static [u8]])] =
                &[$(($type::$variant, $canonical, &[$($folded),+])),*];
        }
    };
}

// Each variant's own spelling, then all its spellings as `fold` leaves them.
spellings! { AgentState:
    Unknown = "unknown", b"unknown";
    Offline = "offline", b"offline" | b"loggedout" | b"logout" | b"loggedoff" | b"logoff" | b"signedout";
    Available = "available", b"available" | b"idle" | b"ready";
    OnCall = "on-call", b"oncall" | b"interacting" | b"interact" | b"communicating" | b"talking"
        | b"incall" | b"connected";
    Hold = "hold", b"hold" | b"onhold" | b"connectedonhold";
    Acw = "acw", b"acw" | b"aftercallwork" | b"wrapup" | b"aftercontactwork";
    NotResponding = "not-responding", b"notresponding" | b"missed" | b"noanswer";
    OnQueue = "on-queue", b"onqueue" | b"onqueuework";
    Break = "break", b"break" | b"onbreak";
    Lunch = "lunch", b"lunch" | b"meal";
    Meeting = "meeting", b"meeting";
    Training = "training", b"training";
    Coaching = "coaching", b"coaching";
    Aux = "aux", b"aux" | b"auxiliary" | b"notready" | b"offqueue" | b"offqueuework"
        | b"unavailable";
    Away = "away", b"away" | b"outofoffice";
    Busy = "busy", b"busy";
}

spellings! { Channel:
    Unknown = "unknown", b"unknown";
    Voice = "voice", b"voice" | b"call" | b"phone" | b"telephony";
    Chat = "chat", b"chat" | b"webchat";
    Email = "email", b"email" | b"mail";
    Message = "message", b"message" | b"messaging" | b"webmessaging" | b"sms";
    Callback = "callback", b"callback";
    Video = "video", b"video";
}

spellings! { Verdict:
    Unmapped = "unmapped", b"unmapped";
    In = "in", b"in";
    Out = "out", b"out";
    Neutral = "neutral", b"neutral";
    Ignored = "ignored", b"ignored";
}

spellings! { ServiceLevel:
    Offered = "offered", b"offered";
    Answered = "answered", b"answered";
    Connect = "connect", b"connect";
    AbandonsWithinExcluded = "abandons_within_excluded", b"abandonswithinexcluded";
    ShortAbandonsExcluded = "short_abandons_excluded", b"shortabandonsexcluded";
}

spellings! { AbandonStage:
    Queue = "queue", b"queue";
    Ivr = "ivr", b"ivr";
}

/// Longest spelling worth folding; nobody knows a longer one.
const FOLDED_MAX: usize = 32;

/// Letters and digits in lower case, other ASCII dropped; `None` if it does not fit or is not ASCII.
fn fold<'b>(text: &str, buffer: &'b mut [u8; FOLDED_MAX]) -> Option<&'b [u8]> {
    let mut n = 0;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            *buffer.get_mut(n)? = byte.to_ascii_lowercase();
            n += 1;
        } else if !byte.is_ascii() {
            return None;
        }
    }
    Some(&buffer[..n])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;

    #[test]
    fn every_spelling_is_folded_unique_and_parsed() {
        fn check<T: Copy + Debug + PartialEq>(
            spellings: &[(T, &str, &[&[u8]])],
            parse: impl Fn(&str) -> Option<T>,
        ) {
            let mut seen = BTreeSet::new();
            for (variant, canonical, all) in spellings {
                let mut buffer = [0; FOLDED_MAX];
                assert_eq!(fold(canonical, &mut buffer), Some(all[0]), "{canonical}");
                assert_eq!(parse(canonical), Some(*variant));
                for folded in *all {
                    let text = std::str::from_utf8(folded).unwrap();
                    assert!(seen.insert(*folded), "{text} twice");
                    assert_eq!(fold(text, &mut buffer), Some(*folded), "{text}");
                    assert_eq!(parse(text), Some(*variant), "{text}");
                    assert_eq!(parse(&text.to_uppercase()), Some(*variant), "{text}");
                }
            }
        }
        check(AgentState::SPELLINGS, AgentState::parse);
        check(Channel::SPELLINGS, Channel::parse);
        check(Verdict::SPELLINGS, Verdict::parse);
        check(ServiceLevel::SPELLINGS, ServiceLevel::parse);
        check(AbandonStage::SPELLINGS, AbandonStage::parse);
    }

    #[test]
    fn vendors_spellings_meet() {
        for (state, texts) in [
            (
                AgentState::Available,
                &["available", "AVAILABLE", "Available", "IDLE", " ready "][..],
            ),
            (
                AgentState::OnQueue,
                &["on-queue", "OnQueue", "ON_QUEUE", "On Queue", "on.queue", "OnQueueWork"],
            ),
            (
                AgentState::OnCall,
                &["on-call", "ON_CALL", "INTERACTING", "Communicating", "INTERACT"],
            ),
            (AgentState::NotResponding, &["NOT_RESPONDING", "Not Responding", "notResponding"]),
            (AgentState::Acw, &["ACW", "After Call Work", "AfterContactWork", "WRAPUP", "wrap-up"]),
            (AgentState::Lunch, &["MEAL", "Meal", "lunch"]),
            (AgentState::Offline, &["OFFLINE", "Logged Out", "LOGOUT"]),
            (AgentState::Away, &["AWAY", "Out Of Office"]),
        ] {
            for text in texts {
                assert_eq!(AgentState::parse(text), Some(state), "{text}");
            }
        }
        for text in ["VOICE", "Voice", "voice", "call"] {
            assert_eq!(Channel::parse(text), Some(Channel::Voice), "{text}");
        }
        assert_eq!(Channel::parse("WEB_MESSAGING"), Some(Channel::Message));
    }

    #[test]
    fn nobody_knows_these() {
        for text in
            ["", "-", "on-queueing", "dancing", "ön-queue", "pause", &"available ".repeat(9)]
        {
            assert_eq!(AgentState::parse(text), None, "{text}");
            assert_eq!(Channel::parse(text), None, "{text}");
        }
    }
}
