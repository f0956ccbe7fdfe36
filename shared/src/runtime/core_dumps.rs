use std::io;

use nix::sys::resource::{Resource, setrlimit};

/// Disables core dumps, which would hold API keys and secrets.
///
/// The kernel ignores the limit if its `core_pattern` is a pipe, so the process is also made non-dumpable. Other
/// processes of the same user can then not read its memory either.
pub fn disable_core_dumps() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn core_dumps_are_off() {
        disable_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        #[cfg(target_os = "linux")]
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
