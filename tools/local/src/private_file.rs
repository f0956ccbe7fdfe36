//! Files that only their owner may read, whatever was at their path before.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{fcntl::OFlag, unistd::geteuid};

use crate::LocalError;

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;
/// Who else may write: then files can be exchanged, or put there before.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Opens a file for reading and writing, and creates it if it is missing.
///
/// # Errors
/// It is a symbolic link, or not ours.
pub fn open(file: &Path) -> io::Result<File> {
    open_with(file, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// Reads a whole file.
///
/// # Errors
/// It is a symbolic link, missing, or not ours.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_with(file, OpenOptions::new().read(true))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Takes a file from other readers, if there is one.
///
/// # Errors
/// It is a symbolic link, or not ours.
pub fn secure(file: &Path) -> io::Result<()> {
    match open_with(file, OpenOptions::new().read(true)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open_with(file: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.mode(FILE).custom_flags(OFlag::O_NOFOLLOW.bits()).open(file)?;
    opened.set_permissions(Permissions::from_mode(FILE))?;
    Ok(opened)
}

/// Replaces a file as a whole; a symbolic link at its path is replaced, not followed.
///
/// # Errors
/// The file can't be written.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), LocalError> {
    let new = file.with_extension("new");
    let write = || {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(FILE).open(&new)?;
        opened.write_all(bytes)?;
        opened.sync_all()?;
        fs::rename(&new, file)
    };
    write().map_err(|error| LocalError::new(format_args!("cannot write {}", file.display()), error))
}

/// Makes a folder that only its owner may enter. One that is there already keeps its mode.
///
/// # Errors
/// The folder can't be made, or other users may write to it, as to `/tmp`.
pub fn make_folder(folder: &Path) -> Result<(), LocalError> {
    let make = || {
        fs::DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
        let metadata = fs::metadata(folder)?;
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(io::Error::other("other users can write to it; choose a folder of your own with DATA_DIR"));
        }
        Ok(())
    };
    make().map_err(|error| LocalError::new(format_args!("cannot use {}", folder.display()), error))
}
