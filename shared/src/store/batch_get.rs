//! `BatchGetItem` as JSON, for the reads that go without the SDK.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::item::Attributes;

/// The request for those keys of the table, strongly consistent.
///
/// # Errors
/// None: there is nothing in it that JSON can't say.
pub fn request(table: &str, keys: Vec<Attributes>) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request<'a> {
        request_items: HashMap<&'a str, Wanted>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wanted {
        keys: Vec<HashMap<String, Value>>,
        consistent_read: bool,
    }
    let wanted = Wanted { keys: keys.into_iter().map(into_values).collect(), consistent_read: true };
    serde_json::to_string(&Request { request_items: HashMap::from([(table, wanted)]) })
}

/// What was found, and the keys that were not looked for.
///
/// # Errors
/// The answer is none; where it stops being one.
pub fn answer(json: &[u8]) -> Result<(Vec<Attributes>, Vec<Attributes>), serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        responses: HashMap<String, Vec<HashMap<String, Value>>>,
        #[serde(default)]
        unprocessed_keys: HashMap<String, Unprocessed>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Unprocessed {
        keys: Vec<HashMap<String, Value>>,
    }
    let answer: Answer = serde_json::from_slice(json)?;
    let found = answer.responses.into_values().flatten().map(into_attributes).collect();
    let unprocessed = answer.unprocessed_keys.into_values().flat_map(|table| table.keys).map(into_attributes).collect();
    Ok((found, unprocessed))
}

/// An attribute's value, named by its type.
#[derive(Serialize, Deserialize)]
enum Value {
    S(String),
    N(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    L(Vec<Value>),
    M(HashMap<String, Value>),
    #[serde(rename = "NULL")]
    Null(bool),
    B(String),
    #[serde(rename = "SS")]
    Ss(Vec<String>),
    #[serde(rename = "NS")]
    Ns(Vec<String>),
    #[serde(rename = "BS")]
    Bs(Vec<String>),
}

impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        match value {
            Value::S(text) => Self::S(text),
            Value::N(number) => Self::N(number),
            Value::Bool(bool) => Self::Bool(bool),
            Value::L(list) => Self::L(list.into_iter().map(Self::from).collect()),
            Value::M(map) => Self::M(into_attributes(map)),
            // No attribute of ours is of these types: to whoever reads the item, the attribute is corrupt.
            Value::Null(_) | Value::B(_) | Value::Ss(_) | Value::Ns(_) | Value::Bs(_) => Self::Null(true),
        }
    }
}

fn into_attributes(values: HashMap<String, Value>) -> Attributes {
    values.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// Keys have texts only.
fn into_values(key: Attributes) -> HashMap<String, Value> {
    let text = |value| match value {
        AttributeValue::S(text) => Value::S(text),
        _ => Value::Null(true),
    };
    key.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_every_key_and_wants_what_is_newest() {
        let key = HashMap::from([("pk".to_owned(), AttributeValue::S("a \"b\"".to_owned()))]);
        assert_eq!(
            request("table", vec![key]).unwrap(),
            r#"{"RequestItems":{"table":{"Keys":[{"pk":{"S":"a \"b\""}}],"ConsistentRead":true}}}"#
        );
    }

    #[test]
    fn an_answer_has_every_type_of_attribute() {
        let json = r#"{"Responses":{"table":[{"s":{"S":"a"},"n":{"N":"1"},"t":{"BOOL":true},"l":{"L":[{"M":{"s":{"S":"b"}}}]},
            "x":{"NULL":true},"b":{"B":"AA=="},"ss":{"SS":["a"]},"ns":{"NS":["1"]},"bs":{"BS":["AA=="]}}]},
            "UnprocessedKeys":{"table":{"Keys":[{"pk":{"S":"c"}}],"ConsistentRead":true}}}"#;
        let (found, unprocessed) = answer(json.as_bytes()).unwrap();
        let inner = AttributeValue::M(HashMap::from([("s".to_owned(), AttributeValue::S("b".to_owned()))]));
        assert_eq!(found[0]["l"], AttributeValue::L(vec![inner]));
        assert_eq!((&found[0]["n"], &found[0]["t"]), (&AttributeValue::N("1".to_owned()), &AttributeValue::Bool(true)));
        for other in ["x", "b", "ss", "ns", "bs"] {
            assert_eq!(found[0][other], AttributeValue::Null(true));
        }
        assert_eq!(unprocessed[0]["pk"], AttributeValue::S("c".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"Responses":[1]}"#,
            r#"{"Responses":{"t":[{"pk":{"S":1}}]}}"#,
            r#"{"Responses":{"t":[{"pk"#,
        ] {
            assert!(answer(json.as_bytes()).is_err(), "{json}");
        }
    }
}
