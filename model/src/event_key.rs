//! The identity of an event, derived from its `event_id`.

use crate::ids::EventKey;

impl EventKey {
    /// Hashes an `event_id`: MurmurHash3, x64, 128 bits, seed 0, the second half in the upper 64 bits.
    ///
    /// The journal's deduplication and the views outlive a build, so this is the same on every machine and must stay
    /// the same in every version; the test holds published values. Among n distinct ids some pair collides with a
    /// probability of about n² / 2^129: 10^-19 for 10 billion. The hash is not cryptographic: who may send events
    /// could construct a collision, but could as well repeat an id outright.
    pub fn of(event_id: &str) -> EventKey {
        let (low, high) = murmur3(event_id.as_bytes());
        EventKey(u128::from(high) << 64 | u128::from(low))
    }
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

fn murmur3(bytes: &[u8]) -> (u64, u64) {
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let (k1, k2) = words(*block);
        h1 ^= scramble_low(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble_high(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    // A tail of zeros scrambles to nothing, as if it were not there; the length tells them apart.
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let (k1, k2) = words(last);
    h1 ^= scramble_low(k1) ^ bytes.len() as u64;
    h2 ^= scramble_high(k2) ^ bytes.len() as u64;

    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (avalanche(h1), avalanche(h2));
    h1 = h1.wrapping_add(h2);
    (h1, h2.wrapping_add(h1))
}

fn words(block: [u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(block);
    (both as u64, (both >> 64) as u64)
}

fn scramble_low(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_high(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn avalanche(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_published_hash() {
        for (text, low, high) in [
            ("", 0_u64, 0_u64),
            ("hello", 0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19),
            (
                "The quick brown fox jumps over the lazy dog",
                0xe34b_bc7b_bc07_1b6c,
                0x7a43_3ca9_c49a_9347,
            ),
        ] {
            let key = EventKey(u128::from(high) << 64 | u128::from(low));
            assert_eq!(EventKey::of(text), key, "{text}");
        }
    }

    #[test]
    fn every_bit_of_the_id_matters() {
        let id = "evt-20260515-143207-a4821";
        let key = EventKey::of(id).0;
        let (mut least, mut most) = (128, 0);
        for at in 0..id.len() {
            for bit in 0..7 {
                let mut other = id.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                let other = String::from_utf8(other).expect("seven-bit text");
                let changed = (EventKey::of(&other).0 ^ key).count_ones();
                (least, most) = (least.min(changed), most.max(changed));
            }
        }
        assert!(30 < least && most < 98, "between {least} and {most} of 128 bits changed");
    }
}
