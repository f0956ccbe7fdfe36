use std::{
    io::{self, Write},
    os::fd::AsFd,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{fstat, stat},
    unistd,
};
use serde_json::{Value, json};
use userdocks::domain::escape_unprintable;
use userdocks_admin::AdminError;

use crate::arguments::Format;

/// Standard output. Prints one JSON object at once, but listings and lines page by page, so that memory use stays constant.
pub struct Output {
    format: Format,
    printed: Printed,
}

enum Printed {
    Nothing,
    Rows { list: &'static str, widths: Vec<usize>, has_begun: bool },
    Lines,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format, printed: Printed::Nothing }
    }

    /// Prints rows of the output's first field, a list with this name. The human format aligns them page by page.
    pub fn rows(&mut self, list: &'static str) -> impl FnMut(Vec<Value>) -> Result<(), AdminError> {
        self.printed = Printed::Rows { list, widths: Vec::new(), has_begun: false };
        |rows| if rows.is_empty() { Ok(()) } else { self.add(&rows) }
    }

    /// Prints values as JSON Lines, regardless of the format.
    pub fn lines(&mut self) -> impl FnMut(Vec<Value>) -> Result<(), AdminError> {
        self.printed = Printed::Lines;
        |values| write(&values.iter().map(json_text).map(|line| line + "\n").collect::<String>())
    }

    fn add(&mut self, rows: &[Value]) -> Result<(), AdminError> {
        let Printed::Rows { list, widths, has_begun } = &mut self.printed else { return Ok(()) };
        let is_first = !std::mem::replace(has_begun, true);
        write(&match self.format {
            Format::Human if is_first => format!("{list}\n{}", table(rows, true, widths)),
            Format::Human => table(rows, false, widths),
            Format::Json => {
                let beginning = if is_first { format!("{{\"{list}\":[") } else { ",".to_owned() };
                beginning + &rows.iter().map(json_text).collect::<Vec<_>>().join(",")
            }
        })
    }

    /// Prints the output, or its remaining fields if rows have been printed.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn finish(&self, output: &Value) -> Result<(), AdminError> {
        let fields = |comma: &str| json_text(output).replacen('{', if output == &json!({}) { "" } else { comma }, 1);
        write(&match (self.format, &self.printed) {
            (_, Printed::Lines) => return Ok(()),
            (Format::Json, Printed::Nothing) => json_text(output) + "\n",
            (Format::Json, Printed::Rows { has_begun: true, .. }) => format!("]{}\n", fields(",")),
            (Format::Json, Printed::Rows { list, .. }) => format!("{{\"{list}\":[]{}\n", fields(",")),
            (Format::Human, Printed::Rows { list, has_begun: false, .. }) => {
                format!("{list}\n  none\n{}", human(output))
            }
            (Format::Human, _) => human(output),
        })
    }
}

/// Checks that standard output can be written, without writing to it. For commands whose output cannot be printed again.
///
/// # Errors
/// Standard output is closed, or it cannot be written.
pub fn check() -> Result<(), AdminError> {
    let lost = |cause: &str| Err(AdminError::Output(format!("{cause}; nothing was changed")));
    let failed = |error: nix::Error| AdminError::Output(format!("{}; nothing was changed", error.desc()));
    let output = io::stdout();
    unistd::write(&output, &[]).map_err(failed)?;
    let mut reader = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
    poll(&mut reader, PollTimeout::ZERO).map_err(failed)?;
    if reader.iter().filter_map(PollFd::revents).any(|events| events.contains(PollFlags::POLLERR)) {
        return lost("its reader has closed it");
    }
    // Rust's runtime replaces a closed standard output with /dev/null, opened for reading too.
    let flags = OFlag::from_bits_truncate(fcntl(&output, FcntlArg::F_GETFL).map_err(failed)?);
    let device = |stat: nix::Result<nix::libc::stat>| stat.map(|stat| stat.st_rdev).map_err(failed);
    if flags & OFlag::O_ACCMODE == OFlag::O_RDWR && device(fstat(&output))? == device(stat("/dev/null"))? {
        return lost("it is closed");
    }
    Ok(())
}

/// Prints text as it is.
pub fn write(text: &str) -> Result<(), AdminError> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => AdminError::OutputClosed,
        _ => AdminError::Output(error.to_string()),
    })
}

/// Returns JSON without terminal control characters; `serde_json` escapes only some of them.
fn json_text(value: &Value) -> String {
    escape_unprintable(&value.to_string()).into_owned()
}

/// Returns a block for each field of the output: lines of name and value for an object, a table for a list.
fn human(output: &Value) -> String {
    let mut text = String::new();
    for (name, value) in output.as_object().into_iter().flatten() {
        match value {
            Value::Object(fields) => {
                text.push_str(&format!("{name}\n"));
                let width = fields.keys().map(String::len).max().unwrap_or_default();
                for (field, value) in fields {
                    text.push_str(&format!("  {field:width$}  {}\n", cell(value)));
                }
            }
            Value::Array(rows) if rows.is_empty() => text.push_str(&format!("{name}\n  none\n")),
            Value::Array(rows) => text.push_str(&format!("{name}\n{}", table(rows, true, &mut Vec::new()))),
            _ => text.push_str(&format!("{name}  {}\n", cell(value))),
        }
    }
    text
}

/// Returns a table with one line for each row. `widths` are the minimum widths of the columns, and grow with wider rows.
fn table(rows: &[Value], with_header: bool, widths: &mut Vec<usize>) -> String {
    let columns: Vec<&String> =
        rows.first().and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name).collect();
    let header = with_header.then(|| columns.iter().map(|name| (*name).clone()).collect());
    let cells = rows.iter().map(|row| columns.iter().map(|name| cell(row.get(name).unwrap_or(&Value::Null))).collect());
    let lines: Vec<Vec<String>> = header.into_iter().chain(cells).collect();
    widths.resize(columns.len(), 0);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<_> = line.iter().zip(&*widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(&format!("  {}\n", padded.join("  ").trim_end()));
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escape_unprintable(text).into_owned(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(","),
        other => json_text(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_lines_and_lists_are_tables() {
        let output = json!({"app": {"uuid": "u", "isDisabled": false}, "apiKeys": [{"name": "a", "value": null}, {"name": "longer", "value": "v"}], "none": []});
        assert_eq!(
            human(&output),
            "app\n  uuid        u\n  isDisabled  false\napiKeys\n  name    value\n  a       -\n  longer  v\nnone\n  none\n"
        );
    }

    #[test]
    fn list_in_cell_is_separated_by_commas() {
        let rows = [json!({"allowedCidrs": ["10.0.0.0/8", "a\nb"]}), json!({"allowedCidrs": []})];
        assert_eq!(table(&rows, false, &mut Vec::new()), "  10.0.0.0/8,a\\u000ab\n  -\n");
    }

    #[test]
    fn stored_control_characters_are_escaped() {
        let rows = [json!({"name": "a\nforged  row\u{1b}[2J\u{9b}\u{202e}"})];
        assert_eq!(table(&rows, false, &mut Vec::new()), "  a\\u000aforged  row\\u001b[2J\\u009b\\u202e\n");
        assert_eq!(human(&json!({"app": rows[0]})).lines().count(), 2);
        let text = json_text(&rows[0]);
        assert!(!text.contains(['\n', '\u{1b}', '\u{9b}', '\u{202e}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), rows[0], "the same value");
    }

    #[test]
    fn later_page_has_no_header_and_keeps_widths() {
        let mut widths = Vec::new();
        let page = |name: &str| [json!({"name": name, "value": 1})];
        assert_eq!(table(&page("longer"), true, &mut widths), "  name    value\n  longer  1\n");
        assert_eq!(table(&page("a"), false, &mut widths), "  a       1\n");
        assert_eq!(table(&page("the longest"), false, &mut widths), "  the longest  1\n");
    }
}
