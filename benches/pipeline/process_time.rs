//! The CPU time that processes have used, as Linux counts it.

use std::fs;
use std::time::Duration;

/// Ticks a second in `/proc`: the same on every Linux, whatever its timer runs at.
const TICKS: u64 = 100;

/// In user and system mode together, over all threads; rounded to 10 ms.
pub fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the program stands in brackets and may hold spaces: the fields behind it are safe to split.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().unwrap());
    let ticks = times.next().unwrap() + times.next().unwrap();
    Duration::from_millis(ticks * 1000 / TICKS)
}
