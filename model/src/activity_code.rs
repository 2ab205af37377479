//! One spelling per activity code.

use crate::ids::{ActivityCode, Name};
use crate::state::AgentState;

impl ActivityCode {
    /// Lower case, words joined by single hyphens: `On Queue`, `ON_QUEUE` and `OnQueue` are all `on-queue`.
    ///
    /// White space and ASCII punctuation separate words, as does a capital after a small letter or a digit, or before
    /// a small letter (`ACWBreak` is `acw-break`). Empty if `text` holds nothing but separators.
    pub fn normalised(text: &str) -> ActivityCode {
        if is_normal(text.as_bytes()) {
            return ActivityCode(text.into());
        }
        let mut out = Name::with_capacity(text.len());
        // What the previous character was: nothing or a separator, a capital, or anything else.
        let (mut separated, mut after_capital) = (true, false);
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c.is_whitespace() || c.is_ascii_punctuation() || c.is_control() {
                separated = true;
                continue;
            }
            let capital = is_capital(c);
            let word_starts =
                capital && (!after_capital || rest.peek().is_some_and(|next| next.is_lowercase()));
            if (separated || word_starts) && !out.is_empty() {
                out.push('-');
            }
            out.extend(c.to_lowercase());
            (separated, after_capital) = (false, capital);
        }
        ActivityCode(out)
    }

    /// The state that the code is any spelling of: being in it is what the activity plans. `None` for all others.
    pub fn state(&self) -> Option<AgentState> {
        AgentState::parse(self.as_str()).filter(|state| *state != AgentState::Unknown)
    }
}

/// A capital whose small letter is another character: only then does lower-casing remove it.
fn is_capital(c: char) -> bool {
    c.is_uppercase() && !c.to_lowercase().eq([c])
}

fn is_normal(text: &[u8]) -> bool {
    let mut separated = true;
    for byte in text {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => separated = false,
            b'-' if !separated => separated = true,
            _ => return false,
        }
    }
    !separated
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn folds_case_and_separators() {
        for (text, normal) in [
            ("on-queue", "on-queue"),
            ("On Queue", "on-queue"),
            ("ON_QUEUE", "on-queue"),
            ("OnQueue", "on-queue"),
            ("onQueue", "on-queue"),
            ("ON QUEUE", "on-queue"),
            (" on -- queue ", "on-queue"),
            ("on/queue", "on-queue"),
            ("-break-", "break"),
            ("Break", "break"),
            ("break 15", "break-15"),
            ("Break15", "break15"),
            ("ACWBreak", "acw-break"),
            ("ACW", "acw"),
            ("After Call Work", "after-call-work"),
            ("Mittagspause (früh)", "mittagspause-früh"),
            ("ÜberPause", "über-pause"),
            ("", ""),
            ("--", ""),
        ] {
            assert_eq!(ActivityCode::normalised(text).as_str(), normal, "{text}");
        }
    }

    #[test]
    fn a_code_that_spells_a_state_is_of_that_state() {
        for (text, state) in [
            ("On Queue", Some(AgentState::OnQueue)),
            ("ONQUEUE", Some(AgentState::OnQueue)),
            ("OnQueueWork", Some(AgentState::OnQueue)),
            ("MEAL", Some(AgentState::Lunch)),
            ("After Call Work", Some(AgentState::Acw)),
            ("break", Some(AgentState::Break)),
            ("break 15", None),
            ("project", None),
            ("unknown", None),
        ] {
            assert_eq!(ActivityCode::normalised(text).state(), state, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}|[ -~]{0,40}") {
            let once = ActivityCode::normalised(&text);
            prop_assert_eq!(&ActivityCode::normalised(once.as_str()), &once);
        }
    }
}
