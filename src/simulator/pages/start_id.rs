//! The opaque `start_id`: where a pull goes on, bound to the promoter and to what was asked.

use crate::simulator::seed::Seed;

const OFFSET_BITS: u32 = 24;
const ROUND_BITS: u32 = 14;
const KEY_BITS: u32 = 62;

/// Where a pull goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Rows already passed.
    pub offset: usize,
    /// How often the rows have begun again, for pulls without end.
    pub round: u32,
}

/// The key is of one request of one promoter: a `start_id` of another does not open with it.
#[derive(Clone, Copy)]
pub struct StartIdKey(u64);

impl StartIdKey {
    pub fn new(promoter: Seed, request: &str) -> StartIdKey {
        StartIdKey(promoter.text("start_id").text(request).bits() >> (64 - KEY_BITS))
    }

    pub fn close(self, position: Position) -> u64 {
        let offset = (position.offset as u64).min((1 << OFFSET_BITS) - 1);
        let round = u64::from(position.round) & ((1 << ROUND_BITS) - 1);
        (round << OFFSET_BITS | offset) ^ self.0
    }

    pub fn open(self, number: u64) -> Option<Position> {
        let plain = number ^ self.0;
        if plain >> (OFFSET_BITS + ROUND_BITS) != 0 {
            return None;
        }
        let offset = usize::try_from(plain & ((1 << OFFSET_BITS) - 1)).ok()?;
        let round = u32::try_from(plain >> OFFSET_BITS).ok()?;
        Some(Position { offset, round })
    }
}

/// A `start_id` in the letters of a promoter that gives texts.
pub fn as_text(number: u64) -> String {
    format!("p-{number:x}")
}

/// Reads either form back.
pub fn from_text(text: &str) -> Option<u64> {
    match text.strip_prefix("p-") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn only_the_same_request_opens_a_start_id(seed: u64, offset in 0usize..1 << 24, round in 0u32..1 << 14) {
            let position = Position { offset, round };
            let key = StartIdKey::new(Seed::new(seed), "touches 1 2");
            let number = key.close(position);
            proptest::prop_assert_eq!(key.open(number), Some(position));
            proptest::prop_assert_eq!(from_text(&as_text(number)), Some(number));
            proptest::prop_assert_eq!(from_text(&number.to_string()), Some(number));
            proptest::prop_assert_eq!(StartIdKey::new(Seed::new(seed), "touches 1 3").open(number), None);
        }
    }
}
