use serde::{Deserialize, Serialize};

use super::{
    failure::{Failure, FailureKind},
    signing_key::ListedSigningKey,
};
use crate::domain::SigningKey;

/// The form of a route's response bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `{"success":…,"message":…,"error":…,"data":…}`
    Legacy,
    /// `{"kind":…,"items":[…]}` and `{"errors":[…]}`
    List,
}

/// The body of a success in the legacy envelope.
#[derive(Serialize)]
pub struct LegacySuccess<T> {
    success: bool,
    message: &'static str,
    error: Option<&'static str>,
    data: T,
}

impl<T> LegacySuccess<T> {
    /// `message` is the reason phrase of the status, such as `OK`.
    pub fn new(message: &'static str, data: T) -> Self {
        Self { success: true, message, error: None, data }
    }
}

/// The body of a success in the list envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListSuccess<T> {
    kind: &'static str,
    total_items: usize,
    items_length: usize,
    items: Vec<T>,
}

impl<T> ListSuccess<T> {
    /// `items` are all items, because there is no paging.
    pub fn new(kind: &'static str, items: Vec<T>) -> Self {
        Self { kind, total_items: items.len(), items_length: items.len(), items }
    }
}

impl<'a> ListSuccess<ListedSigningKey<'a>> {
    /// Creates the response to a write of one key. It has the key's state.
    #[must_use]
    pub fn written(key: &'a SigningKey) -> Self {
        Self::new("appKeys", vec![ListedSigningKey::with_state(key)])
    }
}

/// Returns the id of the one item in the stored result of a write.
pub fn written_id(result: &str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Written {
        items: [WrittenItem; 1],
    }
    #[derive(Deserialize)]
    struct WrittenItem {
        uuid: String,
    }
    let Written { items: [WrittenItem { uuid }] } = serde_json::from_str(result).map_err(Failure::internal)?;
    Ok(uuid)
}

impl Envelope {
    /// Returns the body of a failure. No message contains a character that JSON must escape.
    #[must_use]
    pub fn failure(self, kind: FailureKind) -> String {
        let (code, message) = (kind.code(), kind.message());
        match self {
            Self::Legacy => format!(r#"{{"success":false,"error":"{message}","message":null,"data":null}}"#),
            Self::List => {
                format!(r#"{{"errors":[{{"validation":"error","code":"[{code}]","message":"{message}"}}]}}"#)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_json_in_both_envelopes() {
        for kind in FailureKind::ALL {
            let legacy: serde_json::Value = serde_json::from_str(&Envelope::Legacy.failure(kind)).unwrap();
            assert_eq!(legacy["error"], kind.message());
            let list: serde_json::Value = serde_json::from_str(&Envelope::List.failure(kind)).unwrap();
            assert_eq!(list["errors"][0]["code"], format!("[{}]", kind.code()));
        }
    }

    #[test]
    fn failure_equals_seeds() {
        assert_eq!(
            Envelope::Legacy.failure(FailureKind::Unauthorized),
            r#"{"success":false,"error":"Unauthorized Token or API key","message":null,"data":null}"#
        );
        assert_eq!(
            Envelope::List.failure(FailureKind::Internal),
            r#"{"errors":[{"validation":"error","code":"[E0000]","message":"Internal Server Error"}]}"#
        );
    }

    #[test]
    fn success_equals_seeds() {
        let legacy = serde_json::to_string(&LegacySuccess::new("OK", 1)).unwrap();
        assert_eq!(legacy, r#"{"success":true,"message":"OK","error":null,"data":1}"#);
        let list = serde_json::to_string(&ListSuccess::new("appKeys", vec![1, 2])).unwrap();
        assert_eq!(list, r#"{"kind":"appKeys","totalItems":2,"itemsLength":2,"items":[1,2]}"#);
    }
}
