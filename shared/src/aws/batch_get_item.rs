//! The JSON of `BatchGetItem`, for signed calls.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// An item of a table, or its primary key.
pub type Item = HashMap<String, AttributeValue>;

/// The items that were found, and the keys that DynamoDB did not process.
#[derive(Debug, Default)]
pub struct BatchGetItemOutput {
    pub items: Vec<Item>,
    pub unprocessed_keys: Vec<Item>,
}

impl BatchGetItemOutput {
    /// Reads a response's body. The error gives the line and column of the first invalid character.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Response {
            responses: HashMap<String, Vec<HashMap<String, Value>>>,
            #[serde(default)]
            unprocessed_keys: HashMap<String, UnprocessedKeys>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct UnprocessedKeys {
            keys: Vec<HashMap<String, Value>>,
        }
        let response: Response = serde_json::from_slice(json)?;
        let tables = response.unprocessed_keys.into_values();
        Ok(Self {
            items: response.responses.into_values().flatten().map(into_item).collect(),
            unprocessed_keys: tables.flat_map(|table| table.keys).map(into_item).collect(),
        })
    }
}

/// Builds the request for keys of one table, strongly consistent.
pub fn request(table: &str, keys: Vec<Item>) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request<'a> {
        request_items: HashMap<&'a str, KeysRequest>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct KeysRequest {
        keys: Vec<HashMap<String, Value>>,
        consistent_read: bool,
    }
    let keys = KeysRequest { keys: keys.into_iter().map(into_values).collect(), consistent_read: true };
    serde_json::to_string(&Request { request_items: HashMap::from([(table, keys)]) })
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
            Value::M(map) => Self::M(into_item(map)),
            // No attribute of ours has these types, so the item's reader reports the attribute as corrupt.
            Value::Null(_) | Value::B(_) | Value::Ss(_) | Value::Ns(_) | Value::Bs(_) => Self::Null(true),
        }
    }
}

fn into_item(values: HashMap<String, Value>) -> Item {
    values.into_iter().map(|(name, value)| (name, value.into())).collect()
}

fn into_values(key: Item) -> HashMap<String, Value> {
    let text = |value| match value {
        AttributeValue::S(text) => Value::S(text),
        // Keys consist of strings.
        _ => Value::Null(true),
    };
    key.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_names_every_key_and_is_consistent() {
        let key = HashMap::from([("pk".to_owned(), AttributeValue::S("a \"b\"".to_owned()))]);
        assert_eq!(
            request("table", vec![key]).unwrap(),
            r#"{"RequestItems":{"table":{"Keys":[{"pk":{"S":"a \"b\""}}],"ConsistentRead":true}}}"#
        );
    }

    #[test]
    fn response_of_every_attribute_type_is_read() {
        let json = r#"{"Responses":{"table":[{"s":{"S":"a"},"n":{"N":"1"},"t":{"BOOL":true},"l":{"L":[{"M":{"s":{"S":"b"}}}]},
            "x":{"NULL":true},"b":{"B":"AA=="},"ss":{"SS":["a"]},"ns":{"NS":["1"]},"bs":{"BS":["AA=="]}}]},
            "UnprocessedKeys":{"table":{"Keys":[{"pk":{"S":"c"}}],"ConsistentRead":true}}}"#;
        let BatchGetItemOutput { items, unprocessed_keys } = BatchGetItemOutput::from_json(json.as_bytes()).unwrap();
        let inner = AttributeValue::M(HashMap::from([("s".to_owned(), AttributeValue::S("b".to_owned()))]));
        assert_eq!(items[0]["l"], AttributeValue::L(vec![inner]));
        assert_eq!((&items[0]["n"], &items[0]["t"]), (&AttributeValue::N("1".to_owned()), &AttributeValue::Bool(true)));
        for other in ["x", "b", "ss", "ns", "bs"] {
            assert_eq!(items[0][other], AttributeValue::Null(true));
        }
        assert_eq!(unprocessed_keys[0]["pk"], AttributeValue::S("c".to_owned()));
    }

    #[test]
    fn malformed_response_is_rejected() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"Responses":[1]}"#,
            r#"{"Responses":{"t":[{"pk":{"S":1}}]}}"#,
            r#"{"Responses":{"t":[{"pk"#,
        ] {
            assert!(BatchGetItemOutput::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
