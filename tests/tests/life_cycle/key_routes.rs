//! The functions in the test's process on a fake AWS, with helpers for the routes of API keys.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use userdocks::domain::{AppId, Timestamp};
use userdocks_test_support::{
    app::{TestApp, TestKey},
    aws::{FakeAws, TABLE},
    contract::{ROUTES, Response, read_payload},
    event::Event,
    in_process::InProcess,
};

/// The table's items by `pk` and `sk`.
pub type Items = BTreeMap<(String, String), HashMap<String, AttributeValue>>;

pub struct KeyRoutes {
    pub aws: FakeAws,
    functions: HashMap<&'static str, InProcess>,
}

/// An API key that a POST created.
pub struct Created {
    pub id: String,
    pub value: String,
    /// The key in the response.
    pub item: Value,
}

impl Created {
    /// Reads the response of a POST.
    pub fn new((status, body): (u16, Value)) -> Self {
        assert_eq!(status, 201, "{body}");
        let item = body["items"][0].clone();
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        Self { id: text("uuid"), value: text("value"), item }
    }
}

impl KeyRoutes {
    pub async fn start() -> Self {
        Self::on(FakeAws::start().await)
    }

    pub fn on(aws: FakeAws) -> Self {
        let functions = functions(&aws);
        Self { aws, functions }
    }

    /// Starts new instances of all functions, which have cached nothing.
    pub fn restart(&mut self) {
        self.functions = functions(&self.aws);
    }

    pub async fn create_app(&self) -> TestApp {
        TestApp::create(&self.aws.services()).await
    }

    /// Creates an app with API keys besides its first read key and its first write key.
    pub async fn create_app_with(&self, keys: &[&TestKey]) -> TestApp {
        TestApp::builder().keys(keys.iter().map(|key| (*key).clone())).create(&self.aws.services()).await
    }

    /// Stores API keys one by one, because the transaction that creates an app has room for few.
    pub async fn add_keys(&self, app: AppId, keys: impl IntoIterator<Item = TestKey>) {
        let store = self.aws.services().store;
        for key in keys {
            store.add_api_key(app, &key.record).await.unwrap();
        }
    }

    pub async fn respond(&self, function: &str, event: &Event) -> Response {
        read_payload(&self.functions[function].respond(&event.to_string()).await).0
    }

    /// Calls a function. Returns the status and the body.
    pub async fn call(&self, function: &str, event: &Event) -> (u16, Value) {
        let response = self.respond(function, event).await;
        (response.status, serde_json::from_str(&response.body).unwrap())
    }

    pub async fn post(&self, app: AppId, key: &str, body: Value) -> (u16, Value) {
        self.call("post-app-api-keys", &post(app, key, body)).await
    }

    pub async fn create(&self, app: AppId, key: &str, body: Value) -> Created {
        Created::new(self.post(app, key, body).await)
    }

    pub async fn delete(&self, app: AppId, key: &str, id: &str) -> (u16, Value) {
        self.call("delete-app-api-key", &delete(app, key, id)).await
    }

    /// Returns the app's keys as the route lists them.
    pub async fn list(&self, app: AppId, key: &str) -> Vec<Value> {
        let (status, body) = self.call("get-app-api-keys", &Event::new("get-app-api-keys").caller(app, key)).await;
        assert_eq!(status, 200, "{body}");
        let items = body["items"].as_array().unwrap().clone();
        let length = items.len();
        assert_eq!(
            (&body["kind"], &body["totalItems"], &body["itemsLength"]),
            (&"appApiKeys".into(), &length.into(), &length.into())
        );
        items
    }

    /// Returns whether a key is accepted. The request that finds out changes nothing.
    pub async fn is_accepted(&self, app: AppId, key: &str) -> bool {
        let (function, success) =
            if key.starts_with("ud_write_") { ("delete-app-api-key", 400) } else { ("get-app-keys", 200) };
        let response = self.respond(function, &Event::new(function).caller(app, key).api_key("no-id")).await;
        assert!([success, 401].contains(&response.status), "{response:?}");
        response.status == success
    }

    /// Returns all items of the table by key.
    pub async fn items(&self) -> Items {
        let mut pages = self.aws.dynamodb().scan().table_name(TABLE).into_paginator().items().send();
        let mut items = BTreeMap::new();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            let text = |name: &str| item[name].as_s().unwrap().clone();
            items.insert((text("pk"), text("sk")), item);
        }
        items
    }

    /// Returns all items of the table without the last use, which functions record in the background.
    pub async fn items_without_last_use(&self) -> Items {
        let mut items = self.items().await;
        items.values_mut().for_each(|item| drop(item.remove("lastUsedAt")));
        items
    }

    /// Fails unless API keys and index items correspond one to one.
    pub async fn assert_keys_are_whole(&self) {
        let items = self.items().await;
        let keys = items.keys().filter_map(|(pk, sk)| Some((sk.strip_prefix("APIKEY#")?, pk.strip_prefix("APP#")?)));
        let indexed = items.iter().filter(|((_, sk), _)| sk == "APIKEY");
        let indexed =
            indexed.map(|((pk, _), item)| (pk.strip_prefix("APIKEY#").unwrap(), item["app"].as_s().unwrap().as_str()));
        assert_eq!(keys.collect::<BTreeMap<_, _>>(), indexed.collect());
    }

    /// Fails if any item of the table contains the text.
    pub async fn assert_not_stored(&self, text: &str) {
        for (key, item) in self.items().await {
            assert!(!format!("{item:?}").contains(text), "{key:?}");
        }
    }
}

fn functions(aws: &FakeAws) -> HashMap<&'static str, InProcess> {
    let function = |function| (function, InProcess::new(function, aws.signed_services()));
    ROUTES.iter().map(|route| function(route.function)).collect()
}

pub fn post(app: AppId, key: &str, body: Value) -> Event {
    Event::new("post-app-api-keys").caller(app, key).body(body)
}

pub fn delete(app: AppId, key: &str, id: &str) -> Event {
    Event::new("delete-app-api-key").caller(app, key).api_key(id)
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

pub fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}
