//! A control group that gives a process the share of a processor that Lambda gives a function of some memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

/// The memory with which a function has one whole processor, in MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const WHOLE_PROCESSOR: u32 = 1769;
/// Microseconds.
const PERIOD: u32 = 20_000;

/// A control group, which is removed when this is dropped. Its processes have to end first.
pub struct Quota(PathBuf);

impl Quota {
    /// Creates a group for a function of that memory, in MB. Fails if this machine does not allow it.
    pub fn new(memory: u32) -> io::Result<Self> {
        let quota = PERIOD * memory / WHOLE_PROCESSOR;
        let name = format!("userdocks-bench-{}-{memory}", process::id());
        let version_1 = Path::new("/sys/fs/cgroup/cpu");
        if version_1.is_dir() {
            let group = Self::create(version_1.join(name))?;
            group.set("cpu.cfs_period_us", &PERIOD.to_string())?;
            group.set("cpu.cfs_quota_us", &quota.to_string())?;
            return Ok(group);
        }
        // In version 2, a group has only the controllers that its parent enables for it.
        let root = Path::new("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
        let group = Self::create(root.join(name))?;
        group.set("cpu.max", &format!("{quota} {PERIOD}"))?;
        Ok(group)
    }

    /// Limits a process and all its threads from now on.
    pub fn limit(&self, process: u32) -> io::Result<()> {
        self.set("cgroup.procs", &process.to_string())
    }

    fn create(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("cannot remove the control group {}: {error}", self.0.display());
        }
    }
}
