//! docs/openapi.yaml describes the routes of the template and the responses of the contract, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Value, json};
use userdocks_test_support::{
    contract::{self, Fixture, Response, with_sample_values, without_new_values},
    project,
};

/// Failures of no fixture, because they take more than one request. The tests in `life_cycle` have each of them.
const AFTER_OTHER_REQUESTS: [(&str, &str); 3] =
    [("post-app-keys", "E4090"), ("post-app-secrets", "E4090"), ("delete-previous-app-secret", "E4090")];

/// Malformed requests of which no schema can say what is wrong: a repeated field, the length in bytes, the value of a
/// network, and what depends on the caller or the replaced key.
const BEYOND_SCHEMAS: [&str; 11] = [
    "400-E4000-repeated-field",
    "400-E4000-body-too-long",
    "400-E4000-cidr-host-bits",
    "400-E4000-cidr-mapped",
    "400-E4000-cidr-prefix-too-long",
    "400-E4000-itself-address-missing",
    "400-E4000-itself-address-not-listed",
    "400-E4000-itself-by-id-overlap-too-short",
    "400-E4000-itself-overlap-too-short",
    "400-E4000-replaced-of-other-type",
    "400-E4000-revoked-and-of-other-type",
];

/// docs/openapi.yaml.
struct Document(Value);

/// One of its operations.
struct Operation<'a> {
    document: &'a Document,
    method: String,
    path: &'a str,
    /// What the path and the operation say, in one object; `parameters` of both.
    item: BTreeMap<&'a str, &'a Value>,
    parameters: Vec<&'a Value>,
}

impl Document {
    fn read() -> Self {
        Self(yaml_serde::from_str(&fs::read_to_string(project().join("docs/openapi.yaml")).unwrap()).unwrap())
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let items =
            paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |of| (path, item, of)));
        items
            .filter(|(_, _, (method, _))| *method != "parameters")
            .map(|(path, item, (method, operation))| Operation {
                document: self,
                method: method.to_uppercase(),
                path,
                item: operation.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value)).collect(),
                parameters: [&item["parameters"], &operation["parameters"]]
                    .into_iter()
                    .filter_map(Value::as_array)
                    .flatten()
                    .map(|parameter| self.resolve(parameter))
                    .collect(),
            })
            .collect()
    }

    fn operation(&self, function: &str) -> Operation<'_> {
        self.operations().into_iter().find(|operation| operation.function() == function).unwrap()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }

    /// Says what is wrong with a value, by a schema of this document.
    fn complaint(&self, schema: &Value, value: &Value) -> Option<String> {
        let schema = json!({"allOf": [schema], "components": self.0["components"]});
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        validator.validate(value).err().map(|error| format!("{error}, at {}", error.instance_path()))
    }
}

impl Operation<'_> {
    /// The function that responses it.
    fn function(&self) -> &str {
        self.item["operationId"].as_str().unwrap()
    }

    fn responses(&self) -> BTreeMap<u16, &Value> {
        let responses = self.item["responses"].as_object().unwrap().iter();
        responses.map(|(status, response)| (status.parse().unwrap(), self.document.resolve(response))).collect()
    }

    /// Says what is wrong with a request, by what the document says of it.
    fn complaint(&self, event: &Value) -> Option<String> {
        let parameters = self.parameters.iter().find_map(|parameter| {
            let name = parameter["name"].as_str().unwrap();
            let value = match parameter["in"].as_str().unwrap() {
                // The two names of an app's id are one.
                "path" if name.starts_with("app") => ["appId", "appUuid"]
                    .iter()
                    .map(|name| &event["pathParameters"][name])
                    .find(|value| !value.is_null()),
                "path" => Some(&event["pathParameters"][name]),
                "query" => Some(&event["queryStringParameters"][name]),
                _ => Some(&event["headers"][name.to_lowercase()]),
            };
            match value.filter(|value| !value.is_null()) {
                Some(value) => self.document.complaint(&parameter["schema"], value),
                None => (parameter["required"] == true).then(|| format!("{name} is missing")),
            }
        });
        parameters.or_else(|| self.complaint_of_body(event))
    }

    fn complaint_of_body(&self, event: &Value) -> Option<String> {
        if self.method == "GET" {
            return None;
        }
        let nothing = json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Nothing"}}}});
        let described = self.item.get("requestBody").copied().unwrap_or(&nothing);
        match event["body"].as_str() {
            Some(body) => match serde_json::from_str(body) {
                Ok(body) => self.document.complaint(&described["content"]["application/json"]["schema"], &body),
                Err(error) => Some(error.to_string()),
            },
            None => (described["required"] == true).then(|| "the body is missing".to_owned()),
        }
    }

    /// Fails unless the document describes the response: its body, and its headers, of which only optional ones may be absent.
    fn assert_describes(&self, returned: &Response) {
        let about = format!("{} {}", self.function(), returned.status);
        let response = self.responses()[&returned.status];
        let content = &response["content"]["application/json"];
        assert_eq!(content.is_null(), returned.body.is_empty(), "{about}");
        if !returned.body.is_empty() {
            let body = serde_json::from_str(&returned.body).unwrap();
            assert_eq!(self.document.complaint(&content["schema"], &body), None, "{about}: {body}");
        }
        let described = response["headers"].as_object().unwrap();
        // The media type is said by the content; `Response` leaves the request's id out.
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
            assert_eq!(self.document.complaint(&header["schema"], &json!(value)), None, "{about}: {name}");
        }
    }
}

#[test]
fn document_has_routes_of_template() {
    let template = fs::read_to_string(project().join("template.yaml")).unwrap();
    let template: yaml_serde::Value = yaml_serde::from_str(&template).unwrap();
    let text = |value: &yaml_serde::Value| value.as_str().unwrap().to_owned();
    let mut deployed = BTreeSet::new();
    for resource in template["Resources"].as_mapping().unwrap().values() {
        if resource["Type"] == "AWS::Serverless::Function" {
            let function = text(&resource["Metadata"]["BuildProperties"]["Binary"]);
            for event in resource["Properties"]["Events"].as_mapping().unwrap().values() {
                let route = &event["Properties"];
                deployed.insert((function.clone(), text(&route["Method"]), text(&route["Path"])));
            }
        }
    }
    let document = Document::read();
    let described = document.operations().into_iter();
    let described = described.map(|of| (of.function().to_owned(), of.method.clone(), of.path.to_owned()));
    assert_eq!(described.collect::<BTreeSet<_>>(), deployed);
    assert_eq!(deployed.len(), contract::FUNCTIONS.len());
}

#[test]
fn only_key_set_and_leak_reports_are_public() {
    let document = Document::read();
    assert_eq!(
        document.0["security"],
        json!([{"apiKey": [], "apiKeyType": [], "clientId": []}]),
        "all three, together"
    );
    for operation in document.operations() {
        let public = ["get-app-jwks", "post-leaks"].contains(&operation.function()).then(|| json!([]));
        assert_eq!(operation.item.get("security").copied(), public.as_ref(), "{}", operation.function());
    }
}

#[test]
fn every_response_of_contract_is_described() {
    let document = Document::read();
    for fixture in Fixture::all() {
        let mut response = fixture.expected();
        response.body = with_sample_values(&response.body);
        document.operation(&fixture.function).assert_describes(&response);
    }
}

#[test]
fn examples_are_all_responses_of_contract() {
    let document = Document::read();
    let mut described = BTreeMap::<_, BTreeSet<String>>::new();
    for operation in document.operations() {
        for status in operation.responses().into_keys() {
            let bodies = described.entry((operation.function().to_owned(), status)).or_default();
            for (name, body) in examples(&operation, status) {
                if status >= 400 {
                    assert_eq!(
                        body,
                        contract::failure(operation.function(), &name).body,
                        "an example is named by its code"
                    );
                }
                let has_new_values = status == 201 || operation.path.contains("api-keys") && status == 200;
                bodies.insert(if has_new_values { without_new_values(&body) } else { body });
            }
        }
    }
    let fixtures = Fixture::all().into_iter().map(|fixture| (fixture.function.clone(), fixture.expected()));
    let others = AFTER_OTHER_REQUESTS.map(|(function, code)| (function.to_owned(), contract::failure(function, code)));
    let mut returned = BTreeMap::<_, BTreeSet<String>>::new();
    for (function, response) in fixtures.chain(others) {
        returned.entry((function, response.status)).or_default().insert(response.body);
    }
    for (outcome, bodies) in &mut returned {
        // One or two of the many that differ in a few fields are enough.
        if outcome.1 < 400 && outcome.0.contains("api-key") || outcome.0 == "post-leaks" {
            let examples = described.get(outcome).cloned().unwrap_or_default();
            bodies.retain(|body| examples.contains(body));
            assert!(!bodies.is_empty(), "{outcome:?}");
        }
    }
    assert_eq!(described, returned);
}

/// The names of a status's examples, and the bytes that they are as an response.
fn examples(operation: &Operation, status: u16) -> Vec<(String, String)> {
    let response = operation.responses()[&status];
    if response["content"].is_null() {
        return vec![(String::new(), String::new())];
    }
    let examples = response["content"]["application/json"]["examples"].as_object().unwrap().iter();
    let value = |example| operation.document.resolve(example)["value"].to_string();
    examples.map(|(name, example)| (name.clone(), value(example))).collect()
}

#[test]
fn request_is_malformed_by_document_and_contract_alike() {
    let document = Document::read();
    for fixture in Fixture::all() {
        let complaint = document.operation(&fixture.function).complaint(&fixture.json());
        let about = format!("{} {}: {complaint:?}", fixture.function, fixture.case);
        match (fixture.status(), fixture.case.as_str()) {
            (_, case) if BEYOND_SCHEMAS.contains(&case) => assert!(complaint.is_none(), "{about}"),
            // Of the JWKS a malformed id is just an unknown one.
            (404, case) if case.ends_with("malformed-app-id") || case.ends_with("no-path-parameters") => {
                assert!(complaint.is_some(), "{about}");
            }
            (400, _) | (_, "401-E4010-browser-fetch" | "401-E4010-browser-origin") => {
                assert!(complaint.is_some(), "{about}");
            }
            (401, _) => {}
            _ => assert!(complaint.is_none(), "{about}"),
        }
    }
}
