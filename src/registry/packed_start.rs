//! A start in four bytes: a table holds two of them for each promoter, and a list of the configuration one.

use crate::model::feed::StartFrom;
use crate::model::time::UnixTime;

/// Nothing, or a start. No time lies before [`UnixTime::EARLIEST`], so what does can stand for the others; what lies behind the
/// last second that fits, of February 2106, is that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedStart(u32);

const NOTHING: u32 = 0;
const NOW: u32 = 1;
const EARLIEST: u32 = 2;

impl From<Option<StartFrom>> for PackedStart {
    fn from(start: Option<StartFrom>) -> PackedStart {
        PackedStart(match start {
            None => NOTHING,
            Some(StartFrom::Now) => NOW,
            Some(StartFrom::Earliest) => EARLIEST,
            Some(StartFrom::At(time)) => u32::try_from(time.max(UnixTime::EARLIEST).0).unwrap_or(u32::MAX),
        })
    }
}

impl From<PackedStart> for Option<StartFrom> {
    fn from(PackedStart(start): PackedStart) -> Option<StartFrom> {
        match start {
            NOTHING => None,
            NOW => Some(StartFrom::Now),
            EARLIEST => Some(StartFrom::Earliest),
            time => Some(StartFrom::At(UnixTime(i64::from(time)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_back_as_it_was_packed() {
        let times = [UnixTime::EARLIEST, UnixTime(1_668_614_400), UnixTime(u32::MAX.into())].map(StartFrom::At);
        for start in [StartFrom::Now, StartFrom::Earliest].into_iter().chain(times).map(Some).chain([None]) {
            assert_eq!(Option::<StartFrom>::from(PackedStart::from(start)), start);
        }
        let late = PackedStart::from(Some(StartFrom::At(UnixTime(7_258_118_400))));
        assert_eq!(Option::<StartFrom>::from(late), Some(StartFrom::At(UnixTime(u32::MAX.into()))));
    }
}
