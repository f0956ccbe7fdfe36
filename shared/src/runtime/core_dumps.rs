use std::io;

use nix::sys::resource::{Resource, setrlimit};

/// Turns core dumps off, which would hold API keys and secrets. If the kernel's `core_pattern` is a pipe, it ignores the
/// limit, but not that the process is not dumpable. Other processes of the same user then can't read its memory either.
///
/// # Errors
/// The system refuses.
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
