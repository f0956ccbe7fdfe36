//! Checks that docs/openapi.yaml describes all routes of the template and all responses of the contract, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::json;
use userdocks_test_support::{
    contract::{self, Fixture, with_sample_values, without_new_values},
    project,
};

use super::document::Document;

/// Failures without a fixture, because they need several requests. The tests in `life_cycle` cover them.
const AFTER_OTHER_REQUESTS: [(&str, &str); 3] =
    [("post-app-keys", "E4090"), ("post-app-secrets", "E4090"), ("delete-previous-app-secret", "E4090")];

/// Malformed requests that no schema rejects. They have a repeated field, a wrong length in bytes or a wrong value of a
/// network. Others break rules that depend on the caller or the replaced key.
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
    let contract = contract::ROUTES.map(|of| (of.function.to_owned(), of.method.to_owned(), of.path.to_owned()));
    assert_eq!(BTreeSet::from(contract), deployed);
}

#[test]
fn description_begins_with_key_type_of_contract() {
    for operation in Document::read().operations() {
        let key = match contract::Route::of(operation.function()).key_type {
            Some(key_type) => format!("a {key_type} key"),
            None => "no API key".to_owned(),
        };
        let description = operation.item["description"].as_str().unwrap();
        assert!(description.starts_with(&format!("Needs {key}")), "{}: {description}", operation.function());
    }
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
        assert_eq!(operation.item.get("security"), public.as_ref(), "{}", operation.function());
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
            for (name, body) in operation.examples(status) {
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
        // Many fixtures differ in a few fields only, so that some examples are enough.
        if outcome.1 < 400 && outcome.0.contains("api-key") || outcome.0 == "post-leaks" {
            let examples = described.get(outcome).cloned().unwrap_or_default();
            bodies.retain(|body| examples.contains(body));
            assert!(!bodies.is_empty(), "{outcome:?}");
        }
    }
    assert_eq!(described, returned);
}

#[test]
fn request_is_malformed_by_document_and_contract_alike() {
    let document = Document::read();
    for fixture in Fixture::all() {
        let violation = document.operation(&fixture.function).violation(&fixture.json());
        let about = format!("{} {}: {violation:?}", fixture.function, fixture.case);
        match (fixture.status(), fixture.case.as_str()) {
            (_, case) if BEYOND_SCHEMAS.contains(&case) => assert!(violation.is_none(), "{about}"),
            // For the JWKS, a malformed id is an unknown one.
            (404, case) if case.ends_with("malformed-app-id") || case.ends_with("no-path-parameters") => {
                assert!(violation.is_some(), "{about}");
            }
            (400, _) | (_, "401-E4010-browser-fetch" | "401-E4010-browser-origin") => {
                assert!(violation.is_some(), "{about}");
            }
            (401, _) => {}
            _ => assert!(violation.is_none(), "{about}"),
        }
    }
}
