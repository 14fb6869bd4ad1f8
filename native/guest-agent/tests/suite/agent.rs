//! A running agent that goes, with all its processes, when the test ends.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;

use crate::client::Client;

/// for anything that ought to happen at once
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Agent {
    child: Child,
    directory: PathBuf,
}

impl Agent {
    pub fn start() -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("guest-agent-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_guest-agent"))
            .arg("--unix")
            .arg(directory.join("socket"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Agent { child, directory }
    }

    /// An agent and a client that is connected to it.
    pub async fn with_client() -> (Self, Client) {
        let agent = Self::start();
        let client = agent.client().await;
        (agent, client)
    }

    pub async fn client(&self) -> Client {
        Client::greet(self.connect().await).await
    }

    /// The bare line.
    pub async fn connect(&self) -> UnixStream {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(self.directory.join("socket")).await {
                Ok(stream) => return stream,
                Err(why) if begun.elapsed() > PATIENCE => panic!("the agent does not listen: {why}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// pids and states of its children
    pub fn children(&self) -> Vec<(i32, String)> {
        children_of(self.child.id() as i32)
    }

    /// processor time it has taken, in clock ticks
    pub fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        for (pid, _) in self.children() {
            // SAFETY: plain system calls.
            unsafe {
                libc::kill(-pid, libc::SIGKILL);
                libc::kill(pid, libc::SIGKILL);
            }
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn children_of(parent: i32) -> Vec<(i32, String)> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats = pids.filter_map(|pid: i32| Some((pid, fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)));
    stats
        .filter_map(|(pid, stat)| {
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?.to_string();
            (fields.next()?.parse() == Ok(parent)).then_some((pid, state))
        })
        .collect()
}

/// Asks again and again until the answer is yes.
pub async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !question().await {
        assert!(begun.elapsed() < PATIENCE, "not so in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn is_root() -> bool {
    // SAFETY: plain system call.
    unsafe { libc::geteuid() == 0 }
}
