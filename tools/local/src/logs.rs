//! The functions' JSON log lines as readable text.

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

/// Prints the functions' output until they stop, and writes their JSON log lines to a new file.
pub fn show(output: impl AsyncRead + Send + Unpin + 'static, file: &Path) -> Result<JoinHandle<()>, LocalError> {
    let open = || {
        let opened = private_file::open(file)?;
        opened.set_len(0)?;
        Ok(opened)
    };
    let mut kept =
        open().map_err(|error: io::Error| LocalError::new(format_args!("cannot write {}", file.display()), error))?;
    let mut output = BufReader::new(output).split(b'\n');
    Ok(tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            let entry = readable(&line);
            // A full disk or a closed terminal must not stop the functions, and a pipe that nobody reads would.
            let _ = match &entry {
                Some(_) => writeln!(kept, "{line}"),
                None => Ok(()),
            };
            let _ = writeln!(io::stdout(), "{}", entry.as_deref().unwrap_or(&line));
        }
    }))
}

/// Prints the log lines from standard input.
pub fn show_standard_input() -> Result<(), LocalError> {
    for line in io::stdin().lock().lines() {
        let shown = line.and_then(|line| writeln!(io::stdout(), "{}", readable(&line).unwrap_or(line)));
        shown.map_err(|error| LocalError::new("cannot print the logs", error))?;
    }
    Ok(())
}

/// Returns a function's log line as readable text, or `None` if the line is not a log line.
fn readable(line: &str) -> Option<String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) if fields.contains_key("message") => Some(entry(&fields)),
        _ => None,
    }
}

/// Returns an entry. A request begins with time, status, code and route, any other entry with time, level and message.
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
    // The request id and the log target are not useful on this machine.
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
    fn request_line_begins_with_response() {
        let line = r#"{"timestamp":"2026-01-01T12:34:56.789012Z","level":"ERROR","message":"request","requestId":"r","route":"GET /api","appId":"a","keyId":"k","code":"E0000","status":500,"cause":"table is gone","target":"userdocks::runtime::logs"}"#;
        assert_eq!(readable(line).unwrap(), "12:34:56.789 500 E0000 GET /api  appId=a  keyId=k  cause=table is gone");
    }

    #[test]
    fn other_line_begins_with_level() {
        let line = r#"{"timestamp":"2026-01-01T12:34:56.789012Z","level":"INFO","message":"ready","route":"GET /api"}"#;
        assert_eq!(readable(line).unwrap(), "12:34:56.789 INFO ready  route=GET /api");
    }

    #[test]
    fn foreign_line_is_not_log_line() {
        for line in ["", "text", "[1]", "{}", "{\"a\":1}", "{\"message\":"] {
            assert_eq!(readable(line), None, "{line}");
        }
    }
}
