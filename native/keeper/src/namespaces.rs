//! The namespaces that the program is in from before it is executed; the keeper stays outside. In a user namespace the
//! program would be root over all that belongs to it, taps and rules as well, so it holds no capability there, nor where
//! root's keeper is told to leave it none. A mount namespace of its own has files of the host at second places, which go
//! with the program.

use std::ffi::{CString, NulError, OsStr};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::arguments::{Arguments, Mount, Tap};
use crate::failure::Failure;
use crate::sys::{self, TapRequest};

/// Opened, so that they live although whoever made them may end.
pub struct Namespaces {
    /// with their names, in their order
    steps: Vec<(String, Step)>,
}

enum Step {
    Enter(File),
    OwnTap(TapRequest),
    OwnMounts,
    Mount { source: CString, target: CString, read_only: bool },
    DropCapabilities,
}

/// tells which step failed, where the program could not be started
pub struct Entrance {
    names: Vec<String>,
    failed: PipeReader,
}

impl Namespaces {
    pub fn open(arguments: &Arguments) -> Result<Self, Failure> {
        // the user namespace first: it gives the right to enter the other
        let wanted = [
            (&arguments.user_namespace, libc::CLONE_NEWUSER, "user"),
            (&arguments.network_namespace, libc::CLONE_NEWNET, "network"),
        ];
        let mut steps = Vec::new();
        for (path, kind, name) in wanted {
            let Some(path) = path else { continue };
            steps.push((path.display().to_string(), Step::Enter(open(path, kind, name)?)));
        }
        if let Some(Tap { name, owner }) = &arguments.tap {
            let shown = name.display().to_string();
            let request = TapRequest::new(name.as_bytes(), *owner).map_err(|why| Failure::new(&shown, why))?;
            steps.push((shown, Step::OwnTap(request)));
        }
        if !arguments.mounts.is_empty() {
            steps.push(("mounts".into(), Step::OwnMounts));
        }
        for Mount { source, target, read_only } in &arguments.mounts {
            let shown = target.display().to_string();
            let paths = text(source.as_os_str()).and_then(|source| Ok((source, text(target.as_os_str())?)));
            let (source, target) = paths.map_err(|why| Failure::new(&shown, why))?;
            steps.push((shown, Step::Mount { source, target, read_only: *read_only }));
        }
        if arguments.user_namespace.is_some() || arguments.no_capabilities {
            steps.push(("capabilities".into(), Step::DropCapabilities));
        }
        Ok(Namespaces { steps })
    }

    /// Has the program enter them; to be told before anything else that it does before it is executed.
    pub fn enter(self, command: &mut Command) -> Result<Entrance, Failure> {
        let (failed, mut tell) = io::pipe().map_err(|why| Failure::new("pipe", why))?;
        let (names, steps): (Vec<_>, Vec<_>) = self.steps.into_iter().unzip();
        // SAFETY: the closure only makes system calls.
        unsafe {
            command.pre_exec(move || {
                for (index, step) in steps.iter().enumerate() {
                    let result = step.take();
                    if result.is_err() {
                        let _ = tell.write(&(index as u32).to_ne_bytes());
                        return result;
                    }
                }
                Ok(())
            });
        }
        Ok(Entrance { names, failed })
    }
}

impl Step {
    fn take(&self) -> io::Result<()> {
        match self {
            Step::Enter(namespace) => sys::enter_namespace(namespace),
            Step::OwnTap(request) => request.make(),
            Step::OwnMounts => sys::own_mounts(),
            Step::Mount { source, target, read_only } => sys::bind_mount(source, target, *read_only),
            Step::DropCapabilities => sys::drop_capabilities(),
        }
    }
}

impl Entrance {
    /// What could not be done, none where the start failed for another reason; the command has gone by now.
    pub fn failed_step(mut self) -> Option<String> {
        let mut index = [0; 4];
        self.failed.read_exact(&mut index).ok()?;
        self.names.into_iter().nth(u32::from_ne_bytes(index) as usize)
    }
}

fn open(path: &Path, kind: libc::c_int, name: &str) -> Result<File, Failure> {
    let opened = File::open(path).map_err(|why| Failure::new(path.display(), why))?;
    match sys::namespace_kind(&opened) {
        Ok(found) if found == kind => Ok(opened),
        _ => Err(Failure::new(path.display(), format!("this is no {name} namespace"))),
    }
}

fn text(path: &OsStr) -> Result<CString, NulError> {
    CString::new(path.as_bytes())
}
