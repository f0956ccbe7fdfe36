//! Hostile input without the fuzzer: the corpus in `fuzz/corpus`, and random changes of it.

use std::{fmt, fs};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use userdocks_test_support::{fixtures, hostile, project};

/// The number of changed inputs of each kind.
const CASES: u32 = 10_000;

#[test]
fn hostile_api_keys_are_accepted_by_contract_only() {
    check("api_key", hostile::api_key::check);
}

#[test]
fn hostile_events_get_response_of_contract() {
    check("events", hostile::events::check);
}

#[test]
fn hostile_records_are_refused_or_written_back() {
    check("items", hostile::items::check);
}

#[test]
fn hostile_public_keys_are_refused_or_normalised() {
    check("public_key", hostile::public_key::check);
}

#[test]
fn hostile_writes_fail_whole_or_change_once() {
    // When the seeds are sent again, they are replays.
    for Input(input) in corpus("writes") {
        hostile::writes::check(&input);
    }
    check("writes", hostile::writes::check);
}

fn check(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() > 10, "the corpus of {target} is missing");
    for Input(input) in &corpus {
        check(input);
    }
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 1000, ..Config::default() };
    let changed = TestRunner::new(config).run(&changed(corpus), |Input(input)| {
        check(&input);
        Ok(())
    });
    changed.unwrap_or_else(|error| panic!("{target}: {error}"));
}

fn corpus(target: &str) -> Vec<Input> {
    let mut files: Vec<_> =
        fs::read_dir(project().join("fuzz/corpus").join(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| Input(fs::read(file).unwrap())).collect()
}

#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "b\"{}\"", self.0.escape_ascii())
    }
}

#[derive(Debug, Clone)]
enum Change {
    Overwrite(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Replaces a value of the JSON after the first byte, or removes it if the new value is `None`. Changes bytes if there is
    /// no JSON.
    Value(Index, Option<Value>),
}

fn changed(corpus: Vec<Input>) -> impl Strategy<Value = Input> {
    let bytes = || prop_oneof![vec(any::<u8>(), 1..4), "[ -~\n]{1,20}".prop_map(String::into_bytes)];
    let change = prop_oneof![
        1 => (any::<Index>(), bytes()).prop_map(|(place, bytes)| Change::Overwrite(place, bytes)),
        1 => (any::<Index>(), bytes()).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
        1 => (any::<Index>(), 1_usize..40).prop_map(|(place, length)| Change::Remove(place, length)),
        3 => (any::<Index>(), value()).prop_map(|(place, value)| Change::Value(place, value)),
    ];
    (select(corpus), vec(change, 1..4)).prop_map(|(Input(mut input), changes)| {
        for change in changes {
            change.apply(&mut input);
        }
        Input(input)
    })
}

fn value() -> impl Strategy<Value = Option<Value>> {
    let odd = vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{0}\u{feff}é"),
        json!([[]]),
        json!({"a": {}}),
        json!("x".repeat(300)),
        json!("-----BEGIN PUBLIC KEY-----\n"),
        json!("0000-01-01T00:00:00+23:59"),
        json!("9999-12-31T23:59:59.999Z"),
        json!(fixtures::APP.to_uppercase()),
        json!(fixtures::CHANGING_APP),
        json!(fixtures::READ_KEY),
        json!(fixtures::WRITE_KEY),
        json!("read"),
        json!("write"),
    ];
    prop_oneof![Just(None), select(odd).prop_map(Some), ".{0,40}".prop_map(|text| Some(text.into()))]
}

impl Change {
    fn apply(self, input: &mut Vec<u8>) {
        match self {
            Self::Overwrite(place, bytes) => {
                let place = place.index(input.len() + 1);
                let end = input.len().min(place + bytes.len());
                input.splice(place..end, bytes);
            }
            Self::Insert(place, bytes) => {
                let place = place.index(input.len() + 1);
                input.splice(place..place, bytes);
            }
            Self::Remove(place, length) => {
                let place = place.index(input.len() + 1);
                input.drain(place..input.len().min(place + length));
            }
            Self::Value(place, value) => match (split_json(input), value) {
                (Some((first, mut json)), value) => {
                    let mut places = vec![];
                    find_places(&json, "", &mut places);
                    if let Some((parent, name)) = places.get(place.index(places.len().max(1))) {
                        put(json.pointer_mut(parent).unwrap(), name, value);
                    }
                    *input = [&[first], json.to_string().as_bytes()].concat();
                }
                (None, Some(value)) => Self::Insert(place, value.to_string().into_bytes()).apply(input),
                (None, None) => Self::Remove(place, 40).apply(input),
            },
        }
    }
}

fn split_json(input: &[u8]) -> Option<(u8, Value)> {
    let (first, text) = input.split_first()?;
    Some((*first, serde_json::from_slice(text).ok()?))
}

/// Collects the place of each value: a pointer to its parent, and its name or index.
fn find_places(json: &Value, pointer: &str, places: &mut Vec<(String, String)>) {
    let inner: Vec<(String, &Value)> = match json {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => return,
    };
    for (name, value) in inner {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        places.push((pointer.to_owned(), name));
        find_places(value, &format!("{pointer}/{escaped}"), places);
    }
}

fn put(holder: &mut Value, name: &str, value: Option<Value>) {
    match (holder, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
        (Value::Object(members), None) => drop(members.remove(name)),
        (Value::Array(values), Some(value)) => values[name.parse::<usize>().unwrap()] = value,
        (Value::Array(values), None) => drop(values.remove(name.parse().unwrap())),
        _ => {}
    }
}
