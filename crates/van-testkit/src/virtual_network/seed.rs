//! Chance that replays.

/// A generator whose whole future is its seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// A generator that begins at this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit.max(1)).expect("a limit is small");
        usize::try_from((mixed ^ (mixed >> 31)) % limit).expect("below a small limit")
    }

    /// True in this many of a thousand cases.
    pub fn chance(&mut self, thousandths: usize) -> bool {
        self.below(1000) < thousandths
    }
}
