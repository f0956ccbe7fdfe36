//! The JSON of `BatchGetItem`, for signed calls.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>

use std::{collections::HashMap, fmt};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

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
            responses: HashMap<String, Vec<Attributes>>,
            #[serde(default)]
            unprocessed_keys: HashMap<String, UnprocessedKeys>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct UnprocessedKeys {
            keys: Vec<Attributes>,
        }
        let response: Response = serde_json::from_slice(json)?;
        let tables = response.unprocessed_keys.into_values();
        Ok(Self {
            items: response.responses.into_values().flatten().map(|item| item.0).collect(),
            unprocessed_keys: tables.flat_map(|table| table.keys).map(|key| key.0).collect(),
        })
    }
}

/// Builds the request for keys of one table, strongly consistent.
pub fn request(table: &str, keys: &[Item]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request<'a> {
        request_items: HashMap<&'a str, KeysRequest<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct KeysRequest<'a> {
        keys: Vec<HashMap<&'a str, Key<'a>>>,
        consistent_read: bool,
    }
    let keys = keys.iter().map(|key| key.iter().map(|(name, value)| (name.as_str(), value.into())).collect());
    let keys = KeysRequest { keys: keys.collect(), consistent_read: true };
    serde_json::to_string(&Request { request_items: HashMap::from([(table, keys)]) })
}

/// A key attribute's value, named by its type.
#[derive(Serialize)]
enum Key<'a> {
    S(&'a str),
    /// Keys consist of strings.
    #[serde(rename = "NULL")]
    Other(bool),
}

impl<'a> From<&'a AttributeValue> for Key<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::S(text) => Self::S(text),
            _ => Self::Other(true),
        }
    }
}

/// An attribute's value, named by its type.
#[derive(Deserialize)]
enum Value {
    S(String),
    N(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    L(Vec<Value>),
    M(Attributes),
    /// No attribute of ours has these types.
    #[serde(rename = "NULL", alias = "B", alias = "SS", alias = "NS", alias = "BS")]
    Other(IgnoredAny),
}

impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        match value {
            Value::S(text) => Self::S(text),
            Value::N(number) => Self::N(number),
            Value::Bool(bool) => Self::Bool(bool),
            Value::L(list) => Self::L(list.into_iter().map(Self::from).collect()),
            Value::M(attributes) => Self::M(attributes.0),
            // The item's reader reports the attribute as corrupt.
            Value::Other(IgnoredAny) => Self::Null(true),
        }
    }
}

/// The attributes of an item or of a map. They are read into the item's own type, because a map in between would cost
/// as much again.
struct Attributes(Item);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;

        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                /// Most items have fewer, so that their map never grows.
                const USUAL: usize = 14;
                let mut item = Item::with_capacity(USUAL);
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    item.insert(name, value.into());
                }
                Ok(Attributes(item))
            }
        }

        deserializer.deserialize_map(AttributesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_names_every_key_and_is_consistent() {
        let key = HashMap::from([("pk".to_owned(), AttributeValue::S("a \"b\"".to_owned()))]);
        assert_eq!(
            request("table", &[key]).unwrap(),
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
        let error = BatchGetItemOutput::from_json(br#"{"Responses":{"t":[1]}}"#).err().unwrap();
        assert!(error.to_string().contains("expected attributes"), "{error}");
    }
}
