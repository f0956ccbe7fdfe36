//! Files that only their owner can read, even if a file with other permissions is already at the path.

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
/// If other users can write to the folder, they can replace its files.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Opens a file for reading and writing, and creates it if it is missing.
///
/// # Errors
/// The file is a symbolic link or belongs to another user.
pub fn open(file: &Path) -> io::Result<File> {
    open_with(file, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

/// Reads a whole file.
///
/// # Errors
/// The file is missing, is a symbolic link, or belongs to another user.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_with(file, OpenOptions::new().read(true))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes an existing file private.
///
/// # Errors
/// The file is a symbolic link or belongs to another user.
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

/// Replaces a file atomically. A symbolic link at the path is replaced, not followed.
///
/// # Errors
/// The file cannot be written.
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

/// Creates a folder that only its owner can enter. An existing folder keeps its permissions.
///
/// # Errors
/// The folder cannot be created, or other users can write to it.
pub fn create_folder(folder: &Path) -> Result<(), LocalError> {
    let create = || {
        fs::DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
        let metadata = fs::metadata(folder)?;
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(io::Error::other("other users can write to it; set DATA_DIR to a folder of your own"));
        }
        Ok(())
    };
    create().map_err(|error| LocalError::new(format_args!("cannot use {}", folder.display()), error))
}
