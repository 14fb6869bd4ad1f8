//! What the guest uses of what it has: processors, memory, disks, networks, processes.
//!
//! All of it is read beside the event loop, since there may be thousands of processes; a file system that does not
//! answer costs its own figures and no more.

mod file_systems;
mod processes;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Mutex, oneshot};

use crate::guest_file;
use crate::http::Failure;
use crate::sys;
use file_systems::FileSystem;
use processes::ProcessList;

const MOST_INTERFACES: usize = 64;
const THREAD_STACK_BYTES: usize = 256 * 1024;

/// The agent goes before the guest's own processes, so it rests between two collections three times as long as the last
/// one took: of a processor it takes no more than a quarter, however often it is asked.
const RESTS: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(5);

/// one collection at a time, however many ask
static LAST: Mutex<Option<Collection>> = Mutex::const_new(None);

struct Collection {
    begun: Instant,
    rested: Instant,
    stats: Arc<Stats>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    uptime_ms: f64,
    processor_count: usize,
    cpu: CpuTimes,
    load: [f64; 3],
    memory: Memory,
    file_systems: Vec<FileSystem>,
    interfaces: Vec<Interface>,
    #[serde(flatten)]
    processes: ProcessList,
}

/// of all processors together, in ms since the kernel's start
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuTimes {
    user_ms: u64,
    nice_ms: u64,
    system_ms: u64,
    idle_ms: u64,
    wait_ms: u64,
    interrupt_ms: u64,
    steal_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    total_bytes: u64,
    free_bytes: u64,
    available_bytes: u64,
    cached_bytes: u64,
    swap_total_bytes: u64,
    swap_free_bytes: u64,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    name: String,
    received_bytes: u64,
    received_packets: u64,
    received_errors: u64,
    sent_bytes: u64,
    sent_packets: u64,
    sent_errors: u64,
}

/// All who wait for a collection to end share the next one.
pub async fn collect() -> Result<Arc<Stats>, Failure> {
    let asked = Instant::now();
    let mut last = LAST.lock().await;
    if let Some(last) = last.as_ref() {
        if last.begun > asked {
            return Ok(last.stats.clone());
        }
        tokio::time::sleep_until(last.rested.into()).await;
    }
    let begun = Instant::now();
    let file_systems = file_systems::measure().await;
    let (tell, told) = oneshot::channel();
    // the turn ends with the work, also where nobody waits for it any more
    let work = move || {
        let stats = Arc::new(read_all(file_systems));
        let rest = (begun.elapsed() * RESTS).min(LONGEST_REST);
        *last = Some(Collection { begun, rested: Instant::now() + rest, stats: stats.clone() });
        tell.send(stats).map_err(drop)
    };
    beside(work).map_err(|why| Failure::internal(&why.to_string()))?;
    told.await.map_err(|_| Failure::internal("the processes could not be listed"))
}

fn read_all(file_systems: Vec<FileSystem>) -> Stats {
    let processes = processes::list();
    let (stat, meminfo) = (guest_file::read("/proc/stat"), guest_file::read("/proc/meminfo"));
    Stats {
        uptime_ms: sys::since_boot_ms(),
        processor_count: stat.lines().filter(|line| is_of_one_processor(line)).count(),
        cpu: cpu_times(&stat),
        load: load(&guest_file::read("/proc/loadavg")),
        memory: memory(&meminfo),
        file_systems,
        interfaces: interfaces(&guest_file::read("/proc/net/dev")),
        processes,
    }
}

/// Runs work on a thread of its own. Between fork and exec a child makes system calls only, so threads do it no harm.
fn beside<T: 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn(move || drop(work())).map(drop)
}

fn is_of_one_processor(line: &str) -> bool {
    line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn cpu_times(stat: &str) -> CpuTimes {
    let Some(line) = stat.lines().find_map(|line| line.strip_prefix("cpu ")) else { return CpuTimes::default() };
    let ms: Vec<u64> = line.split_whitespace().map(|ticks| ticks_to_ms(ticks.parse().unwrap_or(0))).collect();
    let at = |place: usize| ms.get(place).copied().unwrap_or(0);
    CpuTimes {
        user_ms: at(0),
        nice_ms: at(1),
        system_ms: at(2),
        idle_ms: at(3),
        wait_ms: at(4),
        interrupt_ms: at(5) + at(6),
        steal_ms: at(7),
    }
}

/// The kernel tells times in hundredths of a second (USER_HZ), whatever its own tick is.
fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(10)
}

fn load(text: &str) -> [f64; 3] {
    let mut averages = text.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    std::array::from_fn(|_| averages.next().unwrap_or(0.0))
}

fn memory(meminfo: &str) -> Memory {
    let bytes = |key: &str| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
        value.unwrap_or(0u64) * 1024
    };
    Memory {
        total_bytes: bytes("MemTotal:"),
        free_bytes: bytes("MemFree:"),
        available_bytes: bytes("MemAvailable:"),
        cached_bytes: bytes("Buffers:") + bytes("Cached:"),
        swap_total_bytes: bytes("SwapTotal:"),
        swap_free_bytes: bytes("SwapFree:"),
    }
}

fn interfaces(dev: &str) -> Vec<Interface> {
    let rows = dev.lines().filter_map(|line| line.split_once(':'));
    rows.take(MOST_INTERFACES)
        .map(|(name, counters)| {
            let counters: Vec<u64> = counters.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
            let at = |place: usize| counters.get(place).copied().unwrap_or(0);
            Interface {
                name: name.trim().to_string(),
                received_bytes: at(0),
                received_packets: at(1),
                received_errors: at(2),
                sent_bytes: at(8),
                sent_packets: at(9),
                sent_errors: at(10),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_times_are_the_sum_of_all_in_ms() {
        let stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0\nintr 5\n";
        let times = cpu_times(stat);
        assert_eq!((times.user_ms, times.idle_ms, times.interrupt_ms, times.steal_ms), (10, 40, 130, 80));
        assert_eq!(stat.lines().filter(|line| is_of_one_processor(line)).count(), 2);
        assert_eq!(cpu_times(""), CpuTimes::default());
        assert_eq!(cpu_times("cpu  x 99999999999999999999"), CpuTimes::default());
    }

    #[test]
    fn load_and_interfaces_are_read_as_far_as_they_go() {
        assert_eq!(load("0.10 2.00 3.5 1/99 7\n"), [0.1, 2.0, 3.5]);
        assert_eq!(load("x"), [0.0; 3]);
        let dev = "Inter-| Receive\n face |bytes\n    lo: 1 2 3 4 5 6 7 8 9 10 11 12\n  eth0:100\n";
        let found = interfaces(dev);
        let lo = &found[0];
        assert_eq!((lo.name.as_str(), lo.received_bytes, lo.received_errors), ("lo", 1, 3));
        assert_eq!((lo.sent_bytes, lo.sent_packets, lo.sent_errors), (9, 10, 11));
        assert_eq!((found[1].name.as_str(), found[1].received_bytes, found.len()), ("eth0", 100, 2));
    }
}
