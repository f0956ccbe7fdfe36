//! The commands in the `sh` blocks of the documents.

use std::fs;

use crate::project;

/// A command of an `sh` block.
#[derive(Debug)]
pub struct Typed {
    /// The command, without its comment.
    pub text: String,
    /// The comment after the command.
    pub comment: String,
}

/// Returns the commands of README.md in order.
#[must_use]
pub fn commands() -> Vec<Typed> {
    commands_in("README.md")
}

/// Returns the commands of a document in order.
#[must_use]
pub fn commands_in(document: &str) -> Vec<Typed> {
    commands_of(&fs::read_to_string(project().join(document)).unwrap())
}

/// Returns the commands of a document under one heading of the second level.
#[must_use]
pub fn commands_under(document: &str, heading: &str) -> Vec<Typed> {
    let text = fs::read_to_string(project().join(document)).unwrap();
    let section = text.split("\n## ").find(|section| section.lines().next() == Some(heading));
    section.map(commands_of).unwrap_or_default()
}

fn commands_of(text: &str) -> Vec<Typed> {
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let commands = blocks.flat_map(|block| {
        let lines = block.replace("\\\n", "");
        let split = |line: &str| {
            let (text, comment) = line.split_once("  # ").unwrap_or((line, ""));
            Typed { text: text.trim().to_owned(), comment: comment.trim().to_owned() }
        };
        lines.lines().map(split).collect::<Vec<_>>()
    });
    commands.filter(|command| !command.text.is_empty() && !command.text.starts_with('#')).collect()
}

/// Returns the first command of README.md with that beginning.
#[must_use]
pub fn command(beginning: &str) -> String {
    let found = commands().into_iter().find(|command| command.text.starts_with(beginning));
    found.unwrap_or_else(|| panic!("README.md has no command {beginning}")).text
}
