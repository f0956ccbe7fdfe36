use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use super::apps;

/// Returns a fixture's key as the keys routes show it, with its state unless that is empty.
pub fn item(digit: &str, created: &str, state: &str) -> String {
    let uuid = key_id(digit);
    let pem = Value::from(pem(&uuid));
    let state = if state.is_empty() { String::new() } else { format!(r#","state":"{state}""#) };
    format!(
        r#"{{"uuid":"{uuid}","createdAt":"{created}","updatedAt":"2026-02-01T00:00:00.000Z","type":{{"uuid":"appkeytype_11111111-1111-1111-1111-111111111111","name":"public","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}},"value":{pem}{state}}}"#
    )
}

pub fn key_id(digit: &str) -> String {
    format!("appkey_{0}-{1}-4{2}-8{2}-{3}", digit.repeat(8), digit.repeat(4), digit.repeat(3), digit.repeat(12))
}

pub fn pem(key_id: &str) -> String {
    let apps = apps();
    let mut keys = apps.iter().flat_map(|app| app["signingKeys"].as_array().unwrap());
    let key = keys.find(|key| key["uuid"] == key_id).unwrap();
    key["publicKey"].as_str().unwrap().to_owned()
}

/// Returns the JWKS of the key in use, the previous key and the standby key.
pub fn jwks() -> String {
    let key = |digit: &str| {
        let kid = key_id(digit);
        let encoded: String = pem(&kid).lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).unwrap();
        // An RSA-4096 SPKI has 550 bytes: 33 before the modulus, 512 of the modulus, and 5 of the exponent 65537.
        assert_eq!((der.len(), &der[545..]), (550, &[2, 3, 1, 0, 1][..]));
        let n = URL_SAFE_NO_PAD.encode(&der[33..545]);
        format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{kid}","n":"{n}","e":"AQAB"}}"#)
    };
    let keys = [key("9"), key("8"), key("a")];
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}
