//! Bodies nobody foresaw: cutting them never panics, never loses an event and never changes a byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::refusal::Refusal;
use super::super::split::{Form, flaw, split, too_deep};

/// JSON of any shape, with the space and the escapes senders put into it.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        Just(r#""[{\"\\\u007d,]""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,\t"))),
            vec((any::<String>(), inner), 0..4).prop_map(|fields| {
                let field = |(name, value): &(String, String)| {
                    format!("{} : {value}", serde_json::to_string(name).unwrap())
                };
                format!("{{ {}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn an_array_gives_back_its_elements(events in vec(json(), 0..8), space in "[ \t\r\n]{0,3}") {
        let body = format!("{space}[{space}{}{space}]{space}", events.join(&format!("{space},{space}")));
        let pieces = split(body.as_bytes(), Form::Json, 8).unwrap();
        prop_assert_eq!(pieces, events.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn lines_give_back_their_events(
        events in vec(json(), 1..8), end in "\r?\n([ \t]*\r?\n){0,2}", last in any::<bool>(),
    ) {
        // The first must be no array: that would be a body of another form.
        let events = [vec!["{}".to_owned()], events].concat();
        let body = events.join(&end) + if last { &end } else { "" };
        let pieces = split(body.as_bytes(), Form::Lines, 9).unwrap();
        prop_assert_eq!(pieces, events.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_cut_or_refused(
        body in vec(prop_oneof![any::<u8>(), Just(b'['), Just(b'{'), Just(b'"'), Just(b'\n')], 0..200),
    ) {
        for form in [Form::Json, Form::Lines] {
            match split(&body, form, 5) {
                Ok(pieces) => {
                    prop_assert!(pieces.len() <= 5);
                    for piece in pieces {
                        prop_assert!(!piece.is_empty());
                        prop_assert!(form == Form::Lines || flaw(piece).is_none());
                        too_deep(piece);
                    }
                }
                Err(Refusal::NotJson(why)) => prop_assert!(!why.is_empty()),
                Err(refusal) => prop_assert_eq!(refusal, Refusal::TooMany { limit: 5 }),
            }
        }
    }

    #[test]
    fn depth_is_that_of_brackets_outside_of_text(depth in 1_usize..200, text in any::<String>()) {
        let text = serde_json::to_string(&text).unwrap();
        let nested = format!("{}{text}{}", "[".repeat(depth), "]".repeat(depth));
        prop_assert_eq!(too_deep(nested.as_bytes()), depth > 64);
    }
}
