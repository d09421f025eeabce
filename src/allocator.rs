//! How the allocator of the system keeps what is free.

/// glibc gives each of the first threads an arena of its own, eight for each core, and none of them gives back to another
/// what it has free. librdkafka alone has a few dozen threads, most of which sleep: two arenas for each thread that can run
/// at once serve as well, and what one thread has had for a moment is the others' next. With one for each, threads wait for
/// each other, since what one has allocated another frees: a tenth of the processor's time goes there.
///
/// To be called before there is a second thread. Elsewhere than with glibc there is nothing to do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "one call into the C library, argued below")]
pub fn bound_arenas() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let arenas = libc::c_int::try_from(cores.saturating_mul(2)).unwrap_or(libc::c_int::MAX);
    // SAFETY: mallopt takes two numbers by value and may be called at any time. One that it does not know it refuses, and
    // then everything stays as it was.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn bound_arenas() {}

/// Gives back to the system what is free. What glibc has once taken for small things it keeps, unless the last of it is free:
/// after a restore of many promoters that is hundreds of megabytes, which nothing needs again as long as the process runs.
///
/// Takes a tenth of a second for a gigabyte, in which other threads wait for memory of the arena that is looked through. Elsewhere
/// than with glibc there is nothing to do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "one call into the C library, argued below")]
pub fn give_back() {
    // SAFETY: malloc_trim takes a number by value, locks each arena as an allocation does, and may be called by any thread at
    // any time.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
