//! The commands that README.md tells its readers to type.

use std::fs;

use crate::project;

/// A command of an `sh` block.
#[derive(Debug)]
pub struct Typed {
    /// The command, without its comment.
    pub text: String,
    /// What the comment after it says.
    pub comment: String,
}

/// All commands of all `sh` blocks, in order.
#[must_use]
pub fn commands() -> Vec<Typed> {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let blocks = readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
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
