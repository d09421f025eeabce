//! Reading back what is remembered, from the bytes of the topic's records, in one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::fact::FactId;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::state::State;
use promoter_connector::model::state_record::{Remembered, StateKey, StateValue};
use promoter_connector::model::time::UnixTime;

use crate::counting::counted;
use crate::facts::promoter;

pub fn measure() {
    println!("\n{:<52} {:>12} {:>14} {:>14}", "restore in one thread", "facts", "facts/s", "bytes a fact");
    for (promoters, chunks, facts) in [(1, 10_000, 1000), (1000, 10, 1000), (10_000, 50, 20)] {
        let (time, held) = restore(promoters, chunks, facts);
        let count = promoters * chunks * facts;
        let name = format!("{promoters} feeds of {chunks} records of {facts} facts");
        let (rate, bytes) = (count as f64 / time.as_secs_f64(), held as f64 / count as f64);
        println!("{name:<52} {count:>12} {rate:>14.0} {bytes:>14.1}");
    }
    println!("\n{:<52} {:>12} {:>14} {:>14}", "one feed with records of one fact", "records", "ns a record", "ratio");
    let mut first = None;
    for records in [25_000, 100_000, 400_000] {
        let (time, _) = restore(1, records, 1);
        let nanoseconds = time.as_nanos() as f64 / records as f64;
        let ratio = nanoseconds / *first.get_or_insert(nanoseconds);
        println!("{:<52} {records:>12} {nanoseconds:>14.0} {ratio:>14.2}", "");
    }
}

/// Of so many feeds, each with a cursor and so many records of so many facts; and the bytes that are held then.
fn restore(promoters: u64, chunks: u64, facts: u64) -> (Duration, usize) {
    let records: Vec<(String, Vec<u8>)> = (0..promoters).flat_map(|number| records(number, chunks, facts)).collect();
    let ((state, time), held, _) = counted(|| {
        let began = Instant::now();
        let mut state = State::default();
        for (key, value) in &records {
            let key = StateKey::decode(black_box(key.as_bytes())).unwrap();
            let value = StateValue::decode(&key, value).unwrap();
            state.restore(key, Some(value));
        }
        state.restored();
        (state, began.elapsed())
    });
    assert_eq!(state.remembered() as u64, promoters * chunks * facts);
    (time, held)
}

fn records(number: u64, chunks: u64, facts: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    let cursor = Cursor::begin(Feed::Touches, UnixTime(0));
    let first = (StateKey::Cursor(promoter(number), Feed::Touches), StateValue::Cursor(cursor));
    let chunk = move |chunk: u64| {
        let remembered = |fact: u64| {
            let second = chunk * facts + fact;
            let hash = blake3::hash(&[number, second].map(u64::to_le_bytes).concat());
            let id = FactId(hash.as_bytes()[..16].try_into().unwrap());
            Remembered::new(id, UnixTime(second.cast_signed()))
        };
        let value = StateValue::Seen((0..facts).map(remembered).collect());
        (StateKey::Seen(promoter(number), Feed::Touches, chunk), value)
    };
    std::iter::once(first).chain((0..chunks).map(chunk)).map(|(key, value)| (key.encode(), value.encode()))
}
