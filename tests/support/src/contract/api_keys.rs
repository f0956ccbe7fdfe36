//! The fixtures' API keys as the contract's responses show them.

use serde_json::{Value, json};

use super::apps;

const CREATED: &str = "2026-01-01T00:00:00.000Z";

/// Keys that expired or were revoked before this time are no longer listed. No other key ends before the year 2999.
const LONG_AGO: &str = "2026-03-01T00:00:00.000Z";

/// An API key of `events/apps.json`.
pub struct FixtureKey {
    /// The id of the key's app.
    pub app: String,
    record: Value,
}

impl FixtureKey {
    /// Returns the key that an event presents, if a fixture's app has it.
    #[must_use]
    pub fn presented(event: &Value) -> Option<Self> {
        let mut headers = event["headers"].as_object()?.iter();
        let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-api-key"))?;
        Self::all().into_iter().find(|key| key.record["value"] == *value)
    }

    /// Returns the key that an event replaces or revokes.
    fn changed(event: &Value) -> Option<Self> {
        let body = body_of(event);
        match event["pathParameters"]["apiKeyUuid"].as_str().or(body["replaces"].as_str())? {
            "self" => Self::presented(event),
            id => Self::all().into_iter().find(|key| key.id().eq_ignore_ascii_case(id)),
        }
    }

    /// Returns whether an event's caller replaces or revokes its own key.
    #[must_use]
    pub fn changes_itself(event: &Value) -> bool {
        let id = |key: Option<Self>| key.map(|key| key.id().to_owned());
        let changed = id(Self::changed(event));
        changed.is_some() && changed == id(Self::presented(event))
    }

    fn all() -> Vec<Self> {
        let key = |app: &Value, record: &Value| Self {
            app: app["uuid"].as_str().unwrap().to_owned(),
            record: record.clone(),
        };
        let of_app = |app: &Value| app["apiKeys"].as_array().unwrap().iter().map(|record| key(app, record)).collect();
        apps().iter().flat_map::<Vec<_>, _>(of_app).collect()
    }

    fn id(&self) -> &str {
        self.record["uuid"].as_str().unwrap()
    }

    #[must_use]
    pub fn expires_at(&self) -> Option<&str> {
        self.record["expiresAt"].as_str()
    }

    #[must_use]
    pub fn has_allow_list(&self) -> bool {
        !self.record["allowedCidrs"].is_null()
    }

    fn is_long_over(&self) -> bool {
        let ends = [&self.record["expiresAt"], &self.record["revokedAt"]];
        ends.iter().filter_map(|end| end.as_str()).any(|end| end < LONG_AGO)
    }

    fn allowed_cidrs(&self) -> Value {
        if self.has_allow_list() { self.record["allowedCidrs"].clone() } else { json!([]) }
    }

    fn item(&self, caller: &Self) -> Value {
        let record = &self.record;
        let created_at = record["createdAt"].as_str().unwrap_or(CREATED);
        let value = record["value"].as_str().unwrap();
        let status = match (record["revokedAt"].is_null(), self.is_long_over()) {
            (false, _) => "revoked",
            (true, true) => "expired",
            (true, false) => "active",
        };
        json!({
            "uuid": self.id(),
            "createdAt": created_at,
            "updatedAt": created_at,
            "type": key_type(&record["type"]),
            "name": record["name"],
            "hint": value[value.len() - 4..],
            "status": status,
            "expiresAt": record["expiresAt"],
            "revokedAt": record["revokedAt"],
            "lastUsedAt": null,
            "issuedBy": record["issuedBy"],
            "allowedCidrs": self.allowed_cidrs(),
            "isCaller": self.id() == caller.id(),
        })
    }
}

fn key_type(name: &Value) -> Value {
    let digit = if name == "read" { "1" } else { "2" };
    let [eight, four, twelve] = [8, 4, 12].map(|count| digit.repeat(count));
    let uuid = format!("appapikeytype_{eight}-{four}-{four}-{four}-{twelve}");
    json!({"uuid": uuid, "name": name, "createdAt": CREATED, "updatedAt": CREATED})
}

fn list(items: &[Value]) -> String {
    let length = items.len();
    json!({"kind": "appApiKeys", "totalItems": length, "itemsLength": length, "items": items}).to_string()
}

/// Returns the list of the keys of the caller's app.
pub fn listed(event: &Value) -> String {
    let caller = FixtureKey::presented(event).unwrap();
    let keys = FixtureKey::all().into_iter().filter(|key| key.app == caller.app && !key.is_long_over());
    let items = keys.map(|key| {
        let mut item = key.item(&caller);
        if key.id() != caller.id() {
            item["allowedCidrs"] = Value::Null;
        }
        item
    });
    list(&items.collect::<Vec<_>>())
}

/// Returns the key that the event's body describes, with placeholders for random values and times.
pub fn created(event: &Value) -> String {
    let caller = FixtureKey::presented(event).unwrap();
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    let replaced = FixtureKey::changed(event);
    let given = |name: &str| Some(body[name].clone()).filter(|value| !value.is_null());
    let taken_over = |name: &str| given(name).unwrap_or_else(|| replaced.as_ref().unwrap().record[name].clone());
    let kind = taken_over("type");
    let ends = !body["expiresInSeconds"].is_null() || replaced.as_ref().is_some_and(|key| key.expires_at().is_some());
    let allowed_cidrs = replaced.as_ref().map_or(json!([]), FixtureKey::allowed_cidrs);
    list(&[json!({
        "uuid": "<API key id>",
        "createdAt": "<time>",
        "updatedAt": "<time>",
        "type": key_type(&kind),
        "name": taken_over("name"),
        "hint": "<hint>",
        "status": "active",
        "expiresAt": ends.then_some("<time>"),
        "revokedAt": null,
        "lastUsedAt": null,
        "issuedBy": caller.id(),
        "allowedCidrs": given("allowedCidrs").unwrap_or(allowed_cidrs),
        "isCaller": false,
        "value": if kind == "read" { "<read key>" } else { "<write key>" },
    })])
}

/// Returns the key in the event's path, revoked.
pub fn revoked(event: &Value) -> String {
    let caller = FixtureKey::presented(event).unwrap();
    let mut item = FixtureKey::changed(event).unwrap().item(&caller);
    if item["revokedAt"].is_null() {
        item["status"] = "revoked".into();
        item["revokedAt"] = "<time>".into();
        item["updatedAt"] = "<time>".into();
    }
    list(&[item])
}

/// Returns the body of an event as JSON, or null.
pub fn body_of(event: &Value) -> Value {
    event["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
}
