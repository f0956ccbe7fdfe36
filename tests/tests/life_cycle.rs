//! Rotating, retiring and revoking: the write functions' real binaries, on embedded services, one by one, many at once,
//! and killed after each single call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks::domain::{
    ApiKeyType, ApiKeyValue, AppId, KeyLimits, PublicKey, SecretVersionId, SigningKeyId, Timestamp,
};
use userdocks_test_support::{
    backend::{Backend, Fate, SECRET_PREFIX, TABLE},
    binary,
    contract::{self, read_payload},
    function::{Function, environment},
};

/// An app with a read and a write key, and a signing key in use.
struct App {
    id: AppId,
    read: ApiKeyValue,
    write: ApiKeyValue,
}

impl App {
    async fn create(backend: &Backend) -> Self {
        let values = [ApiKeyValue::issue(ApiKeyType::Read).unwrap(), ApiKeyValue::issue(ApiKeyType::Write).unwrap()];
        let id = AppId::random();
        let services = backend.services();
        let created = userdocks_admin::app::create_with_keys(&services, id, "Test".to_owned(), &values);
        Box::pin(created).await.unwrap();
        let [read, write] = values;
        Self { id, read, write }
    }

    /// An event of a route, with the app's own key for it.
    fn event(&self, method: &str, resource: &str, body: &str, idempotency_key: Option<&str>) -> String {
        let (kind, key) = if method == "GET" { ("read", &self.read) } else { ("write", &self.write) };
        let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
        let mut headers =
            json!({"x-api-key": key.expose(), "x-api-key-type": kind, "x-client-id": self.id.to_string()});
        if let Some(idempotency_key) = idempotency_key {
            headers["idempotency-key"] = idempotency_key.into();
        }
        let key_id = path.strip_prefix("keys/").unwrap_or_default();
        let (name, value) = query.split_once('=').unwrap_or_default();
        json!({
            "headers": headers,
            "pathParameters": {"appId": self.id.to_string(), "keyUuid": key_id},
            "queryStringParameters": {name: value},
            "requestContext": {"http": {"method": method}},
            "rawPath": format!("/api/v1/apps/{}/{path}", self.id),
            "rawQueryString": query,
            "body": body,
        })
        .to_string()
    }
}

/// The functions, each running once.
struct Api {
    backend: Backend,
}

impl Api {
    async fn start() -> Self {
        Self { backend: Backend::start().await }
    }

    /// One call of a function in a process of its own: status and body.
    async fn call(&self, function: &str, event: &str) -> (u16, Value) {
        let mut function = Function::start(function, &environment(&self.backend)).await;
        let (answer, _) = read_payload(&function.invoke(event).await);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    async fn secret(&self, app: &App) -> String {
        let (status, body) = self.call("get-app-secrets", &app.event("GET", "secrets", "", None)).await;
        assert_eq!(status, 200, "{body}");
        body["data"]["secret"].as_str().unwrap().to_owned()
    }

    /// The versions of an app's secret that have labels, with these.
    async fn labels(&self, app: &App) -> BTreeMap<String, Vec<String>> {
        let name = format!("{SECRET_PREFIX}/apps/{}/secret", app.id);
        let versions = self.backend.secrets_manager().list_secret_version_ids().secret_id(name).send().await.unwrap();
        let labelled = versions.versions().iter().filter(|version| !version.version_stages().is_empty());
        labelled.map(|version| (version.version_id().unwrap().to_owned(), version.version_stages().to_vec())).collect()
    }

    async fn secret_with_previous(&self, app: &App) -> Value {
        let (status, body) =
            self.call("get-app-secrets", &app.event("GET", "secrets?include=previous", "", None)).await;
        assert_eq!(status, 200, "{body}");
        body["data"].clone()
    }

    /// The ids of the keys route, the one in use first.
    async fn listed(&self, app: &App) -> Vec<String> {
        let (status, body) = self.call("get-app-keys", &app.event("GET", "keys", "", None)).await;
        assert_eq!(status, 200, "{body}");
        body["items"].as_array().unwrap().iter().map(|key| key["uuid"].as_str().unwrap().to_owned()).collect()
    }

    /// The ids of the JWKS.
    async fn published(&self, app: &App) -> Vec<String> {
        let (status, body) = self.call("get-app-jwks", &app.event("GET", "jwks.json", "", None)).await;
        assert_eq!(status, 200, "{body}");
        body["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    async fn create_key(&self, app: &App) -> String {
        let (status, body) = self.call("post-app-keys", &app.event("POST", "keys", "", None)).await;
        assert_eq!(status, 201, "{body}");
        body["items"][0]["uuid"].as_str().unwrap().to_owned()
    }

    async fn put_in_use(&self, app: &App, key: &str, force: bool) -> (u16, Value) {
        let body = json!({"state": "in_use", "force": force}).to_string();
        self.call("put-app-key", &app.event("PUT", &format!("keys/{key}"), &body, None)).await
    }

    async fn revoke(&self, app: &App, key: &str) -> (u16, Value) {
        self.call("delete-app-key", &app.event("DELETE", &format!("keys/{key}"), "", None)).await
    }

    /// Changes attributes of the app's record behind the functions' back: time that has passed.
    async fn update(&self, app: &App, expression: &str, values: &[(&str, &str)]) {
        let mut update = self.backend.update_item(app.id, "APP").update_expression(expression);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, AttributeValue::S((*value).to_owned()));
        }
        update.send().await.unwrap();
    }

    /// Adds a standby key without making one.
    async fn add_standby(&self, app: &App) -> String {
        let pem = include_str!("../../shared/src/domain/testdata/rsa-2048.pem");
        let store = self.backend.services().store;
        let read = store.find_app(app.id).await.unwrap().unwrap();
        let mut changed = read.clone();
        let id = SigningKeyId::random();
        changed
            .signing_keys
            .add_standby(KeyLimits::API, id, PublicKey::import(pem).unwrap(), Timestamp::now())
            .unwrap();
        store.update_app(&read, changed, Timestamp::now(), None).await.unwrap();
        id.to_string()
    }

    /// What must hold whatever happened: every pinned version and every private key of a generated key is there.
    async fn assert_nothing_is_lost(&self, app: &App, generated: &[String]) {
        self.secret(app).await;
        self.secret_with_previous(app).await;
        let listed = self.listed(app).await;
        let published = self.published(app).await;
        assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), published.len(), "each key once");
        assert!(!listed.is_empty() && listed[..] == published[..listed.len()], "the key in use is first in both");
        for key in generated.iter().filter(|key| published.contains(key)) {
            let name = format!("{SECRET_PREFIX}/apps/{}/signing-keys/{key}", app.id);
            let private = self.backend.secrets_manager().get_secret_value().secret_id(name).send().await.unwrap();
            assert!(private.secret_string().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_published_then_used_then_retired_then_revoked() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let first = api.listed(&app).await.remove(0);
    let second = api.create_key(&app).await;
    assert_eq!(api.listed(&app).await, [&*first], "a standby key is not listed");
    assert_eq!(api.published(&app).await, [&*first, &*second], "but published");

    assert_eq!(api.put_in_use(&app, &second, false).await.0, 409, "no verifier can be sure to know it yet");
    assert_eq!(api.listed(&app).await, [&*first], "nothing was changed");
    api.update(&app, "SET signingKeys[1].createdAt = :then", &[(":then", "2026-01-01T00:00:00.000Z")]).await;
    let (status, body) = api.put_in_use(&app, &second, false).await;
    assert_eq!((status, &body["items"][0]["state"]), (200, &json!("in_use")));
    assert_eq!(api.listed(&app).await, [&*second, &*first]);

    assert_eq!(api.put_in_use(&app, &first, false).await.0, 200, "a bad rotation is undone in one call");
    assert_eq!(api.listed(&app).await, [&*first, &*second]);
    assert_eq!(api.put_in_use(&app, &second, false).await.0, 200);

    assert_eq!(api.revoke(&app, &second).await.0, 409, "the key in use");
    for _ in 0..2 {
        let (status, body) = api.revoke(&app, &first).await;
        assert_eq!((status, &body["items"][0]["state"]), (200, &json!("revoked")));
    }
    assert_eq!((api.listed(&app).await, api.published(&app).await), (vec![second.clone()], vec![second.clone()]));
    assert_eq!(api.put_in_use(&app, &first, true).await.0, 404, "a revoked key is gone");
    let force = app.event("DELETE", &format!("keys/{second}?force=true"), "", None);
    assert_eq!(api.call("delete-app-key", &force).await.0, 200);
    assert!(api.published(&app).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_are_handed_out_while_they_overlap() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let first = api.secret(&app).await;
    let none = |secret: &str| json!({"secret": secret, "previousSecret": null, "previousExpiresAt": null});
    assert_eq!(api.secret_with_previous(&app).await, none(&first));

    let rotate = |body: &str| app.event("POST", "secrets", body, None);
    let (status, rotated) = api.call("post-app-secrets", &rotate("")).await;
    let second = rotated["data"]["secret"].as_str().unwrap().to_owned();
    assert_eq!((status, api.secret(&app).await), (201, second.clone()));
    let both = api.secret_with_previous(&app).await;
    let ends = rotated["data"]["previousExpiresAt"].clone();
    assert_eq!(both, json!({"secret": second, "previousSecret": first, "previousExpiresAt": ends}));

    api.update(&app, "SET previousSecretExpiresAt = :then", &[(":then", "2026-01-01T00:00:00.000Z")]).await;
    assert_eq!(api.secret_with_previous(&app).await, none(&second), "the overlap ends by itself");

    let (_, rotated) = api.call("post-app-secrets", &rotate(r#"{"overlapSeconds":2592000}"#)).await;
    let third = rotated["data"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(api.secret_with_previous(&app).await["previousSecret"], second);
    let end = app.event("DELETE", "secrets/previous", "", None);
    for _ in 0..2 {
        assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
        assert_eq!(api.secret_with_previous(&app).await, none(&third), "or is ended");
    }
    // JSON has one kind of number: 0.0 is as whole as 0.
    for body in [r#"{"overlapSeconds":0}"#, r#"{"overlapSeconds":0.0}"#] {
        assert_eq!(api.call("post-app-secrets", &rotate(body)).await.0, 201, "{body}");
        assert_eq!(api.secret_with_previous(&app).await["previousSecret"], Value::Null, "or never began");
    }

    // AWSCURRENT follows the pin, and no more than the pinned and the previous version keep a label.
    let name = format!("{SECRET_PREFIX}/apps/{}/secret", app.id);
    let secrets_manager = api.backend.secrets_manager();
    let current = secrets_manager.get_secret_value().secret_id(&name).send().await.unwrap();
    assert_eq!(current.secret_string().unwrap(), api.secret(&app).await);
    let versions = secrets_manager.list_secret_version_ids().secret_id(&name).send().await.unwrap();
    let own_labels = versions
        .versions()
        .iter()
        .filter(|version| version.version_stages().iter().any(|label| Some(label.as_str()) == version.version_id()));
    assert!(own_labels.count() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_sent_again_answers_the_same_and_changes_nothing() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let standby = api.add_standby(&app).await;
    let writes = [
        ("post-app-keys", "POST", "keys".to_owned(), "{}".to_owned()),
        ("post-app-secrets", "POST", "secrets".to_owned(), String::new()),
        ("put-app-key", "PUT", format!("keys/{standby}"), r#"{"state":"in_use","force":true}"#.to_owned()),
        ("delete-app-key", "DELETE", format!("keys/{standby}?force=true"), String::new()),
        ("delete-previous-app-secret", "DELETE", "secrets/previous".to_owned(), String::new()),
    ];
    for (function, method, resource, body) in &writes {
        let event = app.event(method, resource, body, Some(function));
        let first = api.call(function, &event).await;
        assert!(first.0 < 300, "{function}: {first:?}");
        let state = (api.published(&app).await, api.secret(&app).await);
        assert_eq!(api.call(function, &event).await, first, "{function}");
        assert_eq!((api.published(&app).await, api.secret(&app).await), state, "{function}");
        // One process for all: what is remembered does not depend on which instance is asked.
        let mut warm = Function::start(function, &environment(&api.backend)).await;
        let (again, _) = read_payload(&warm.invoke(&event).await);
        assert_eq!((again.status, serde_json::from_str::<Value>(&again.body).unwrap()), first, "{function}");
        let other =
            app.event(method, resource, body, Some("other")).replace("\"rawQueryString\":\"", "\"rawQueryString\":\"x");
        let other = other.replace("\"idempotency-key\":\"other\"", &format!("\"idempotency-key\":\"{function}\""));
        let (status, _) = api.call(function, &other).await;
        assert_eq!(status, 409, "{function}: the key named another request");
    }
    // The same idempotency key of another write key is another write.
    let other = App {
        write: ApiKeyValue::issue(ApiKeyType::Write).unwrap(),
        ..App { id: app.id, read: app.read.clone(), write: app.write.clone() }
    };
    let key = userdocks::domain::ApiKey::new(&other.write, ApiKeyType::Write, String::new(), Timestamp::now(), None);
    api.backend.services().store.add_api_key(app.id, &key).await.unwrap();
    let before = api.secret(&app).await;
    let (status, body) =
        api.call("post-app-secrets", &other.event("POST", "secrets", "", Some("post-app-secrets"))).await;
    assert_eq!(status, 201);
    assert_ne!(body["data"]["secret"], before);
}

/// Even where the event says neither the method nor the path.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_one_route_is_not_the_answer_of_another() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let event = |resource: &str| {
        let mut event: Value = serde_json::from_str(&app.event("DELETE", resource, "", Some("once"))).unwrap();
        event["requestContext"] = Value::Null;
        event["rawPath"] = Value::Null;
        event.to_string()
    };
    let [first, second] = [SigningKeyId::random(), SigningKeyId::random()].map(|key| format!("keys/{key}"));
    assert_eq!(api.call("delete-previous-app-secret", &event("secrets/previous")).await.0, 200);
    assert_eq!(api.call("put-app-key", &event("secrets/previous")).await.0, 409);
    assert_eq!(api.call("post-app-secrets", &event("secrets/previous")).await.0, 409);
    assert_eq!(api.call("delete-app-key", &event(&first)).await.0, 409);
    assert_eq!(api.call("delete-previous-app-secret", &event(&second)).await.0, 409);
    assert_eq!(api.call("delete-previous-app-secret", &event("secrets/previous")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_write_is_forgotten_after_a_day() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let event = app.event("POST", "secrets", "", Some("daily"));
    let first = api.call("post-app-secrets", &event).await;
    let dynamodb = api.backend.dynamodb();
    let records = dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    let record = records.into_iter().find(|item| item["sk"].as_s().unwrap().starts_with("IDEMPOTENCY#")).unwrap();
    assert!(record.values().all(|value| value.as_s().map_or("", String::as_str) != first.1["data"]["secret"]));
    dynamodb
        .update_item()
        .table_name(TABLE)
        .key("pk", record["pk"].clone())
        .key("sk", record["sk"].clone())
        .update_expression("SET #ttl = :past")
        .expression_attribute_names("#ttl", "ttl")
        .expression_attribute_values(":past", AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
    let second = api.call("post-app-secrets", &event).await;
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1);
    assert_eq!(api.call("post-app-secrets", &event).await, second, "and remembered anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_write_in_parallel_is_one_change_with_identical_answers() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    for (function, resource) in [("post-app-secrets", "secrets"), ("post-app-keys", "keys")] {
        let event = app.event("POST", resource, "", Some(function));
        let before = api.published(&app).await.len();
        let answers = tokio::join!(
            api.call(function, &event),
            api.call(function, &event),
            api.call(function, &event),
            api.call(function, &event)
        );
        assert_eq!(answers.0.0, 201, "{function}: {answers:?}");
        assert!([&answers.1, &answers.2, &answers.3].iter().all(|answer| **answer == answers.0), "{answers:?}");
        let new = if resource == "keys" { 1 } else { 0 };
        assert_eq!(api.published(&app).await.len(), before + new);
        if resource == "secrets" {
            assert_eq!(answers.0.1["data"]["secret"], api.secret(&app).await);
        }
    }
    api.assert_nothing_is_lost(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_concurrent_writes_each_is_done_or_refused_whole() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let mut keys = api.listed(&app).await;
    keys.push(api.add_standby(&app).await);
    let mut writes = Vec::new();
    for number in 0..8 {
        let put = json!({"state": "in_use", "force": true}).to_string();
        for key in &keys {
            writes.push(("put-app-key", app.event("PUT", &format!("keys/{key}"), &put, None)));
        }
        writes.push(("post-app-secrets", app.event("POST", "secrets", "", None)));
        let idempotency_key = (number % 2 == 0).then(|| format!("write {number}"));
        writes.push(("post-app-keys", app.event("POST", "keys", "", idempotency_key.as_deref())));
    }
    assert_eq!(writes.len(), 32);
    let calls = writes.iter().map(|(function, event)| api.call(function, event));
    let answers = futures_util::future::join_all(calls).await;
    let mut created = Vec::new();
    let mut secrets = vec![];
    for ((function, _), (status, body)) in writes.iter().zip(&answers) {
        assert!([200, 201, 409].contains(status), "{function}: {status} {body}");
        match (*function, status) {
            ("post-app-keys", 201) => created.push(body["items"][0]["uuid"].as_str().unwrap().to_owned()),
            ("post-app-secrets", 201) => secrets.push(body["data"]["secret"].clone()),
            _ => {}
        }
    }
    let published = api.published(&app).await;
    assert!(created.iter().all(|key| published.contains(key)), "each 201 is visible");
    assert_eq!(published.len(), keys.len() + created.len(), "and nothing else is");
    if !secrets.is_empty() {
        assert!(secrets.contains(&api.secret(&app).await.into()), "one of the rotations was the last");
    }
    api.assert_nothing_is_lost(&app, &created).await;
}

/// Runs one call, and kills the function when its backend call of that index has been carried out but not answered.
/// `None`: killed. Otherwise the call was over before.
async fn killed_after(api: &Api, function: &str, event: &str, index: usize) -> Option<(u16, Value)> {
    let mut process = Function::start(function, &environment(&api.backend)).await;
    api.backend.judge(move |call| if call.index == index { Fate::Unanswered } else { Fate::Forwarded });
    let outcome = tokio::select! {
        answer = process.invoke(event) => Some(answer),
        () = api.backend.unanswered() => None,
    };
    process.stop().await;
    api.backend.judge(|_| Fate::Forwarded);
    outcome.map(|answer| {
        let (answer, _) = read_payload(&answer);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_call_a_write_completes_when_it_is_sent_again() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let first = api.listed(&app).await.remove(0);
    let second = api.add_standby(&app).await;
    let mut generated = vec![first.clone()];
    for function in ["post-app-secrets", "post-app-keys", "put-app-key", "delete-app-key", "delete-previous-app-secret"]
    {
        for idempotency_key in [None, Some("killed")] {
            let mut index = 0;
            loop {
                // The use of the write key is to be noted again: one call more to be killed after.
                forget_last_use(&api, &app).await;
                let idempotency_key = idempotency_key.map(|key| format!("{key} {function} {index}"));
                let event =
                    |method, resource: &str, body| app.event(method, resource, body, idempotency_key.as_deref());
                let in_use = api.listed(&app).await.remove(0);
                let target = match function {
                    "put-app-key" if in_use == first => second.clone(),
                    "put-app-key" => first.clone(),
                    "delete-app-key" => api.add_standby(&app).await,
                    _ => String::new(),
                };
                let event = match function {
                    "post-app-secrets" => event("POST", "secrets", ""),
                    "post-app-keys" => event("POST", "keys", ""),
                    "put-app-key" => event("PUT", &format!("keys/{target}"), r#"{"state":"in_use","force":true}"#),
                    "delete-app-key" => event("DELETE", &format!("keys/{target}"), ""),
                    _ => event("DELETE", "secrets/previous", ""),
                };
                let over = killed_after(&api, function, &event, index).await;
                api.assert_nothing_is_lost(&app, &generated).await;
                let (status, body) = api.call(function, &event).await;
                assert!(status < 300, "{function}, killed after call {index}: {status} {body}");
                match function {
                    "post-app-secrets" => assert_eq!(body["data"]["secret"], api.secret(&app).await),
                    "post-app-keys" => generated.push(body["items"][0]["uuid"].as_str().unwrap().to_owned()),
                    "put-app-key" => assert_eq!(api.listed(&app).await[0], target),
                    "delete-app-key" => assert!(!api.published(&app).await.contains(&target)),
                    _ => assert_eq!(api.secret_with_previous(&app).await["previousSecret"], Value::Null),
                }
                let published = api.published(&app).await;
                assert!(generated.iter().all(|key| published.contains(key)), "no key is lost");
                api.assert_nothing_is_lost(&app, &generated).await;
                // Keeps the number of keys below what an app may have.
                for key in published.iter().filter(|key| ![&first, &second].contains(key)) {
                    assert_eq!(api.revoke(&app, key).await.0, 200);
                }
                generated.truncate(1);
                if over.is_some() {
                    break;
                }
                index += 1;
            }
            assert!(index >= 2, "{function} makes calls to be killed after");
        }
    }
}

async fn forget_last_use(api: &Api, app: &App) {
    let update = api.backend.update_item(app.id, &format!("APIKEY#{}", app.write.hash().as_str()));
    update.update_expression("REMOVE lastUsedAt").send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_of_a_key_is_noted_and_never_in_the_way() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let last_used = async || {
        let (keys, _) = api.backend.services().store.list_api_keys(app.id).await.unwrap();
        keys.into_iter().find(|key| key.kind == ApiKeyType::Read).unwrap().last_used_at
    };
    assert_eq!(last_used().await, None);
    for fault in [
        Fate::Answered(400, r#"{"__type":"AccessDeniedException"}"#.to_owned()),
        Fate::Answered(500, String::new()),
        Fate::Ignored,
    ] {
        api.backend.judge(move |call| if call.operation == "UpdateItem" { fault.clone() } else { Fate::Forwarded });
        api.secret(&app).await;
    }
    api.backend.judge(|_| Fate::Forwarded);
    let before = Timestamp::now();
    api.secret(&app).await;
    let noted = last_used().await.unwrap();
    assert!(noted >= before);
    api.secret(&app).await;
    assert_eq!(last_used().await, Some(noted), "once an hour");

    let store = api.backend.services().store;
    let hash = app.read.hash();
    let hour = std::time::Duration::from_secs(3600);
    store.note_use(app.id, &hash, noted.before(hour)).await.unwrap();
    assert_eq!(last_used().await, Some(noted), "forward only");
    store.note_use(app.id, &hash, noted + hour).await.unwrap();
    assert_eq!(last_used().await, Some(noted + hour));
    store.revoke_api_key(app.id, &hash, Timestamp::now()).await.unwrap();
    store.note_use(app.id, &hash, noted + hour + hour).await.unwrap();
    assert_eq!(last_used().await, Some(noted + hour + hour), "a revocation is no condition of it");
    store.delete_app(app.id).await.unwrap();
    store.note_use(app.id, &hash, noted + hour + hour).await.unwrap();
    assert_eq!(store.list_api_keys(app.id).await.unwrap(), (vec![], vec![]), "nor on none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_reading_and_writing_refuses_the_write() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let before = api.secret(&app).await;
    // Another change of the record, exactly while the new version is being put.
    let changed = api.backend.services().store.find_app(app.id).await.unwrap().unwrap();
    let mut function = Function::start("post-app-secrets", &environment(&api.backend)).await;
    api.backend.judge(|call| if call.operation == "PutSecretValue" { Fate::Unanswered } else { Fate::Forwarded });
    let event = app.event("POST", "secrets", "", None);
    let (answer, ()) = tokio::join!(function.invoke(&event), async {
        api.backend.unanswered().await;
        api.backend.judge(|_| Fate::Forwarded);
        api.backend.services().store.update_app(&changed, changed.clone(), Timestamp::now(), None).await.unwrap();
    });
    let (answer, _) = read_payload(&answer);
    assert_eq!(answer, contract::failure("post-app-secrets", "E4090"));
    assert_eq!(api.secret(&app).await, before, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_ends_the_same_whatever_becomes_of_the_labels() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let rotate = app.event("POST", "secrets", "", None);
    for operation in ["ListSecretVersionIds", "UpdateSecretVersionStage"] {
        for fate in [Fate::Ignored, Fate::Cut, Fate::Answered(400, r#"{"__type":"AccessDeniedException"}"#.to_owned())]
        {
            // The versions are listed before the new one is stored, too: that is not about labels.
            let (fate, is_stored) = (fate.clone(), AtomicBool::new(false));
            api.backend.judge(move |call| {
                is_stored.fetch_or(call.operation == "PutSecretValue", Relaxed);
                let fails = call.operation == operation && is_stored.load(Relaxed);
                if fails { fate.clone() } else { Fate::Forwarded }
            });
            let (status, body) = api.call("post-app-secrets", &rotate).await;
            assert_eq!((status, &body["data"]["secret"]), (201, &api.secret(&app).await.into()), "{operation}");
        }
    }
    api.backend.judge(|_| Fate::Forwarded);
    assert_eq!(api.call("post-app-secrets", &rotate).await.0, 201);
    api.assert_nothing_is_lost(&app, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_that_never_end_do_not_cost_the_pinned_version() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    assert_eq!(api.call("post-app-secrets", &app.event("POST", "secrets", "", None)).await.0, 201);
    let before = api.secret(&app).await;
    for _ in 0..3 {
        let mut process = Function::start("post-app-secrets", &environment(&api.backend)).await;
        api.backend.judge(|call| if call.operation == "PutSecretValue" { Fate::Unanswered } else { Fate::Forwarded });
        let event = app.event("POST", "secrets", "", None);
        tokio::select! {
            answer = process.invoke(&event) => panic!("{answer}"),
            () = api.backend.unanswered() => process.stop().await,
        };
        api.backend.judge(|_| Fate::Forwarded);
        assert_eq!(api.secret(&app).await, before);
        // Emulators are lenient with versions that lost their labels; Secrets Manager may delete them.
        let pinned =
            api.backend.services().store.find_app(app.id).await.unwrap().unwrap().secret_version_id.to_string();
        assert!(api.labels(&app).await[&pinned].contains(&pinned), "its own label keeps it");
    }
}

/// All versions of a secret have 20 together at most.
#[tokio::test(flavor = "multi_thread")]
async fn rotations_in_a_row_do_not_use_up_the_labels() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    for _ in 0..8 {
        assert_eq!(api.call("post-app-secrets", &app.event("POST", "secrets", "", None)).await.0, 201);
        let end = app.event("DELETE", "secrets/previous", "", None);
        assert_eq!(api.call("delete-previous-app-secret", &end).await.0, 200);
        let labels = api.labels(&app).await;
        assert!(labels.values().flatten().count() <= 4, "of the pinned and the previous version: {labels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_that_came_to_nothing_do_not_stand_in_the_next_ones_way() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    assert_eq!(api.call("post-app-secrets", &app.event("POST", "secrets", "", None)).await.0, 201);
    let secrets = api.backend.services().secrets;
    let [old, young] = [SecretVersionId::random(), SecretVersionId::random()];
    for version in [old, young] {
        secrets.put_app_secret(app.id, version, &"value".to_owned().into()).await.unwrap();
    }
    // Two minutes pass for all but the young one.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let made = |id: &String| if *id == young.to_string() { now } else { now - 120 };
    let versions: Vec<Value> = api
        .labels(&app)
        .await
        .iter()
        .map(|(id, labels)| json!({"VersionId": id, "VersionStages": labels, "CreatedDate": made(id)}))
        .collect();
    let versions = json!({"Versions": versions}).to_string();
    let (listed, has_room) = (AtomicUsize::new(0), AtomicBool::new(false));
    api.backend.judge(move |call| match call.operation.as_str() {
        "PutSecretValue" if !has_room.load(Relaxed) => {
            Fate::Answered(400, r#"{"__type":"LimitExceededException"}"#.to_owned())
        }
        // To count the new versions, and to find the labels that can be taken back.
        "ListSecretVersionIds" if listed.fetch_add(1, Relaxed) < 2 => Fate::Answered(200, versions.clone()),
        "UpdateSecretVersionStage" => {
            has_room.store(true, Relaxed);
            Fate::Forwarded
        }
        _ => Fate::Forwarded,
    });
    let before = api.secret(&app).await;
    let _ = api.backend.take_calls();
    assert_eq!(api.call("post-app-secrets", &app.event("POST", "secrets", "", None)).await.0, 201);
    let calls = api.backend.take_whole_calls();
    let before_the_commit = calls.iter().take_while(|call| call.operation != "TransactWriteItems");
    let let_go: Vec<_> = before_the_commit.filter(|call| call.operation == "UpdateSecretVersionStage").collect();
    assert!(
        let_go.len() == 1 && let_go[0].body.contains(&old.to_string()),
        "a change under way may need the young one"
    );
    assert_eq!(api.secret_with_previous(&app).await["previousSecret"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_too_many_versions_is_not_rotated_now() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let before = api.secret(&app).await;
    api.backend.judge(|call| match call.operation.as_str() {
        "PutSecretValue" => Fate::Answered(400, r#"{"__type":"LimitExceededException"}"#.to_owned()),
        _ => Fate::Forwarded,
    });
    assert_eq!(api.call("post-app-secrets", &app.event("POST", "secrets", "", None)).await.0, 409);
    assert_eq!(api.secret(&app).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_seen_yet_is_waited_for() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let asked = AtomicUsize::new(0);
    api.backend.judge(move |call| match call.operation.as_str() {
        "GetSecretValue" if asked.fetch_add(1, Relaxed) < 4 => {
            Fate::Answered(400, r#"{"__type":"ResourceNotFoundException"}"#.to_owned())
        }
        _ => Fate::Forwarded,
    });
    assert_eq!(api.secret(&app).await.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_key_begins_when_it_is_published() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let made = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = std::sync::Arc::clone(&made);
    api.backend.judge(move |call| {
        if call.operation == "CreateSecret" {
            *seen.lock().unwrap() = Some(Timestamp::now());
        }
        Fate::Forwarded
    });
    let (_, body) = api.call("post-app-keys", &app.event("POST", "keys", "", None)).await;
    let created: Timestamp = body["items"][0]["createdAt"].as_str().unwrap().parse().unwrap();
    assert!(created >= made.lock().unwrap().unwrap(), "not when the request arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_app_leaves_no_secret_behind() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    // The private half of a key whose record was never written.
    let orphan = userdocks::domain::Secret::from("orphan".to_owned());
    let orphaned = api.backend.services().secrets.create_signing_key(app.id, SigningKeyId::random(), &orphan).await;
    orphaned.unwrap().settled();
    let other = App::create(&api.backend).await;
    let names = async || {
        let listed = api.backend.secrets_manager().list_secrets().send().await.unwrap();
        listed.secret_list().iter().map(|secret| secret.name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await.len(), 5);
    // What the record names is deleted even where the listing lacks it; it may lag behind by minutes.
    let young = App::create(&api.backend).await;
    api.backend.judge(|call| match call.operation.as_str() {
        "ListSecrets" => Fate::Answered(200, r#"{"SecretList":[]}"#.to_owned()),
        _ => Fate::Forwarded,
    });
    assert_eq!(api.backend.run_admin(&["app", "delete", &young.id.to_string(), "--yes"]).await.0, 0);
    api.backend.judge(|_| Fate::Forwarded);
    assert_eq!(names().await.len(), 5);
    let (succeeds, _) = admin(&api, &["app", "delete", &app.id.to_string(), "--yes"], None).await.unwrap();
    assert!(succeeds);
    let left = names().await;
    assert!(left.len() == 2 && left.iter().all(|name| name.contains(&other.id.to_string())), "{left:?}");
}

/// Runs one command of `userdocks-admin`, and kills it when its backend call of that index has been carried out but not
/// answered. `None`: killed. Otherwise its exit code and what it printed.
async fn admin(api: &Api, arguments: &[&str], killed_after: Option<usize>) -> Option<(bool, Value)> {
    if let Some(index) = killed_after {
        api.backend.judge(move |call| if call.index == index { Fate::Unanswered } else { Fate::Forwarded });
    }
    let process = tokio::process::Command::new(binary("userdocks-admin"))
        .args(["--output", "json"])
        .args(arguments)
        .env_clear()
        .envs(environment(&api.backend))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let outcome = tokio::select! {
        output = process.wait_with_output() => Some(output.unwrap()),
        () = api.backend.unanswered() => None,
    };
    api.backend.judge(|_| Fate::Forwarded);
    outcome.map(|output| (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_call_a_command_completes_when_it_is_run_again() {
    let api = Api::start().await;
    for command in ["app create", "app delete", "secret rotate", "signing-key create", "api-key rotate"] {
        let mut index = 0;
        loop {
            let app = App::create(&api.backend).await;
            let id = if command == "app create" { AppId::random().to_string() } else { app.id.to_string() };
            let (keys, _) = api.backend.services().store.list_api_keys(app.id).await.unwrap();
            let key = keys.iter().find(|key| key.kind == ApiKeyType::Write).unwrap().id.to_string();
            let arguments = match command {
                "app create" => vec!["app", "create", "--name", "Killed", "--id", &id, "--if-not-exists"],
                "app delete" => vec!["app", "delete", &id, "--yes"],
                "secret rotate" => vec!["secret", "rotate", &id],
                "signing-key create" => vec!["signing-key", "create", &id],
                _ => vec!["api-key", "rotate", &id, &key],
            };
            let over = admin(&api, &arguments, Some(index)).await;
            if command != "app create" && command != "app delete" {
                api.assert_nothing_is_lost(&app, &[]).await;
            }
            let (succeeds, answer) = admin(&api, &arguments, None).await.unwrap();
            let shown = admin(&api, &["app", "show", &id], None).await.unwrap();
            match command {
                "app delete" => assert!(!shown.0, "killed after call {index}: the app is gone, whichever run did it"),
                _ => assert!(succeeds && shown.0, "{command}, killed after call {index}: {answer}"),
            }
            match command {
                "app create" => assert_eq!(answer["signingKey"]["state"], "in_use"),
                "app delete" => {
                    let (status, _) = api.call("get-app-secrets", &app.event("GET", "secrets", "", None)).await;
                    assert_eq!(status, 401);
                    assert!(api.backend.services().store.list_api_keys(app.id).await.unwrap().0.is_empty());
                }
                _ => api.assert_nothing_is_lost(&app, &[]).await,
            }
            if over.is_some() {
                break;
            }
            index += 1;
        }
        assert!(index >= 2, "{command} makes calls to be killed after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_was_revoked_meanwhile_is_not_rotated() {
    let api = Api::start().await;
    let app = App::create(&api.backend).await;
    let store = api.backend.services().store;
    let (keys, _) = store.list_api_keys(app.id).await.unwrap();
    let read = keys.iter().find(|key| key.kind == ApiKeyType::Read).unwrap();
    store.revoke_api_key(app.id, &read.hash, Timestamp::now()).await.unwrap();
    let new = ApiKeyValue::issue(ApiKeyType::Read).unwrap();
    let new = userdocks::domain::ApiKey::new(&new, ApiKeyType::Read, String::new(), Timestamp::now(), None);
    let refused = store.replace_api_key(app.id, &new, read, read).await;
    assert!(matches!(refused, Err(userdocks::store::StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.list_api_keys(app.id).await.unwrap().0.len(), keys.len(), "nothing was changed");
}
