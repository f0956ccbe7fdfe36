//! The rules for the response to any event.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    contract::{self, Response, Route, read_payload},
    fixtures::*,
    function::INVOCATION_ID,
};

/// Fails unless the contract allows the response: exactly one of the function's failures, or a well-formed success for an
/// authorised caller. Only corrupt data allows a 500. Returns the response without the key's expiry.
pub fn assert_in_contract(function: &str, event: &str, payload: &Value) -> Response {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let (mut response, id) = read_payload(payload);
    let given = event["requestContext"]["requestId"].as_str();
    assert!(Some(id.as_str()) == given || id == INVOCATION_ID, "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_graphic()) && (1..=128).contains(&id.len()), "{id:?}");
    let is_public = Route::of(function).key_type.is_none();
    if let Some(index) = response.headers.iter().position(|(name, _)| name == "x-api-key-expires-at") {
        let (_, expires_at) = response.headers.remove(index);
        assert!(expires_at.len() == 24 && !is_public && response.status != 401, "{response:?}");
    }
    if response.status < 400 {
        assert!(is_public || is_authorised(function, &event), "{function} accepts {event}");
        assert_success(function, &response);
    } else {
        let codes = match function {
            "get-app-jwks" => &["E4040", "E0000"][..],
            "post-leaks" => &["E4000", "E0000"],
            _ if requires_read_key(function) => &["E4010", "E4011", "E4000", "E4030", "E0000"],
            _ => &["E4010", "E4011", "E4000", "E4030", "E4040", "E4090", "E0000"],
        };
        let code = codes.iter().find(|code| contract::failure(function, code) == response);
        let code = code.unwrap_or_else(|| panic!("{function}: not in the contract: {response:?}"));
        let has_corrupt_data = names_broken_app(&event) || function == "post-leaks" && reports_corrupt_key(&event);
        assert!(*code != "E0000" || has_corrupt_data, "{function}: a 500 to {event}");
    }
    assert_no_key(&format!("{:?}{}", response.headers, without_names(&response.body)));
    response
}

fn requires_read_key(function: &str) -> bool {
    Route::of(function).key_type == Some("read")
}

/// Returns the body without the names of API keys, which callers choose.
fn without_names(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap_or_default();
    for item in body["items"].as_array_mut().into_iter().flatten() {
        item.as_object_mut().unwrap().remove("name");
    }
    body
}

/// Fails if the text contains a part of one of the fixtures' API keys.
pub fn assert_no_key(text: &str) {
    assert!(!text.contains("TESTKEY") && !text.contains("test-key"), "an API key in {text}");
}

/// Returns whether the event presents a valid key for its app, by a second implementation of the contract's checks.
fn is_authorised(function: &str, event: &Value) -> bool {
    let kind = Route::of(function).key_type.unwrap();
    let header = |wanted: &str| {
        let of_format_1 = event["multiValueHeaders"].as_object();
        let headers = of_format_1.or(event["headers"].as_object())?.iter();
        let named = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
        let texts = named.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
        let values: Vec<String> = texts.filter_map(|value| value.as_str().map(str::to_owned)).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    let app = app_id(event);
    let browser = function == "get-app-secrets" && (header("origin").is_some() || header("sec-fetch-site").is_some());
    !browser
        && header("x-api-key-type").as_deref() == Some(kind)
        && header("x-client-id").map(|id| id.to_ascii_lowercase()) == app
        && KEYS.iter().any(|(of, key, id)| {
            *of == kind && header("x-api-key").as_deref() == Some(*key) && app.as_deref() == Some(*id)
        })
        && (!header("x-api-key").is_some_and(|key| LIMITED_KEYS.contains(&key.as_str())) || has_allowed_address(event))
}

/// The active keys of enabled apps.
const KEYS: [(&str, &str, &str); 19] = [
    ("read", READ_KEY, APP),
    ("read", IMPORTED_KEY, APP),
    ("read", LIMITED_KEY, APP),
    ("read", KEYLESS_APP_KEY, KEYLESS_APP),
    ("read", ROTATING_APP_READ_KEY, ROTATING_APP),
    ("read", UNPINNED_APP_KEY, UNPINNED_APP),
    ("read", LISTED_APP_KEY, LISTED_APP),
    ("read", LISTED_APP_LIMITED_KEY, LISTED_APP),
    ("read", LEAKED_KEY, ISSUING_APP),
    ("read", PARTLY_CORRUPT_APP_KEY, PARTLY_CORRUPT_APP),
    ("write", WRITE_KEY, APP),
    ("write", CHANGING_APP_WRITE_KEY, CHANGING_APP),
    ("write", ROTATING_APP_WRITE_KEY, ROTATING_APP),
    ("write", LISTED_APP_WRITE_KEY, LISTED_APP),
    ("write", ISSUING_APP_WRITE_KEY, ISSUING_APP),
    ("write", ISSUING_APP_LIMITED_WRITE_KEY, ISSUING_APP),
    ("write", ISSUING_APP_SELF_REPLACING_KEY, ISSUING_APP),
    ("write", ISSUING_APP_SELF_REVOKING_KEY, ISSUING_APP),
    ("write", LAST_APP_WRITE_KEY, LAST_APP),
];

/// The keys that are accepted only from 192.0.2.0/24 and 2001:db8::/32.
const LIMITED_KEYS: [&str; 3] = [LIMITED_KEY, LISTED_APP_LIMITED_KEY, ISSUING_APP_LIMITED_WRITE_KEY];

fn has_allowed_address(event: &Value) -> bool {
    let context = &event["requestContext"];
    let addresses = [&context["http"]["sourceIp"], &context["identity"]["sourceIp"]];
    let mut parsed = addresses.into_iter().filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
    parsed.any(|address| match address.to_canonical() {
        IpAddr::V4(address) => address.octets()[..3] == [192, 0, 2],
        IpAddr::V6(address) => address.segments()[..2] == [0x2001, 0xdb8],
    })
}

/// Returns whether the event reports a key whose record is corrupt.
fn reports_corrupt_key(event: &Value) -> bool {
    let body = event["body"].as_str().unwrap_or_default();
    let decoded = STANDARD.decode(body).ok().filter(|_| event["isBase64Encoded"] == true);
    let report: Value = serde_json::from_slice(&decoded.unwrap_or(body.into())).unwrap_or_default();
    let tokens = report.as_array().into_iter().flatten().filter_map(|leak| leak["token"].as_str());
    tokens.into_iter().any(|token| [CORRUPT_APP_KEY, CORRUPT_APP_WRITE_KEY, CORRUPT_LEAKED_KEY].contains(&token))
}

/// Returns the app in the event's path in lower case.
pub fn app_id(event: &Value) -> Option<String> {
    let parameters = &event["pathParameters"];
    ["appId", "appUuid"].iter().find_map(|name| parameters[name].as_str()).map(str::to_ascii_lowercase)
}

/// Returns whether the event names an app with corrupt records or the app whose secret does not exist.
fn names_broken_app(event: &Value) -> bool {
    app_id(event).is_some_and(|app| [CORRUPT_APP, PARTLY_CORRUPT_APP, UNPINNED_APP].contains(&app.as_str()))
}

fn assert_success(function: &str, response: &Response) {
    let Response { status, body, headers } = response;
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let (cache_control, statuses) = match function {
        "get-app-keys" => ("private, no-cache", &[200, 304][..]),
        "get-app-jwks" => ("public, max-age=600", &[200, 304][..]),
        "get-app-secrets" => ("no-store", &[200, 304][..]),
        "post-app-keys" | "post-app-secrets" | "post-app-api-keys" => ("no-store", &[201][..]),
        "post-leaks" => ("no-store", &[202][..]),
        _ => ("no-store", &[200][..]),
    };
    assert!(statuses.contains(status), "{function}: {status}");
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("cache-control"), Some(cache_control));
    assert_eq!(header("access-control-allow-origin"), (function == "get-app-jwks").then_some("*"));
    let has_etag = header("etag").is_some_and(|tag| tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'));
    assert_eq!(has_etag, statuses.contains(&304), "{headers:?}");
    let allowed = 2 + usize::from(has_etag) + usize::from(function == "get-app-jwks");
    assert_eq!(headers.len(), allowed, "{headers:?}");
    if *status == 304 {
        assert_eq!(body, "");
        return;
    }
    let body: Value = serde_json::from_str(body).unwrap();
    match function {
        "get-app-jwks" => {
            assert_members(&body, &["keys"]);
            for key in body["keys"].as_array().unwrap() {
                assert_members(key, &["kty", "use", "alg", "kid", "n", "e"]);
                assert!(key["kid"].as_str().unwrap().starts_with("appkey_"), "{key}");
            }
        }
        "post-leaks" => {
            assert_members(&body, &["received"]);
            assert!((1..=1000).contains(&body["received"].as_u64().unwrap()), "{body}");
        }
        _ if function.contains("secret") => {
            assert_members(&body, &["success", "message", "error", "data"]);
            let message = if *status == 201 { "Created" } else { "OK" };
            assert_eq!((&body["success"], &body["error"]), (&true.into(), &Value::Null));
            assert_eq!(body["message"], message);
            let data = &body["data"];
            match function {
                "get-app-secrets" if data.get("previousSecret").is_none() => assert_members(data, &["secret"]),
                "get-app-secrets" => assert_members(data, &["secret", "previousSecret", "previousExpiresAt"]),
                "post-app-secrets" => assert_members(data, &["secret", "previousExpiresAt"]),
                _ => assert_members(data, &["previousSecret", "previousExpiresAt"]),
            }
        }
        _ => {
            assert_members(&body, &["kind", "totalItems", "itemsLength", "items"]);
            let items = body["items"].as_array().unwrap();
            let is_of_api_keys = function.contains("api-key");
            assert_eq!(body["kind"], if is_of_api_keys { "appApiKeys" } else { "appKeys" });
            assert_eq!([&body["totalItems"], &body["itemsLength"]], [items.len(); 2]);
            assert!(requires_read_key(function) || items.len() == 1, "{body}");
            let mut members = if is_of_api_keys { API_KEY.to_vec() } else { SIGNING_KEY.to_vec() };
            members.extend(match function {
                "post-app-api-keys" => Some("value"),
                "get-app-keys" | "get-app-api-keys" | "delete-app-api-key" => None,
                _ => Some("state"),
            });
            items.iter().for_each(|item| assert_members(item, &members));
        }
    }
}

const SIGNING_KEY: [&str; 5] = ["uuid", "createdAt", "updatedAt", "type", "value"];

const API_KEY: [&str; 13] = [
    "uuid",
    "createdAt",
    "updatedAt",
    "type",
    "name",
    "hint",
    "status",
    "expiresAt",
    "revokedAt",
    "lastUsedAt",
    "issuedBy",
    "allowedCidrs",
    "isCaller",
];

fn assert_members(value: &Value, names: &[&str]) {
    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names, "{value}");
}
