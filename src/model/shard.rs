//! Shards: what one partition of the registry and of the state holds. A shard is owned by one instance at a time, and handed
//! over as a whole.
//!
//! The partition of a promoter is the one that Java's default partitioner gives its key, so that Kafka Streams and Flink join
//! the topics with others written from Java. Event topics are partitioned by librdkafka's `murmur2_random`; the state is
//! written with explicit partitions, because its keys are not promoters: this is the same hash for it.

use std::collections::BTreeSet;
use std::fmt;

use super::promoter::Promoter;

/// A partition of the registry, and that of the state with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Shard(pub i32);

/// A shard as it was assigned to this process. One that is lost and comes back has another number: what was planned before is
/// not to be written after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignedShard {
    pub shard: Shard,
    /// Counts the assignments of this process.
    pub number: u64,
}

/// Which partitions of a topic are this process's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedShards {
    pub owned: BTreeSet<i32>,
    /// How many there are; 0 as long as that is not known.
    pub in_all: usize,
    /// Of the group, which has given them; 0 while this process is no member.
    pub generation: i32,
}

impl Shard {
    /// Whose owner discovers the promoters of all shards.
    pub(crate) const DISCOVERING: Shard = Shard(0);
    /// Whose owner divides the budgets of calls among all shards.
    pub(crate) const DIVIDING: Shard = Shard(0);

    /// That of a promoter, of `partitions` in all (at least one).
    pub fn of(promoter: &Promoter, partitions: i32) -> Shard {
        // The sign bit is cleared, not negated: `i32::MIN` has no absolute value.
        Shard((murmur2(promoter.key().as_bytes()) & 0x7fff_ffff) % partitions.max(1))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// MurmurHash2 by Austin Appleby, 32 bits, with the seed that Kafka uses.
fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let length = u32::try_from(data.len()).expect("keys are far shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_kafkas_java_client() {
        // The values of UtilsTest.testMurmur2 in Apache Kafka.
        assert_eq!(murmur2(b"21"), -973_932_308);
        assert_eq!(murmur2(b"foobar"), -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string"), -985_981_536);
        assert_eq!(murmur2(b"a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(murmur2(b"abc"), 479_470_107);
    }
}
