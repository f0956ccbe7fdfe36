//! The operator's input, typed or piped. It is read into memory that never moves and is wiped after use, so that no copy of a
//! secret remains.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use userdocks::domain::Secret;
use userdocks_admin::AdminError;
use zeroize::Zeroizing;

use crate::report;

/// Reads an app's new secret: all of standard input, or one line typed twice at a terminal.
pub fn secret() -> Result<Secret, AdminError> {
    if !io::stdin().is_terminal() {
        return all();
    }
    let secret = hidden_line("New secret: ")?;
    if hidden_line("New secret again: ")? == secret {
        Ok(secret)
    } else {
        Err(AdminError::Input("cannot use the secret: the two typed values differ; nothing was changed".to_owned()))
    }
}

/// Reads an API key: all of standard input, or one line typed at a terminal.
pub fn api_key() -> Result<Secret, AdminError> {
    if io::stdin().is_terminal() { hidden_line("API key: ") } else { all() }
}

/// Reads a public key: all of standard input.
pub fn public_key() -> Result<Secret, AdminError> {
    if io::stdin().is_terminal() {
        report("Paste the public key (PEM), then press Enter and Ctrl-D");
    }
    all()
}

/// The longest secret, a line end, and one more byte to detect a longer input.
const CAPACITY: usize = 65_536 + 2 + 1;

/// Reads all of standard input, without the line end that shells and editors add.
fn all() -> Result<Secret, AdminError> {
    read(|_| false)
}

/// Reads one line from the terminal, with the echo off.
fn hidden_line(question: &str) -> Result<Secret, AdminError> {
    /// Linux drops the rest of a longer line.
    const TERMINAL_LINE: usize = 4_095;
    let terminal = HiddenInput::start()?;
    report_without_line_end(question);
    let line = read(|typed| typed.ends_with(b"\n") || typed.last() == Some(&terminal.interrupt));
    report("");
    let line = line?;
    if line.expose().as_bytes().last() == Some(&terminal.interrupt) {
        return Err(AdminError::Input("cannot read the line: it was interrupted; nothing was changed".to_owned()));
    }
    if line.expose().len() >= TERMINAL_LINE - 1 {
        let cause = "cannot read the line: a terminal accepts at most 4093 bytes; pipe a longer one in";
        return Err(AdminError::Input(cause.to_owned()));
    }
    Ok(line)
}

/// Reads standard input without `std::io::stdin`, whose buffer is never wiped.
fn read(is_over: impl Fn(&[u8]) -> bool) -> Result<Secret, AdminError> {
    let failed = |cause: &dyn std::fmt::Display| AdminError::Input(format!("cannot read standard input: {cause}"));
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(&error))?);
    let mut bytes = Zeroizing::new(vec![0; CAPACITY]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
        if is_over(bytes.get(..length).unwrap_or_default()) {
            break;
        }
    }
    if length == CAPACITY {
        return Err(failed(&"it has more than 65536 bytes"));
    }
    bytes.truncate(length);
    let line_end = if bytes.ends_with(b"\r\n") { 2 } else { usize::from(bytes.ends_with(b"\n")) };
    bytes.truncate(length - line_end);
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Secret::from(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(failed(&"it is not UTF-8 text"))
        }
    }
}

/// A terminal with the echo off, until this is dropped. Ctrl-C ends the line instead of the process, which would leave the
/// echo off.
struct HiddenInput {
    before: Termios,
    interrupt: u8,
}

impl HiddenInput {
    fn start() -> Result<Self, AdminError> {
        let failed = |error| AdminError::Input(format!("cannot turn off the terminal's echo: {error}"));
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        let [interrupt, end] =
            [SpecialCharacterIndices::VINTR, SpecialCharacterIndices::VEOL].map(|index| index as usize);
        let interrupt = hidden.control_chars.get(interrupt).copied().unwrap_or_default();
        if let Some(end) = hidden.control_chars.get_mut(end) {
            *end = interrupt;
        }
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden).map_err(failed)?;
        Ok(Self { before, interrupt })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

fn report_without_line_end(text: &str) {
    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
}
