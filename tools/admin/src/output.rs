use serde_json::Value;

use crate::arguments::Format;

/// Prints what a command answers with, on standard output.
pub fn print(format: Format, answer: &Value) {
    match format {
        Format::Json => println!("{answer}"),
        Format::Human => print!("{}", human(answer)),
    }
}

/// One block for each field of the answer: `name: value` lines for an object, a table for a list.
fn human(answer: &Value) -> String {
    let mut text = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Object(fields) => {
                text.push_str(&format!("{name}\n"));
                let width = fields.keys().map(String::len).max().unwrap_or_default();
                for (field, value) in fields {
                    text.push_str(&format!("  {field:width$}  {}\n", cell(value)));
                }
            }
            Value::Array(rows) if rows.is_empty() => text.push_str(&format!("{name}\n  none\n")),
            Value::Array(rows) => text.push_str(&format!("{name}\n{}", table(rows))),
            _ => text.push_str(&format!("{name}  {}\n", cell(value))),
        }
    }
    text
}

fn table(rows: &[Value]) -> String {
    let columns: Vec<&String> =
        rows.first().and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name).collect();
    let header = columns.iter().map(|name| (*name).clone()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|name| cell(row.get(name).unwrap_or(&Value::Null))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for line in &lines {
        let padded =
            line.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column).unwrap_or_default()));
        text.push_str(&format!("  {}\n", padded.collect::<Vec<_>>().join("  ").trim_end()));
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_lines_and_lists_are_tables() {
        let answer = json!({"app": {"uuid": "u", "isDisabled": false}, "apiKeys": [{"name": "a", "value": null}, {"name": "longer", "value": "v"}], "none": []});
        assert_eq!(
            human(&answer),
            "app\n  uuid        u\n  isDisabled  false\napiKeys\n  name    value\n  a       -\n  longer  v\nnone\n  none\n"
        );
    }
}
