//! What holds a program in: the control groups that it and its keeper are in, and by Landlock the files it may open.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use crate::arguments::Reach;
use crate::failure::Failure;

/// the newest interface whose rights are asked for; an older kernel enforces what it knows
const NEWEST: ABI = ABI::V6;

/// The program inherits the groups, so that nothing of it is ever outside.
pub fn enter(cgroups: &[PathBuf]) -> Result<(), Failure> {
    for group in cgroups {
        std::fs::write(group.join("cgroup.procs"), "0").map_err(|why| Failure::new(group.display(), why))?;
    }
    Ok(())
}

/// The program can open nothing but what `reach` names, use no TCP, and signal nobody outside.
pub fn apply(command: &mut Command, reach: &Reach) -> Result<(), Failure> {
    if reach.read.is_empty() && reach.write.is_empty() {
        return Ok(());
    }
    // made here, so that nothing is allocated between fork and exec
    let mut rules = Some(rules(reach).map_err(|why| Failure::new("landlock", why))?);
    // SAFETY: the closure only makes system calls.
    unsafe {
        command.pre_exec(move || match rules.take().map(RulesetCreated::restrict_self) {
            Some(Ok(restricted)) if restricted.ruleset != RulesetStatus::NotEnforced => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        });
    }
    Ok(())
}

/// A path that is not there is passed over: what a host lacks, nobody can open.
fn rules(reach: &Reach) -> Result<RulesetCreated, RulesetError> {
    let everything = AccessFs::from_all(NEWEST);
    let write: BitFlags<AccessFs> = everything & !AccessFs::Execute;
    Ruleset::default()
        .handle_access(everything)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(&reach.read, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(&reach.write, write))
}
