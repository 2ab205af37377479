//! Whatever is encoded decodes to itself; whatever comes in, decoding returns.

use std::collections::BTreeMap;

use highwater_model::{
    AbandonStage, Activity, ActivityCode, ActivityMapping, AgentProfile, AgentState,
    AgentStateChange, Channel, ContactAbandoned, ContactArrival, ContactComplete, Envelope, Event,
    EventKey, ForecastRefresh, ForecastUpdate, Name, Opening, QueueProfile, QueueUpdate,
    RuleParameter, RuleUpdate, ScheduleUpdate, ServiceLevel, Verdict, decode, encode, format_ms,
    parse_ms,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use crate::decoded;

/// Year 0 to 9999, what RFC 3339 can say.
const INSTANTS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_207_200_000 - 1;
const QUANTITY_MAX: i64 = 100_000_000_000;

fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0x4849_4748), ..ProptestConfig::default() }
}

fn text() -> impl Strategy<Value = Name> {
    // Quotes, backslashes, and characters of one to four bytes.
    prop_oneof!["[!-~][ -~]{0,40}", "[!-~\u{a1}-\u{24f}\u{4e00}-\u{4e10}😀\\\\\"/]{1,20}"]
        .prop_map(Name::from)
}

fn id<T: for<'a> From<&'a str> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    text().prop_map(|text| T::from(text.as_str()))
}

fn quantity() -> impl Strategy<Value = i64> {
    prop_oneof![0..=QUANTITY_MAX, 0..1_000_000i64, Just(0), Just(QUANTITY_MAX)]
}

fn ppm() -> impl Strategy<Value = i64> {
    0..=1_000_000i64
}

fn span() -> impl Strategy<Value = (i64, i64)> {
    (INSTANTS, 1..=366 * 86_400_000i64).prop_map(|(start, length)| {
        let start = start.min(INSTANTS.end() - length);
        (start, start + length)
    })
}

fn code() -> impl Strategy<Value = ActivityCode> {
    "[a-z0-9ü]{1,8}(-[a-z0-9ß]{1,8}){0,3}".prop_map(|text| ActivityCode::from(text.as_str()))
}

fn state() -> impl Strategy<Value = AgentState> {
    select(AgentState::ALL)
}

fn opening() -> impl Strategy<Value = Opening> {
    let zone = select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]);
    (zone, 0u8..128, 0..1440i64, 0..1440i64).prop_map(|(zone, weekdays, opens_min, closes_min)| {
        Opening { time_zone: zone.into(), weekdays, opens_min, closes_min }
    })
}

fn contact_event() -> impl Strategy<Value = Event> {
    let arrival = (id(), id(), select(Channel::ALL), option::of(quantity())).prop_map(
        |(contact, queue, channel, estimated_handle_s)| {
            Event::ContactArrival(ContactArrival { contact, queue, channel, estimated_handle_s })
        },
    );
    let complete = (
        (id(), id(), id()),
        (quantity(), quantity(), quantity(), quantity()),
        (option::of(text()), any::<bool>(), option::of(quantity())),
    )
        .prop_map(
            |(
                (contact, queue, agent),
                (handle_ms, talk_ms, hold_ms, acw_ms),
                (disposition, transfer, wait_ms),
            )| {
                Event::ContactComplete(ContactComplete {
                    contact,
                    queue,
                    agent,
                    handle_ms,
                    talk_ms,
                    hold_ms,
                    acw_ms,
                    disposition,
                    transfer,
                    wait_ms,
                })
            },
        );
    let abandoned = (id(), id(), quantity(), select(AbandonStage::ALL)).prop_map(
        |(contact, queue, wait_ms, stage)| {
            Event::ContactAbandoned(ContactAbandoned { contact, queue, wait_ms, stage })
        },
    );
    prop_oneof![arrival, complete, abandoned]
}

fn agent_event() -> impl Strategy<Value = Event> {
    let change = (
        (id(), state(), state()),
        (option::of(text()), option::of(id()), option::of(id()), option::of(text())),
    )
        .prop_map(|((agent, previous, new), (reason, queue, contact, source))| {
            Event::AgentStateChange(AgentStateChange {
                agent,
                previous,
                new,
                reason,
                queue,
                contact,
                source,
            })
        });
    let profile = (id(), option::of(text()), id(), id(), prop::collection::vec(id(), 0..5))
        .prop_map(|(agent, name, team, site, skills)| {
            Event::AgentProfile(AgentProfile { agent, name, team, site, skills })
        });
    let activity =
        (span(), code()).prop_map(|((start_at, end_at), code)| Activity { start_at, end_at, code });
    let schedule = (id(), id(), 0..=i64::MAX, prop::collection::vec(activity, 0..5)).prop_map(
        |(agent, shift, version, activities)| {
            Event::ScheduleUpdate(ScheduleUpdate { agent, shift, version, activities })
        },
    );
    let mapping = (code(), state(), select(Verdict::ALL)).prop_map(|(activity, state, verdict)| {
        Event::ActivityMapping(ActivityMapping { activity, state, verdict })
    });
    prop_oneof![change, profile, schedule, mapping]
}

fn queue_event() -> impl Strategy<Value = Event> {
    let update = (
        (id(), quantity(), quantity()),
        (quantity(), quantity(), quantity(), quantity()),
        (option::of(ppm()), option::of(quantity()), option::of(quantity())),
    )
        .prop_map(|((queue, waiting, longest), agents, derived)| {
            Event::QueueUpdate(QueueUpdate {
                queue,
                contacts_waiting: waiting,
                longest_wait_s: longest,
                agents_available: agents.0,
                agents_on_call: agents.1,
                agents_acw: agents.2,
                agents_aux: agents.3,
                service_level_ppm: derived.0,
                interval_volume: derived.1,
                interval_aht_ms: derived.2,
            })
        });
    let refresh =
        ((text(), id(), quantity(), text(), text()), (-QUANTITY_MAX..=QUANTITY_MAX, ppm()))
            .prop_map(
                |((forecast_version, queue, intervals_updated, trigger, method), numbers)| {
                    Event::ForecastRefresh(ForecastRefresh {
                        forecast_version,
                        queue,
                        intervals_updated,
                        trigger,
                        method,
                        volume_change_mpct: numbers.0,
                        confidence_ppm: numbers.1,
                    })
                },
            );
    let profile = (
        (id(), select(Channel::ALL), ppm(), quantity(), quantity()),
        (option::of(quantity()), option::of(opening()), select(ServiceLevel::ALL)),
    )
        .prop_map(|((queue, channel, target_ppm, threshold_ms, short_abandon_ms), options)| {
            Event::QueueProfile(QueueProfile {
                queue,
                channel,
                target_ppm,
                threshold_ms,
                short_abandon_ms,
                service_level: options.2,
                overflow_threshold: options.0,
                opening: options.1,
            })
        });
    let forecast = (id(), span(), quantity(), quantity(), 0..=i64::MAX).prop_map(
        |(queue, (interval_start_at, interval_end_at), volume_milli, aht_ms, version)| {
            Event::ForecastUpdate(ForecastUpdate {
                queue,
                interval_start_at,
                interval_end_at,
                volume_milli,
                aht_ms,
                version,
            })
        },
    );
    prop_oneof![update, refresh, profile, forecast]
}

fn rule_event() -> impl Strategy<Value = Event> {
    let parameters = prop::collection::btree_map(id(), -QUANTITY_MAX..=QUANTITY_MAX, 0..4);
    (id(), option::of(id()), option::of(any::<bool>()), parameters).prop_map(
        |(rule, scope, enabled, parameters): (Name, Option<Name>, _, BTreeMap<Name, i64>)| {
            let parameters = parameters.into_iter();
            let parameters =
                parameters.map(|(name, value_milli)| RuleParameter { name, value_milli });
            let parameters = parameters.collect();
            Event::RuleUpdate(RuleUpdate { rule, scope, enabled, parameters })
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![contact_event(), agent_event(), queue_event(), rule_event()]
}

proptest! {
    #![proptest_config(seeded(2000))]

    #[test]
    fn decoding_inverts_encoding(event in event(), at in INSTANTS, event_id in text()) {
        let envelope = Envelope { seq: 0, key: EventKey::of(&event_id), at, event };
        let json = encode(&envelope, &event_id);
        let again = decoded(&json);
        prop_assert_eq!(&again.envelope, &envelope, "{}", json);
        prop_assert_eq!((again.unknown_fields, again.unknown_values), (0, 0), "{}", json);
        prop_assert_eq!(encode(&again.envelope, &event_id), json);
    }

    #[test]
    fn instants_invert(at in INSTANTS) {
        prop_assert_eq!(parse_ms(&format_ms(at)), Some(at));
    }

    #[test]
    fn any_text_is_an_instant_or_not(text in "\\PC{0,30}|[0-9TZ:.+-]{0,30}") {
        let _ = parse_ms(&text);
    }

    #[test]
    fn any_number_of_milliseconds_can_be_written(ms in any::<i64>()) {
        prop_assert!(format_ms(ms).ends_with('Z'));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&raw);
    }

    /// An event with a few bytes changed, dropped or doubled comes closer to the edges than noise does.
    #[test]
    fn any_damage_is_decoded_or_refused(
        event in event(),
        at in INSTANTS,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut raw = encode(&Envelope { seq: 0, key: EventKey(0), at, event }, "e").into_bytes();
        for (index, byte, kind) in damage {
            let index = index.index(raw.len());
            match kind {
                0 => raw[index] = byte,
                1 => { raw.remove(index); }
                _ => raw.insert(index, byte),
            }
        }
        if let Err(malformed) = decode(&raw) {
            prop_assert!(!malformed.0.is_empty());
        }
    }
}
