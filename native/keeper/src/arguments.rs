//! The command line: `--socket <path> --console-bytes <n> [option…] -- <program> [argument…]`; the options are in
//! codex/reference/keeper-protocol.md.

use std::ffi::OsString;
use std::path::PathBuf;

const RING_BYTES: std::ops::RangeInclusive<usize> = 4096..=16 * 1024 * 1024;
const DEFAULT_ERROR_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub struct Arguments {
    pub socket: PathBuf,
    pub console_bytes: usize,
    pub error_bytes: usize,
    pub cwd: Option<PathBuf>,
    /// control groups that keeper and program enter, one of each hierarchy
    pub cgroups: Vec<PathBuf>,
    /// a FIFO that the keeper makes and reads into the ring of errors
    pub log: Option<PathBuf>,
    /// who may write it, instead of the keeper's own user
    pub log_owner: Option<u32>,
    /// what the program enters before it is executed
    pub user_namespace: Option<PathBuf>,
    pub network_namespace: Option<PathBuf>,
    /// whether the program may not use what root could, whose name it keeps
    pub no_capabilities: bool,
    /// given away in the network namespace
    pub tap: Option<Tap>,
    /// made in a mount namespace of the program's own
    pub mounts: Vec<Mount>,
    pub reach: Reach,
    /// program and arguments, never empty
    pub program: Vec<PathBuf>,
}

/// what the program may open; everything where both are empty
#[derive(Debug, Default)]
pub struct Reach {
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
}

/// a tap and who may open it
#[derive(Debug)]
pub struct Tap {
    pub name: OsString,
    pub owner: u32,
}

/// a file of the host at a second place
#[derive(Debug)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    pub read_only: bool,
}

pub fn parse(words: Vec<OsString>) -> Result<Arguments, String> {
    let mut socket = None;
    let mut console_bytes = None;
    let mut error_bytes = DEFAULT_ERROR_BYTES;
    let mut cwd = None;
    let mut cgroups = Vec::new();
    let mut log = None;
    let mut log_owner = None;
    let mut user_namespace = None;
    let mut network_namespace = None;
    let mut no_capabilities = false;
    let mut tap = None;
    let mut mounts = Vec::new();
    let mut reach = Reach::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word.to_string_lossy().into_owned();
        if name == "--" {
            break;
        }
        if name == "--no-capabilities" {
            no_capabilities = true;
            continue;
        }
        let mut next = || words.next().ok_or_else(|| format!("{name} needs a value"));
        let value = next()?;
        match name.as_str() {
            "--socket" => socket = Some(PathBuf::from(value)),
            "--console-bytes" => console_bytes = Some(ring_bytes(&name, &value)?),
            "--error-bytes" => error_bytes = ring_bytes(&name, &value)?,
            "--cwd" => cwd = Some(PathBuf::from(value)),
            "--cgroup" => cgroups.push(PathBuf::from(value)),
            "--log" => log = Some(PathBuf::from(value)),
            "--log-owner" => log_owner = Some(user(&name, &value)?),
            "--user-namespace" => user_namespace = Some(PathBuf::from(value)),
            "--network-namespace" => network_namespace = Some(PathBuf::from(value)),
            "--own-tap" => tap = Some(Tap { name: value, owner: user(&name, &next()?)? }),
            "--mount" | "--mount-read-only" => mounts.push(Mount {
                source: value.into(),
                target: next()?.into(),
                read_only: name == "--mount-read-only",
            }),
            "--may-read" => reach.read.push(PathBuf::from(value)),
            "--may-write" => reach.write.push(PathBuf::from(value)),
            _ => return Err(format!("there is no option {name}")),
        }
    }
    let program: Vec<PathBuf> = words.map(PathBuf::from).collect();
    if program.is_empty() {
        return Err("a program is missing after --".into());
    }
    let socket: PathBuf = socket.ok_or("--socket is missing")?;
    if socket.as_os_str().is_empty() {
        return Err("--socket takes a path".into()); // bind would choose a name of its own
    }
    Ok(Arguments {
        socket,
        console_bytes: console_bytes.ok_or("--console-bytes is missing")?,
        error_bytes,
        cwd,
        cgroups,
        log,
        log_owner,
        user_namespace,
        network_namespace,
        no_capabilities,
        tap,
        mounts,
        reach,
        program,
    })
}

fn user(name: &str, value: &OsString) -> Result<u32, String> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} takes the number of a user"))
}

fn ring_bytes(name: &str, value: &OsString) -> Result<usize, String> {
    let bytes = value.to_str().and_then(|text| text.parse().ok());
    match bytes {
        Some(bytes) if RING_BYTES.contains(&bytes) => Ok(bytes),
        _ => Err(format!("{name} takes a number of bytes from {} to {}", RING_BYTES.start(), RING_BYTES.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn takes_what_the_protocol_names() {
        let parsed = parse(words("--socket /s --console-bytes 4096 --cwd /d -- prog -x --socket")).unwrap();
        assert_eq!(parsed.program, [PathBuf::from("prog"), "-x".into(), "--socket".into()]);
        assert_eq!((parsed.console_bytes, parsed.error_bytes), (4096, DEFAULT_ERROR_BYTES));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "--socket /s --console-bytes 4096 --",
            "--console-bytes 4096 -- p",
            "--socket /s -- p",
            "--socket /s --console-bytes 4095 -- p",
            "--socket /s --console-bytes 99999999 -- p",
            "--socket /s --console-bytes x -- p",
            "--socket  --console-bytes 4096 -- p",
            "--socket /s --console-bytes 4096 --error-bytes 1 -- p",
            "--socket /s --console-bytes 4096 p",
            "--socket /s --console-bytes 4096 --mount /a",
            "--socket /s --console-bytes 4096 --own-tap tap0 root -- p",
            "--socket /s --console-bytes 4096 --log-owner -1 -- p",
            "--bogus 1 -- p",
            "",
            "--socket",
        ] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
    }
}
