//! Waiting for a future in a thread that has no runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks until the future is ready, for `bound` at most; nothing if it is not ready by then. The future may use no timer and no
/// connection of a runtime.
pub fn block_on<F: Future>(future: F, bound: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let deadline = Instant::now() + bound;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        // May return early, which the next poll finds out.
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::under_way::under_way;

    #[test]
    fn it_ends_with_what_is_waited_for() {
        let (held, mut settled) = under_way();
        let holder = thread::spawn(move || drop(held));
        assert_eq!(block_on(settled.wait(), Duration::from_secs(60)), Some(()));
        holder.join().unwrap();
    }

    #[test]
    fn it_is_bounded() {
        let (_held, mut settled) = under_way();
        assert_eq!(block_on(settled.wait(), Duration::from_millis(1)), None);
    }
}
