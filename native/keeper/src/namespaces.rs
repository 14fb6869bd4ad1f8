//! The namespaces that the program enters between fork and exec; the keeper stays outside. In a user namespace the
//! program would be root over all that belongs to it, taps and rules as well, so it holds no capability there.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::sys;

/// Opened, so that they live although whoever made them may end.
pub struct Namespaces {
    /// in the order in which they are entered
    entered: Vec<(PathBuf, File)>,
    drops_capabilities: bool,
}

/// tells which step of entering failed, where the program could not be started
pub struct Entrance {
    steps: Vec<String>,
    failed: PipeReader,
}

impl Namespaces {
    pub fn open(arguments: &Arguments) -> Result<Self, Failure> {
        // the user namespace first: it gives the right to enter the other
        let wanted = [
            (&arguments.user_namespace, libc::CLONE_NEWUSER, "user"),
            (&arguments.network_namespace, libc::CLONE_NEWNET, "network"),
        ];
        let mut entered = Vec::new();
        for (path, kind, name) in wanted {
            let Some(path) = path else { continue };
            entered.push((path.clone(), open(path, kind, name)?));
        }
        Ok(Namespaces { entered, drops_capabilities: arguments.user_namespace.is_some() })
    }

    /// Has the program enter them; to be told before anything else that it does before it is executed.
    pub fn enter(self, command: &mut Command) -> Result<Entrance, Failure> {
        let (failed, mut tell) = io::pipe().map_err(|why| Failure::new("pipe", why))?;
        let mut steps: Vec<String> = self.entered.iter().map(|(path, _)| path.display().to_string()).collect();
        steps.push("capabilities".into());
        // SAFETY: the closure only makes system calls.
        unsafe {
            command.pre_exec(move || {
                let namespaces = self.entered.iter().map(|(_, namespace)| sys::enter_namespace(namespace));
                let capabilities = || if self.drops_capabilities { sys::drop_capabilities() } else { Ok(()) };
                for (step, result) in namespaces.chain(std::iter::once_with(capabilities)).enumerate() {
                    if result.is_err() {
                        let _ = tell.write(&[step as u8]);
                        return result;
                    }
                }
                Ok(())
            });
        }
        Ok(Entrance { steps, failed })
    }
}

impl Entrance {
    /// What could not be entered, none where the start failed for another reason; the command has gone by now.
    pub fn failed_step(mut self) -> Option<String> {
        let mut step = [0];
        self.failed.read_exact(&mut step).ok()?;
        self.steps.into_iter().nth(step[0].into())
    }
}

fn open(path: &Path, kind: libc::c_int, name: &str) -> Result<File, Failure> {
    let opened = File::open(path).map_err(|why| Failure::new(path.display(), why))?;
    match sys::namespace_kind(&opened) {
        Ok(found) if found == kind => Ok(opened),
        _ => Err(Failure::new(path.display(), format!("this is no {name} namespace"))),
    }
}
