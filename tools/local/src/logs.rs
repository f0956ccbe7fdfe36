//! The functions' JSON log lines as lines for people.

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    task::JoinHandle,
};
use userdocks_local::{LocalError, private_file};

/// Shows what the functions print, until they end, and keeps their log lines as they are in the file, which begins anew.
pub fn show(output: impl AsyncRead + Send + Unpin + 'static, file: &Path) -> Result<JoinHandle<()>, LocalError> {
    let open = || {
        let opened = private_file::open(file)?;
        opened.set_len(0)?;
        Ok(opened)
    };
    let mut kept = open()
        .map_err(|error: io::Error| LocalError::new(format_args!("{} can't be written", file.display()), error))?;
    let mut output = BufReader::new(output).split(b'\n');
    Ok(tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            let entry = readable(&line);
            // A full disk or a closed terminal is no reason to end the functions, as an unread pipe would.
            let _ = match &entry {
                Some(_) => writeln!(kept, "{line}"),
                None => Ok(()),
            };
            let _ = writeln!(io::stdout(), "{}", entry.as_deref().unwrap_or(&line));
        }
    }))
}

/// Shows the log lines on standard input, until it ends.
pub fn show_standard_input() -> Result<(), LocalError> {
    for line in io::stdin().lock().lines() {
        let shown = line.and_then(|line| writeln!(io::stdout(), "{}", readable(&line).unwrap_or(line)));
        shown.map_err(|error| LocalError::new("the logs can't be shown", error))?;
    }
    Ok(())
}

/// A function's log line for people; nothing where it is none.
fn readable(line: &str) -> Option<String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) if fields.contains_key("message") => Some(entry(&fields)),
        _ => None,
    }
}

/// A request's time, status, code and route lead, any other entry's time, level and message; the other fields follow.
fn entry(fields: &Map<String, Value>) -> String {
    let field = |name: &str| fields.get(name).map(text).unwrap_or_default();
    let timestamp = field("timestamp");
    // 2026-01-01T00:00:00.000000Z
    let time = timestamp.get(11..23).unwrap_or(&timestamp);
    let (first, leading) = if field("message") == "request" {
        (format!("{time} {} {:<5} {}", field("status"), field("code"), field("route")), ["status", "code", "route"])
    } else {
        (format!("{time} {} {}", field("level"), field("message")), [""; 3])
    };
    // Each request has an id, and each line a place in the code; nobody looks for them here.
    let others = fields.iter().filter(|(name, _)| {
        !["timestamp", "level", "message", "requestId", "target"].contains(&name.as_str())
            && !leading.contains(&name.as_str())
    });
    others.fold(first, |line, (name, value)| format!("{line}  {name}={}", text(value)))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_request_is_one_line_that_begins_with_its_answer() {
        let line = r#"{"timestamp":"2026-01-01T12:34:56.789012Z","level":"ERROR","message":"request","requestId":"r","route":"GET /api","appId":"a","keyId":"k","code":"E0000","status":500,"cause":"table is gone","target":"userdocks::runtime::logs"}"#;
        assert_eq!(readable(line).unwrap(), "12:34:56.789 500 E0000 GET /api  appId=a  keyId=k  cause=table is gone");
    }

    #[test]
    fn other_entries_begin_with_their_level() {
        let line = r#"{"timestamp":"2026-01-01T12:34:56.789012Z","level":"INFO","message":"ready","route":"GET /api"}"#;
        assert_eq!(readable(line).unwrap(), "12:34:56.789 INFO ready  route=GET /api");
    }

    #[test]
    fn what_no_function_wrote_is_no_entry() {
        for line in ["", "text", "[1]", "{}", "{\"a\":1}", "{\"message\":"] {
            assert_eq!(readable(line), None, "{line}");
        }
    }
}
