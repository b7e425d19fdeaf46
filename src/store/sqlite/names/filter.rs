//! Whether a hash may be among a set of them: no for certain, or perhaps.

/// Bits of a block: one line of a processor's cache, so that a question costs one look at memory.
const BLOCK_BITS: u64 = 512;
/// Words of a block.
const WORDS: usize = 8;
/// Bits for each hash. About one question in a hundred is answered "perhaps" for nothing.
const BITS_EACH: u64 = 11;
/// Bits that each hash sets in its block.
const SET_EACH: u32 = 6;

/// A Bloom filter in blocks.
pub(super) struct Filter {
    blocks: Vec<[u64; WORDS]>,
}

impl Filter {
    /// An empty filter for so many hashes.
    pub(super) fn new(count: usize) -> Self {
        let bits = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(BITS_EACH);
        let blocks = usize::try_from(bits.div_ceil(BLOCK_BITS).max(1)).unwrap_or(1);
        Self { blocks: vec![[0; WORDS]; blocks] }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let at = self.block(hash);
        for (word, bit) in bits(hash) {
            self.blocks[at][word] |= bit;
        }
    }

    pub(super) fn may_have(&self, hash: u64) -> bool {
        let block = &self.blocks[self.block(hash)];
        bits(hash).all(|(word, bit)| block[word] & bit != 0)
    }

    /// By the upper half of the hash, spread over all blocks.
    fn block(&self, hash: u64) -> usize {
        let blocks = u64::try_from(self.blocks.len()).unwrap_or(1);
        usize::try_from(((hash >> 32) * blocks) >> 32).unwrap_or(0)
    }
}

/// Words and bits of a block, by the lower half of the hash.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let mut state = (hash & 0xffff_ffff) | 1 << 32;
    (0..SET_EACH).map(move |_| {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = state >> 55;
        (usize::try_from(place >> 6).unwrap_or(0), 1 << (place & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes as SHA-256 makes them, without SHA-256.
    fn hashes(count: u64, seed: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |number| {
            let mut value = (number + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            value ^ (value >> 31)
        })
    }

    #[test]
    fn what_is_there_is_never_denied_and_what_is_not_hardly_ever_suspected() {
        let mut filter = Filter::new(50_000);
        hashes(50_000, 0).for_each(|hash| filter.insert(hash));
        assert!(hashes(50_000, 0).all(|hash| filter.may_have(hash)));
        let suspected = hashes(100_000, 1 << 40).filter(|hash| filter.may_have(*hash)).count();
        assert!(suspected < 2_000, "{suspected} of 100000 are suspected");
        assert!(!Filter::new(0).may_have(7), "an empty one has nothing");
    }
}
