//! Room for answers in memory: `http.buffered_max`, shared by the clients of all apps.
//!
//! What was polled keeps its room until its rows are handed on, which takes as long as the log does not take them. Tokens
//! and material are done with as soon as they are read, so they have a part of their own: they never wait for the log.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in this many bytes, so that their number stays within what a semaphore can count.
const PERMIT_BYTES: usize = 1024;

/// The room there is. Clones share it.
///
/// Nobody who has room waits for more of it (who needs more gives back what he has first, and asks for all at once), so
/// those who wait get theirs as soon as answers are done with.
#[derive(Clone, Debug)]
pub struct Buffer {
    free: Arc<Semaphore>,
    permits_max: u32,
}

/// The parts of the room. Clones share them.
#[derive(Clone, Debug)]
pub struct Buffers {
    pub polls: Buffer,
    /// For tokens and material.
    pub others: Buffer,
    /// Beside these, for answers that are being read.
    pub reading: Buffer,
}

/// Room for the bodies of answers that are being read or whose rows wait for the queue, of all apps: some full pages of 1000
/// rows, so that nobody who may read waits for one who writes, and few, since rows take several times the memory of the bytes
/// they were read from.
const READING_BYTES: usize = 2 * 1024 * 1024;

/// What the others have of it all: one part in so many.
const OTHERS_SHARE: usize = 8;

impl Buffers {
    /// `bytes_max` is what bodies may take in all.
    pub fn new(bytes_max: usize) -> Buffers {
        let others = bytes_max / OTHERS_SHARE;
        Buffers { polls: Buffer::new(bytes_max - others), others: Buffer::new(others), reading: Buffer::for_reading() }
    }
}

/// Part of the room, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Room(OwnedSemaphorePermit);

impl Buffer {
    pub fn new(bytes_max: usize) -> Buffer {
        let permits_max = u32::try_from(bytes_max / PERMIT_BYTES).unwrap_or(u32::MAX).max(1);
        Buffer { free: Arc::new(Semaphore::new(permits_max as usize)), permits_max }
    }

    /// Room for answers that are being read: see [`READING_BYTES`].
    pub(crate) fn for_reading() -> Buffer {
        Buffer::new(READING_BYTES)
    }

    /// Waits for room of `bytes`, or for all there is where that is less.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        let permits = permits(bytes).min(self.permits_max);
        Room(self.free.clone().acquire_many_owned(permits).await.expect("the semaphore is never closed"))
    }
}

impl Room {
    pub fn bytes(&self) -> usize {
        self.0.num_permits() * PERMIT_BYTES
    }

    /// `bytes` that take up their room, and no more, as long as any part of them is held.
    pub(crate) fn filled_with(mut self, bytes: Bytes) -> Bytes {
        let surplus = self.0.num_permits().saturating_sub(permits(bytes.len()) as usize);
        // A body of unknown length, or one that came packed, was given room for more than it has become.
        drop(self.0.split(surplus));
        Bytes::from_owner(Filled { bytes, _room: self })
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).max(1)
}

struct Filled {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_until_an_answer_is_done_with() {
        let buffer = Buffer::new(4 * PERMIT_BYTES);
        let answer = buffer.room(4 * PERMIT_BYTES).await.filled_with(Bytes::from(vec![7; 2 * PERMIT_BYTES]));
        assert_eq!(buffer.free.available_permits(), 2, "what is not needed is given back at once");
        let part = answer.slice(..1);
        let waiting = tokio::spawn({
            let buffer = buffer.clone();
            async move { buffer.room(3 * PERMIT_BYTES).await.bytes() }
        });
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        drop(answer);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(part);
        assert_eq!(waiting.await.unwrap(), 3 * PERMIT_BYTES);
        assert_eq!(buffer.free.available_permits(), 4);
    }

    #[tokio::test]
    async fn more_than_there_is_counts_as_all_of_it() {
        let buffer = Buffer::new(10);
        let room = buffer.room(usize::MAX).await;
        assert_eq!(&room.filled_with(Bytes::from_static(b"x"))[..], b"x");
        assert_eq!(buffer.free.available_permits(), 1);
    }
}
