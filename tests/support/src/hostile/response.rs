//! The rules for every response, whatever the event is.

use serde_json::Value;

use crate::{
    contract::{self, READING, Response, read_payload},
    fixtures::*,
    function::INVOCATION_ID,
};

/// Fails unless the contract has the response for the function: exactly one of its failures, or a success in its form to a
/// caller with a valid key. Only apps with corrupt data get a 500.
pub fn assert_in_contract(function: &str, event: &str, payload: &Value) -> Response {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let (response, id) = read_payload(payload);
    let given = event["requestContext"]["requestId"].as_str();
    assert!(Some(id.as_str()) == given || id == INVOCATION_ID, "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_graphic()) && (1..=128).contains(&id.len()), "{id:?}");
    if response.status < 400 {
        assert!(function == "get-app-jwks" || is_authorised(function, &event), "{function} accepts {event}");
        assert_success(function, &response);
    } else {
        let codes = if function == "get-app-jwks" {
            &["E4040", "E0000"][..]
        } else if READING.contains(&function) {
            &["E4010", "E4011", "E4000", "E4030", "E0000"][..]
        } else {
            &["E4010", "E4011", "E4000", "E4030", "E4040", "E4090", "E0000"][..]
        };
        let code = codes.iter().find(|code| contract::failure(function, code) == response);
        let code = code.unwrap_or_else(|| panic!("{function}: not in the contract: {response:?}"));
        assert!(*code != "E0000" || names_broken_app(&event), "{function}: a 500 to {event}");
    }
    assert_no_key(&format!("{response:?}"));
    response
}

/// Fails if the text contains a piece of one of the fixtures' API keys.
pub fn assert_no_key(text: &str) {
    assert!(!text.contains("TESTKEY") && !text.contains("test-key"), "an API key in {text}");
}

/// Whether the event presents a valid key for its app, by a second implementation of the contract's checks.
fn is_authorised(function: &str, event: &Value) -> bool {
    let kind = if READING.contains(&function) { "read" } else { "write" };
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
        && [
            ("read", READ_KEY, APP),
            ("read", IMPORTED_KEY, APP),
            ("read", KEYLESS_APP_KEY, KEYLESS_APP),
            ("read", ROTATING_APP_READ_KEY, ROTATING_APP),
            ("write", WRITE_KEY, APP),
            ("write", CHANGING_APP_WRITE_KEY, CHANGING_APP),
            ("write", ROTATING_APP_WRITE_KEY, ROTATING_APP),
            ("read", UNPINNED_APP_KEY, UNPINNED_APP),
        ]
        .into_iter()
        .any(|(of, key, id)| of == kind && header("x-api-key").as_deref() == Some(key) && app.as_deref() == Some(id))
}

/// The app in the event's path, in lower case.
pub fn app_id(event: &Value) -> Option<String> {
    let parameters = &event["pathParameters"];
    ["appId", "appUuid"].iter().find_map(|name| parameters[name].as_str()).map(str::to_ascii_lowercase)
}

/// Whether the event names the app with corrupt records or the app whose secret does not exist.
fn names_broken_app(event: &Value) -> bool {
    app_id(event).is_some_and(|app| [CORRUPT_APP, UNPINNED_APP].contains(&app.as_str()))
}

fn assert_success(function: &str, response: &Response) {
    let Response { status, body, headers } = response;
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let (cache_control, statuses) = match function {
        "get-app-keys" => ("private, no-cache", &[200, 304][..]),
        "get-app-jwks" => ("public, max-age=600", &[200, 304][..]),
        "post-app-keys" | "post-app-secrets" => ("no-store", &[201][..]),
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
            assert_eq!(body["kind"], "appKeys");
            assert_eq!([&body["totalItems"], &body["itemsLength"]], [items.len(); 2]);
            let listed = ["uuid", "createdAt", "updatedAt", "type", "value"];
            let is_write = function != "get-app-keys";
            assert!(!is_write || items.len() == 1, "{body}");
            for item in items {
                let written = [&listed[..], &["state"]].concat();
                assert_members(item, if is_write { &written } else { &listed });
            }
        }
    }
}

fn assert_members(value: &Value, names: &[&str]) {
    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names, "{value}");
}
