//! How fast this host's time stamp counter runs. Software emulation hands the counter to the guest as it is, and a
//! guest that has to find out by itself fails on a busy host and then hangs in its boot.

use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_millis(50);
/// reading both clocks is repeated, and the closest pair taken, so that being preempted in between does no harm
const TRIES: u32 = 16;

/// kHz; none where the processor has no such counter.
pub fn counter_khz() -> Option<u64> {
    let begin = read_both()?;
    std::thread::sleep(SPAN);
    let end = read_both()?;
    let nanoseconds = end.0.duration_since(begin.0).as_nanos();
    u64::try_from(u128::from(end.1.wrapping_sub(begin.1)) * 1_000_000 / nanoseconds).ok()
}

fn read_both() -> Option<(Instant, u64)> {
    let attempt = || {
        let before = Instant::now();
        let counter = read_counter()?;
        let width = before.elapsed();
        Some((width, before + width / 2, counter))
    };
    (0..TRIES).filter_map(|_| attempt()).min_by_key(|(width, ..)| *width).map(|(_, at, counter)| (at, counter))
}

#[cfg(target_arch = "x86_64")]
fn read_counter() -> Option<u64> {
    // SAFETY: every x86-64 processor has the instruction, and Linux allows it.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn read_counter() -> Option<u64> {
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    #[test]
    fn agrees_with_itself() {
        let (first, second) = (super::counter_khz().unwrap(), super::counter_khz().unwrap());
        assert!(first.abs_diff(second) < first / 1000, "{first} {second}");
    }
}
