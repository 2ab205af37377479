//! Random numbers that are the same on every machine and for ever (SplitMix64).

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `[from, to)`.
    pub(crate) fn within(&mut self, from: i64, to: i64) -> i64 {
        assert!(from < to, "an empty range: {from}..{to}");
        from + (self.next() % (to - from) as u64) as i64
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.within(0, 100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.within(0, from.len() as i64) as usize]
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.within(0, i as i64 + 1) as usize);
        }
    }
}
