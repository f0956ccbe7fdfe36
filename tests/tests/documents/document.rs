//! Reads docs/openapi.yaml and checks requests and responses against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Value, json};
use userdocks_test_support::{contract::Response, project};

/// docs/openapi.yaml.
pub struct Document(pub Value);

pub struct Operation<'a> {
    document: &'a Document,
    pub method: String,
    pub path: &'a str,
    pub item: &'a Value,
    /// Those of the path and of the operation.
    pub parameters: Vec<&'a Value>,
}

impl Document {
    pub fn read() -> Self {
        Self(yaml_serde::from_str(&fs::read_to_string(project().join("docs/openapi.yaml")).unwrap()).unwrap())
    }

    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let items =
            paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |of| (path, item, of)));
        items
            .filter(|(_, _, (method, _))| *method != "parameters")
            .map(|(path, item, (method, operation))| Operation {
                document: self,
                method: method.to_uppercase(),
                path,
                item: operation,
                parameters: [&item["parameters"], &operation["parameters"]]
                    .into_iter()
                    .filter_map(Value::as_array)
                    .flatten()
                    .map(|parameter| self.resolve(parameter))
                    .collect(),
            })
            .collect()
    }

    pub fn operation(&self, function: &str) -> Operation<'_> {
        self.operations().into_iter().find(|operation| operation.function() == function).unwrap()
    }

    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }

    /// Returns how a value violates a schema.
    pub fn violation(&self, schema: &Value, value: &Value) -> Option<String> {
        let schema = json!({"allOf": [schema], "components": self.0["components"]});
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        validator.validate(value).err().map(|error| format!("{error}, at {}", error.instance_path()))
    }
}

impl Operation<'_> {
    pub fn function(&self) -> &str {
        self.item["operationId"].as_str().unwrap()
    }

    pub fn responses(&self) -> BTreeMap<u16, &Value> {
        let responses = self.item["responses"].as_object().unwrap().iter();
        responses.map(|(status, response)| (status.parse().unwrap(), self.document.resolve(response))).collect()
    }

    /// Returns the names and the exact bodies of a status's examples. A response without a body has one without a name.
    pub fn examples(&self, status: u16) -> Vec<(String, String)> {
        let response = self.responses()[&status];
        if response["content"].is_null() {
            return vec![(String::new(), String::new())];
        }
        let examples = response["content"]["application/json"]["examples"].as_object().unwrap().iter();
        examples.map(|(name, example)| (name.clone(), self.document.resolve(example)["value"].to_string())).collect()
    }

    /// Returns how a request violates the operation.
    pub fn violation(&self, event: &Value) -> Option<String> {
        let parameters = self.parameters.iter().find_map(|parameter| {
            let name = parameter["name"].as_str().unwrap();
            let value = match parameter["in"].as_str().unwrap() {
                // Events may have the app's id under either name.
                "path" if name.starts_with("app") => ["appId", "appUuid"]
                    .iter()
                    .map(|name| &event["pathParameters"][name])
                    .find(|value| !value.is_null()),
                "path" => Some(&event["pathParameters"][name]),
                "query" => Some(&event["queryStringParameters"][name]),
                _ => Some(&event["headers"][name.to_lowercase()]),
            };
            match value.filter(|value| !value.is_null()) {
                Some(value) => self.document.violation(&parameter["schema"], value),
                None => (parameter["required"] == true).then(|| format!("{name} is missing")),
            }
        });
        parameters.or_else(|| self.body_violation(event))
    }

    fn body_violation(&self, event: &Value) -> Option<String> {
        if self.method == "GET" {
            return None;
        }
        let nothing = json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Nothing"}}}});
        let described = self.item.get("requestBody").unwrap_or(&nothing);
        match event["body"].as_str() {
            Some(body) => match serde_json::from_str(body) {
                Ok(body) => self.document.violation(&described["content"]["application/json"]["schema"], &body),
                Err(error) => Some(error.to_string()),
            },
            None => (described["required"] == true).then(|| "the body is missing".to_owned()),
        }
    }

    /// Fails unless the operation describes the response's body and headers, and the response has all required headers.
    pub fn assert_describes(&self, returned: &Response) {
        let about = format!("{} {}", self.function(), returned.status);
        let response = self.responses()[&returned.status];
        let content = &response["content"]["application/json"];
        assert_eq!(content.is_null(), returned.body.is_empty(), "{about}");
        if !returned.body.is_empty() {
            let body = serde_json::from_str(&returned.body).unwrap();
            assert_eq!(self.document.violation(&content["schema"], &body), None, "{about}: {body}");
        }
        let described = response["headers"].as_object().unwrap();
        // `content` describes the media type, and `Response` has no request id.
        let sent = returned.headers.iter().filter(|(name, _)| name != "content-type");
        let names: BTreeSet<&str> = sent.clone().map(|(name, _)| name.as_str()).chain(["x-request-id"]).collect();
        for (name, header) in described {
            let is_required = self.document.resolve(header)["required"] == true;
            assert_eq!(is_required, name != "x-api-key-expires-at", "{about}: {name}");
            assert!(!is_required || names.contains(name.as_str()), "{about}: {name} is missing");
        }
        for (name, value) in sent {
            let header = described.get(name).unwrap_or_else(|| panic!("{about}: {name} is not described"));
            let header = self.document.resolve(header);
            assert_eq!(self.document.violation(&header["schema"], &json!(value)), None, "{about}: {name}");
        }
    }
}
