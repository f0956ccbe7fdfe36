//! A client for an app's routes over HTTP.

use serde_json::Value;

use crate::{
    contract::{Response, failure},
    http::send,
};

/// A client with an app's API keys.
pub struct AppClient {
    /// The API's URL.
    pub api: String,
    pub id: String,
    pub read_key: String,
    pub write_key: String,
}

impl AppClient {
    /// Creates the client of an app from the output of `userdocks-admin app create`.
    #[must_use]
    pub fn created(api: &str, printed: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            api: api.to_owned(),
            id: text(&printed["app"]["uuid"]),
            read_key: text(&printed["apiKeys"][0]["value"]),
            write_key: text(&printed["apiKeys"][1]["value"]),
        }
    }

    /// Sends a request with the app's credentials and more headers.
    #[must_use]
    pub fn request(&self, method: &str, resource: &str, headers: &[(&str, &str)], body: Option<&str>) -> Response {
        let (key, kind) = if method == "GET" { (&self.read_key, "read") } else { (&self.write_key, "write") };
        let own = [("x-api-key", key.as_str()), ("x-api-key-type", kind), ("x-client-id", &self.id)];
        let url = format!("{}/api/v1/apps/{}/{resource}", self.api, self.id);
        send(method, &url, &[&own[..], headers].concat(), body).0
    }

    /// Sends a request that should succeed, and returns the body.
    ///
    /// # Errors
    /// The body of a failure.
    pub fn call(&self, method: &str, resource: &str, body: Option<&str>) -> Result<Value, String> {
        let response = self.request(method, resource, &[], body);
        if response.status < 300 { Ok(serde_json::from_str(&response.body).unwrap()) } else { Err(response.body) }
    }

    /// Returns the ids of the listed signing keys and the ids in the JWKS.
    fn signing_keys(&self) -> (Vec<Value>, Vec<Value>) {
        let ids = |list: &Value, id: &str| list.as_array().unwrap().iter().map(|key| key[id].clone()).collect();
        let listed = self.call("GET", "keys", None).unwrap();
        let published = self.call("GET", "jwks.json", None).unwrap();
        (ids(&listed["items"], "uuid"), ids(&published["keys"], "kid"))
    }

    /// Rotates the signing key, undoes the rotation, and rotates again.
    pub fn rotate_signing_key(&self) {
        let old = self.signing_keys().0[0].clone();
        let created = self.call("POST", "keys", None).unwrap();
        let new = created["items"][0]["uuid"].clone();
        assert_eq!(
            self.signing_keys(),
            (vec![old.clone()], vec![old.clone(), new.clone()]),
            "standby: published, not listed"
        );

        let key = |id: &Value| format!("keys/{}", id.as_str().unwrap());
        let conflict = Err(failure("put-app-key", "E4090").body);
        let put = |key: &str, body: &str| self.call("PUT", key, Some(body));
        assert_eq!(put(&key(&new), r#"{"state":"in_use"}"#), conflict, "published for less than 600 s");
        put(&key(&new), r#"{"state":"in_use","force":true}"#).unwrap();
        let both = vec![new.clone(), old.clone()];
        assert_eq!(self.signing_keys(), (both.clone(), both), "one key in use and one previous key");

        put(&key(&old), r#"{"state":"in_use"}"#).unwrap();
        assert_eq!(self.signing_keys().0[0], old, "one call undoes the rotation");
        put(&key(&new), r#"{"state":"in_use"}"#).unwrap();
        assert_eq!(self.call("DELETE", &key(&new), None), conflict, "the key is in use");
        self.call("DELETE", &key(&old), None).unwrap();
        assert_eq!(self.signing_keys(), (vec![new.clone()], vec![new]), "revoked");
    }

    /// Rotates the secret with an overlap, and ends the overlap.
    pub fn rotate_secret(&self) {
        let data = |resource: &str| self.call("GET", resource, None).unwrap()["data"].clone();
        let old = data("secrets")["secret"].clone();
        let rotated = self.call("POST", "secrets", Some(r#"{"overlapSeconds":3600}"#)).unwrap()["data"].clone();
        assert_ne!(rotated["secret"], old);
        assert_eq!(data("secrets")["secret"], rotated["secret"]);
        let both = data("secrets?include=previous");
        assert_eq!((&both["secret"], &both["previousSecret"]), (&rotated["secret"], &old));
        assert_eq!(both["previousExpiresAt"], rotated["previousExpiresAt"]);
        self.call("DELETE", "secrets/previous", None).unwrap();
        let ended = data("secrets?include=previous");
        assert_eq!((&ended["secret"], &ended["previousSecret"]), (&rotated["secret"], &Value::Null));
    }
}
