//! Checks the parts of README.md and docs/API.md that are generated from docs/openapi.yaml.

use std::{env, fs};

use serde_json::Value;
use userdocks_test_support::{contract::Route, project};

use super::document::{Document, Operation};

const DOCUMENTS: [&str; 2] = ["README.md", "docs/API.md"];

#[test]
fn generated_parts_match_openapi() {
    let openapi = Document::read();
    for name in DOCUMENTS {
        let path = project().join(name);
        let text = fs::read_to_string(&path).unwrap();
        let generated = replace_parts(&text, |part| generate(&openapi, part));
        if env::var_os("UPDATE_DOCUMENTS").is_some() {
            fs::write(path, generated).unwrap();
        } else {
            assert!(
                text == generated,
                "{name} differs from docs/openapi.yaml. Change docs/openapi.yaml, then run\n\
                 UPDATE_DOCUMENTS=1 cargo test --package end-to-end --test documents generated"
            );
        }
    }
}

/// Replaces the text between each marker `<!-- generated: PART -->` and the next `<!-- end -->`.
fn replace_parts(text: &str, generate: impl Fn(&str) -> String) -> String {
    const BEGIN: &str = "<!-- generated: ";
    const END: &str = "<!-- end -->";
    let mut sections = text.split(BEGIN);
    let mut replaced = sections.next().unwrap().to_owned();
    for section in sections {
        let (part, rest) = section.split_once(" -->\n").unwrap();
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{part} has no end"));
        replaced.push_str(&format!("{BEGIN}{part} -->\n{}{END}{after}", generate(part)));
    }
    replaced
}

fn generate(openapi: &Document, part: &str) -> String {
    match part.split(' ').collect::<Vec<_>>()[..] {
        ["checks"] => checks(openapi),
        ["failures"] => failures(openapi),
        ["routes"] => routes(openapi),
        ["operations", tag] => {
            let operations = openapi.operations().into_iter().filter(|operation| operation.item["tags"][0] == tag);
            operations.map(|operation| describe(openapi, &operation)).collect()
        }
        ["example", name] => example(&openapi.0["components"]["examples"][name]["value"]),
        _ => panic!("no generated part {part}"),
    }
}

/// Returns the numbered list in the document's description.
fn checks(openapi: &Document) -> String {
    let lines = openapi.0["info"]["description"].as_str().unwrap().lines();
    let list = lines.skip_while(|line| !line.starts_with("0. ")).take_while(|line| !line.is_empty());
    list.map(|line| format!("{line}\n")).collect()
}

fn failures(openapi: &Document) -> String {
    let examples = openapi.0["components"]["examples"].as_object().unwrap();
    let mut table = table(["status", "code", "message", "meaning"]);
    for (name, example) in examples {
        let Some(code) = name.strip_prefix("List").filter(|code| code.starts_with('E')) else { continue };
        if let Some(legacy) = examples.get(&format!("Legacy{code}")) {
            assert_eq!(legacy["summary"], example["summary"], "{code} has one meaning");
        }
        let has_code = |operation: &Operation, status| operation.examples(status).iter().any(|(name, _)| name == code);
        let mut statuses = openapi.operations().into_iter().filter_map(|operation| {
            operation.responses().into_keys().find(|status| *status >= 400 && has_code(&operation, *status))
        });
        let (status, message) = (statuses.next().unwrap().to_string(), &example["value"]["errors"][0]["message"]);
        table.push_str(&row([&status, code, text(message), text(&example["summary"])]));
    }
    table
}

fn routes(openapi: &Document) -> String {
    let mut table = table(["route", "API key", "success", "effect"]);
    for operation in openapi.operations() {
        let route = format!("`{} {}`", operation.method, operation.path);
        let key = Route::of(operation.function()).key_type.unwrap_or("none");
        let successes = operation.responses().into_keys().filter(|status| *status < 400);
        table.push_str(&row([&route, key, &statuses(successes), text(&operation.item["summary"])]));
    }
    table
}

fn describe(openapi: &Document, operation: &Operation) -> String {
    let item = &operation.item;
    let mut description = format!(
        "### {}\n\n`{} {}`\n\n{}\n\n",
        text(&item["summary"]),
        operation.method,
        operation.path,
        text(&item["description"]).trim_end()
    );
    for parameter in operation.parameters.iter().filter(|parameter| parameter["in"] == "query") {
        description.push_str(&format!(
            "Query parameter `{}`: {}\n\n",
            text(&parameter["name"]),
            text(&parameter["description"])
        ));
    }
    let body = &item["requestBody"]["content"]["application/json"];
    let fields = fields(openapi, &body["schema"]);
    if !fields.is_empty() {
        let examples = body["examples"].as_object().unwrap().values();
        let examples: Vec<_> = examples.map(|example| format!("`{}`", short(&example["value"]))).collect();
        description.push_str(&format!("Body, for example {}:\n\n{fields}\n", examples.join(" or ")));
    }
    description.push_str(&format!("Responses: {}.\n\n", statuses(operation.responses().into_keys())));
    // PUT and DELETE return what POST returns.
    if ["GET", "POST"].contains(&operation.method.as_str()) {
        let success = operation.responses().into_keys().min().unwrap();
        let (_, body) = &operation.examples(success)[0];
        let example = example(&serde_json::from_str(body).unwrap());
        description.push_str(&format!("Example of {success}:\n\n{example}\n"));
    }
    description
}

/// Returns a table of the fields of a request's body. It is empty if the body has none.
fn fields(openapi: &Document, schema: &Value) -> String {
    let schema = openapi.resolve(schema);
    if let Some(alternatives) = schema["oneOf"].as_array() {
        return fields(openapi, alternatives.last().unwrap());
    }
    if schema["type"] == "array" {
        return fields(openapi, &schema["items"]);
    }
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let mut table = table(["field", "value", "meaning"]);
    for (name, field) in properties {
        let meaning = meaning(openapi, field).unwrap_or_else(|| panic!("{name} has no description"));
        table.push_str(&row([&format!("`{name}`"), &allowed_values(openapi, field), &meaning]));
    }
    table
}

fn meaning(openapi: &Document, schema: &Value) -> Option<String> {
    let described = [schema, openapi.resolve(schema), openapi.resolve(&schema["oneOf"][0])];
    let description = described.into_iter().find_map(|schema| schema["description"].as_str())?;
    Some(description.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn allowed_values(openapi: &Document, schema: &Value) -> String {
    let schema = openapi.resolve(schema);
    let alternatives = schema["oneOf"].as_array().map_or(vec![schema], |schemas| schemas.iter().collect());
    let mut values = Vec::new();
    for schema in alternatives.into_iter().map(|schema| openapi.resolve(schema)) {
        let types = schema["type"].as_array().map_or(vec![&schema["type"]], |types| types.iter().collect());
        match &schema["enum"] {
            Value::Array(names) => values.extend(names.iter().map(|name| format!("`{}`", text(name)))),
            _ => values.extend(types.into_iter().map(|of| values_of_type(schema, of.as_str().unwrap_or_default()))),
        }
    }
    let last = values.pop().unwrap();
    let values = if values.is_empty() { last } else { format!("{} or {last}", values.join(", ")) };
    if schema["default"].is_null() { values } else { format!("{values}; default {}", schema["default"]) }
}

fn values_of_type(schema: &Value, name: &str) -> String {
    match name {
        _ if schema["const"].is_string() => format!("`{}`", text(&schema["const"])),
        "array" => format!("at most {} elements", schema["maxItems"]),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => format!("{} to {}", schema["minimum"], schema["maximum"]),
        "null" => "null".to_owned(),
        "string" if schema["maxLength"].is_number() => {
            format!("{} to {} characters", schema["minLength"], schema["maxLength"])
        }
        "string" => "text".to_owned(),
        _ => "anything".to_owned(),
    }
}

/// Returns a block with a body. Shortens long texts and lists.
fn example(body: &Value) -> String {
    let lines = pretty(body, 0);
    let language = if lines.lines().any(|line| line.trim() == "…") { "text" } else { "json" };
    format!("```{language}\n{lines}\n```\n")
}

fn pretty(value: &Value, indent: usize) -> String {
    const WIDTH: usize = 110;
    let line = short(value);
    if indent + line.chars().count() <= WIDTH {
        return line;
    }
    let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{inner}\"{name}\": {}", pretty(value, indent + 2)));
            format!("{{\n{}\n{outer}}}", fields.collect::<Vec<_>>().join(",\n"))
        }
        Value::Array(elements) => {
            let first = pretty(&elements[0], indent + 2);
            let others = if elements.len() > 1 { format!(",\n{inner}…") } else { String::new() };
            format!("[\n{inner}{first}{others}\n{outer}]")
        }
        _ => line,
    }
}

/// Returns a value in one line.
fn short(value: &Value) -> String {
    const MAX_CHARACTERS: usize = 64;
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("\"{name}\": {}", short(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::String(text) if text.chars().count() > MAX_CHARACTERS => {
            Value::from(text.chars().take(MAX_CHARACTERS / 2).chain(['…']).collect::<String>()).to_string()
        }
        _ => value.to_string(),
    }
}

fn statuses(statuses: impl Iterator<Item = u16>) -> String {
    statuses.map(|status| status.to_string()).collect::<Vec<_>>().join(", ")
}

fn table<const COLUMNS: usize>(names: [&str; COLUMNS]) -> String {
    row(names) + &row(["---"; COLUMNS])
}

fn row<const COLUMNS: usize>(cells: [&str; COLUMNS]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
