//! Writes of an authenticated caller with any content.

use std::{net::IpAddr, ops::RangeInclusive};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{functions, response::assert_in_contract};
use crate::{
    contract::{self, Response},
    event::Event,
    fixtures::*,
};

const CALLERS: [(&str, &str); 4] = [
    (APP, WRITE_KEY),
    (CHANGING_APP, CHANGING_APP_WRITE_KEY),
    (ROTATING_APP, ROTATING_APP_WRITE_KEY),
    (ISSUING_APP, ISSUING_APP_WRITE_KEY),
];

/// The first byte chooses the function, and the second byte the caller and the body's encoding. Three lines follow: the
/// `Idempotency-Key`, the query's `force` and the key's id. An empty `Idempotency-Key` or `force` is absent. The rest is the
/// body.
pub fn check(input: &[u8]) {
    let [function, form, rest @ ..] = input else { return };
    let lines: Vec<&[u8]> = rest.splitn(4, |byte| *byte == b'\n').collect();
    let [idempotency_key, force, key_id, body] = lines[..] else { return };
    let functions = contract::writing_functions();
    let write = Write {
        function: functions[usize::from(*function) % functions.len()],
        caller: CALLERS[usize::from(*form) / 4 % CALLERS.len()],
        idempotency_key: String::from_utf8_lossy(idempotency_key).into_owned(),
        force: String::from_utf8_lossy(force).into_owned(),
        key_id: String::from_utf8_lossy(key_id).into_owned(),
        body: match form % 4 {
            0 => Body::Text(String::from_utf8_lossy(body).into_owned()),
            1 => Body::NotBase64(String::from_utf8_lossy(body).into_owned()),
            _ => Body::Base64(body.to_owned()),
        },
    };
    functions::renew();
    write.check();
}

struct Write {
    function: &'static str,
    caller: (&'static str, &'static str),
    idempotency_key: String,
    force: String,
    key_id: String,
    body: Body,
}

enum Body {
    Text(String),
    Base64(Vec<u8>),
    /// Declared as base64, but it may be anything.
    NotBase64(String),
}

impl Write {
    fn check(&self) {
        let event = self.event().to_string();
        let (response, repeated) = if self.has_usable_idempotency_key() {
            functions::respond_and_repeat(self.function, &event)
        } else {
            (functions::respond(self.function, &event), None)
        };
        let response = assert_in_contract(self.function, &event, &response);
        let failed_with = |code| response == contract::failure(self.function, code);
        if !self.is_readable() {
            assert!(failed_with("E4010"), "{} to {event}", response.status);
            return;
        }
        let repeats_another = self.has_usable_idempotency_key() && failed_with("E4090");
        match self.is_well_formed() {
            // The function checks the rest only if the Idempotency-Key is new.
            _ if repeats_another => {}
            Some(true) => {
                let in_contract = response.status < 300 || failed_with("E4040") || failed_with("E4090");
                assert!(in_contract, "{} to {event}", response.status);
            }
            Some(false) => assert!(failed_with("E4000"), "{} to {event}", response.status),
            None => assert!(response.status < 500),
        }
        if response.status > 400 {
            // Only later failures are checked here: a change before a 400 would make the next success fail.
            functions::assert_unchanged(self.caller.0);
        } else if let Some(repeated) = repeated {
            let repeated = assert_in_contract(self.function, &event, &repeated);
            let response = without_value(response);
            let revokes_itself = self.function == "delete-app-api-key" && response.body.contains(r#""isCaller":true"#);
            let expected = if revokes_itself { contract::failure(self.function, "E4010") } else { response.clone() };
            assert_eq!(repeated, expected, "sent again: {event}");
            // The change is undone: its secret is no longer returned, and a caller that revoked itself is accepted again.
            let expected = match self.function {
                "post-app-secrets" => contract::failure(self.function, "E4090"),
                _ => response,
            };
            let repeated = assert_in_contract(self.function, &event, &functions::respond(self.function, &event));
            assert_eq!(repeated, expected, "sent again later: {event}");
            // A body that is not valid text is another request.
            let other = self.event().binary_body(&[0xff]);
            let refused =
                assert_in_contract(self.function, &event, &functions::respond(self.function, &other.to_string()));
            assert_eq!(refused, contract::failure(self.function, "E4090"), "{other} after {event}");
        }
    }

    fn event(&self) -> Event {
        let (app, key) = self.caller;
        let mut event = Event::new(self.function).caller(app, key).key(&self.key_id).api_key(&self.key_id);
        event = match &self.body {
            Body::Text(text) => event.body(text),
            Body::NotBase64(text) => event.encoded_body(text),
            Body::Base64(bytes) => event.binary_body(bytes),
        };
        if !self.force.is_empty() {
            event = event.query("force", &self.force);
        }
        if !self.idempotency_key.is_empty() {
            event = event.idempotency_key(&self.idempotency_key);
        }
        event
    }

    /// Returns whether all headers of the event have values that HTTP allows (RFC 9110, section 5.5).
    fn is_readable(&self) -> bool {
        self.idempotency_key.chars().all(|character| character == '\t' || !character.is_ascii_control())
    }

    fn has_usable_idempotency_key(&self) -> bool {
        (1..=64).contains(&self.idempotency_key.len())
            && self.idempotency_key.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
    }

    /// Returns whether the write is well-formed, by a second implementation of the contract. Returns `None` if that
    /// depends on the data.
    fn is_well_formed(&self) -> Option<bool> {
        let has_key_id = match self.function {
            "put-app-key" | "delete-app-key" => has_uuid_after("appkey_", &self.key_id),
            "delete-app-api-key" => self.key_id == "self" || has_uuid_after("apikey_", &self.key_id),
            _ => true,
        };
        if !has_key_id || !self.idempotency_key.is_empty() && !self.has_usable_idempotency_key() {
            return Some(false);
        }
        let has_force = ["delete-app-key", "delete-app-api-key"].contains(&self.function);
        if has_force && !["", "true", "false"].contains(&self.force.as_str()) {
            return Some(false);
        }
        let Some(text) = self.body_text() else { return Some(false) };
        let members = if text.trim().is_empty() { Ok(Members(Vec::new())) } else { serde_json::from_str(&text) };
        let Ok(Members(members)) = members else { return Some(false) };
        let are_good = members.iter().all(|(name, value)| match (self.function, name.as_str()) {
            ("put-app-key", "state") => value == "in_use",
            ("put-app-key", "force") => value.is_boolean(),
            ("post-app-secrets", "overlapSeconds") => {
                value.as_f64().is_some_and(|seconds| seconds.fract() == 0.0 && (0.0..=2_592_000.0).contains(&seconds))
            }
            ("post-app-api-keys", name) => is_api_key_field(name, value),
            _ => false,
        });
        let has = |wanted: &str| members.iter().any(|(name, value)| name == wanted && !value.is_null());
        let is_complete = match self.function {
            "put-app-key" => has("state"),
            "post-app-api-keys" => has("replaces") || has("type") && has("name"),
            _ => true,
        };
        // The limits of a replacement depend on the replaced key.
        if are_good && is_complete && has("replaces") {
            return None;
        }
        let mut names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        if !are_good || !is_complete { Some(false) } else { (names.len() == members.len()).then_some(true) }
    }

    fn body_text(&self) -> Option<String> {
        match &self.body {
            Body::Text(text) => Some(text.clone()),
            Body::Base64(bytes) => String::from_utf8(bytes.clone()).ok(),
            Body::NotBase64(text) => String::from_utf8(STANDARD.decode(text).ok()?).ok(),
        }
    }
}

/// Returns the response to a repeated request: the first response without the value of a new API key.
fn without_value(response: Response) -> Response {
    let mut body: Value = serde_json::from_str(&response.body).unwrap();
    if body["kind"] != "appApiKeys" || body["items"][0].get("value").is_none() {
        return response;
    }
    body["items"][0]["value"] = Value::Null;
    Response { body: body.to_string(), ..response }
}

fn has_uuid_after(prefix: &str, id: &str) -> bool {
    let uuid = id.strip_prefix(prefix).unwrap_or_default();
    uuid.len() == 36
        && uuid.char_indices().all(|(index, char)| match index {
            8 | 13 | 18 | 23 => char == '-',
            _ => char.is_ascii_hexdigit(),
        })
}

/// Returns whether a member of the body of `POST api-keys` is well-formed, by a second implementation of the contract.
/// Names are checked only for characters in the inputs.
fn is_api_key_field(name: &str, value: &Value) -> bool {
    let is_whole = |range: RangeInclusive<f64>| {
        value.as_f64().is_some_and(|number| number.fract() == 0.0 && range.contains(&number))
    };
    let has_direction = |text: &str| text.contains(['\u{61c}', '\u{200e}', '\u{200f}']);
    let is_known = ["type", "name", "expiresInSeconds", "allowedCidrs", "replaces", "overlapSeconds"].contains(&name);
    is_known && value.is_null()
        || match name {
            "type" => value == "read" || value == "write",
            "name" => value.as_str().is_some_and(|text| {
                (1..=100).contains(&text.chars().count())
                    && !text.contains(char::is_control)
                    && !has_direction(text)
                    && !text.contains(|char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
            }),
            "expiresInSeconds" => is_whole(60.0..=157_680_000.0),
            "overlapSeconds" => is_whole(0.0..=2_592_000.0),
            "replaces" => value.as_str().is_some_and(|id| id == "self" || has_uuid_after("apikey_", id)),
            "allowedCidrs" => value.as_array().is_some_and(|networks| {
                let is_first = |(index, network)| !networks[..index].contains(network);
                networks.len() <= 20
                    && networks.iter().all(|network| network.as_str().is_some_and(is_network))
                    && networks.iter().enumerate().all(is_first)
            }),
            _ => false,
        }
}

fn is_network(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let (Ok(parsed), Ok(length)) = (address.parse::<IpAddr>(), prefix.parse::<u32>()) else { return false };
    let (bits, width) = match parsed {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let is_mapped = length >= 96 && matches!(parsed, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    length <= width
        && bits.checked_shl(length).unwrap_or_default() == 0
        && !is_mapped
        && format!("{parsed}/{length}") == text
}

/// A JSON object with all its members, which may have the same name.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
