//! Third-party clients on the running stack, used as the documents say. Each prints its version.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use userdocks_test_support::{app_client::AppClient, command, http::send, project, stack::Stack};

use crate::{
    api::{call, field_names, keys, secret},
    verifiers::{Verifier, python},
};

/// boto3 finds the API's data in the places that docs/ARCHITECTURE.md names.
pub fn boto3_reads_data(stack: &Stack) {
    let AppClient { id: app, read_key: read, write_key: write, .. } = stack.create_app();
    let headers = |idempotency_key| {
        let (key, app) = (write.as_str(), app.as_str());
        [("x-api-key", key), ("x-api-key-type", "write"), ("x-client-id", app), ("idempotency-key", idempotency_key)]
    };
    let url = |resource: &str| format!("{}/api/v1/apps/{app}/{resource}", stack.api());
    let rotated = send("POST", &url("secrets"), &headers("a rotation"), None).0;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let created: Value = serde_json::from_str(&send("POST", &url("keys"), &headers("a key"), None).0.body).unwrap();
    let signing_key = created["items"][0]["uuid"].as_str().unwrap();
    let put = Some(r#"{"state":"in_use","force":true}"#);
    let activated = send("PUT", &url(&format!("keys/{signing_key}")), &headers("in use"), put).0;
    assert_eq!(activated.status, 200, "{}", activated.body);

    let mut ask = stack.ready.clone();
    ask["app"] = json!(app);
    ask["apiKey"] = json!(read);
    ask["signingKey"] = json!(signing_key);
    let found = run(command(python()).arg(project().join("tests/clients/boto3_reader.py")), &ask);

    let item = &found["app"];
    let names = [
        "createdAt",
        "isDisabled",
        "name",
        "pk",
        "previousSecretExpiresAt",
        "previousSecretVersionId",
        "secretVersionId",
        "signingKeys",
        "sk",
        "updatedAt",
        "version",
    ];
    assert_eq!(sorted_names(item), names);
    // boto3 read the table before this first use of the read key, so the record has no last use.
    let (listed, stored) = (keys(stack, &app, &read), item["signingKeys"].as_array().unwrap());
    assert_eq!((listed.len(), stored.len(), &listed[0]["uuid"]), (2, 2, &json!(signing_key)));
    for (listed, state) in listed.iter().zip(["in_use", "previous"]) {
        let stored = stored.iter().find(|stored| stored["uuid"] == listed["uuid"]).unwrap();
        assert_eq!((&stored["publicKey"], &stored["state"]), (&listed["value"], &json!(state)));
        assert_eq!((&stored["createdAt"], &stored["updatedAt"]), (&listed["createdAt"], &listed["updatedAt"]));
        assert_eq!(field_names(stored).len(), 5);
    }

    let api_key = &found["apiKey"];
    assert_eq!((&api_key["type"], &api_key["hint"]), (&json!("read"), &json!(read[read.len() - 4..])));
    let names = ["createdAt", "hint", "lifetimeSeconds", "name", "pk", "sk", "type", "updatedAt", "uuid"];
    assert_eq!(sorted_names(api_key), names);

    let current = secret(stack, &app, &read);
    assert_eq!(found["secret"], current.as_str());
    assert!(rotated.body.contains(&current), "the rotation returned this secret");
    let writes = found["writes"].as_array().unwrap();
    assert_eq!(writes.len(), 3);
    for write in writes {
        assert_eq!(sorted_names(write), ["answer", "pk", "request", "sk", "ttl"]);
    }
    for item in writes.iter().chain([item, api_key]) {
        let item = item.to_string();
        for value in [&current, &read, &write] {
            assert!(!item.contains(value.as_str()), "the table contains no secret and no API key");
        }
        assert!(!item.contains("PRIVATE"));
    }

    let mut pyjwt = Verifier::start(&python(), "pyjwt_verifier.py", &url("jwks.json"));
    let token = pyjwt.ask(&json!({"sign": found["privateKey"], "kid": signing_key}))["token"].clone();
    assert_eq!(pyjwt.ask(&json!({"verify": token, "with": listed[0]["value"]})), json!({}));
    assert!(pyjwt.ask(&json!({"verify": token, "with": listed[1]["value"]}))["error"].is_string());
    println!(
        "client: boto3 {} read the app, its API key, its writes and both secrets; PyJWT {} signed and verified with what it read",
        found["version"], pyjwt.about["version"]
    );
}

/// Node.js runs the two examples of the API's documentation unchanged, except for their placeholders.
pub fn fetch_runs_printed_examples(stack: &Stack) {
    let demo = &stack.ready["demoApp"];
    let (app, read) = (demo["uuid"].as_str().unwrap(), demo["readKey"].as_str().unwrap());
    let example = |file: &str, placeholders: Value| {
        let ran = run(command("node").arg(project().join("tests/clients/run_example.mjs")).arg(file), &placeholders);
        assert_eq!(ran["errors"], json!([]), "{file}");
        println!("client: {} {} ran {file}", ran["name"], ran["version"]);
        ran["logged"].clone()
    };
    let secrets = json!({
        "https://api.userdocks.com": stack.api(),
        ":appId": app,
        "'X-API-KEY': String": format!("'X-API-KEY': '{read}'"),
        "'X-CLIENT-ID': String": format!("'X-CLIENT-ID': '{app}'"),
        "// do something with the data": "console.log(data)",
    });
    assert_eq!(example("get-secrets.js", secrets), json!([[{"secret": secret(stack, app, read)}]]));
    let keys = json!({
        "https://api.userdocks.local:5000": stack.api(),
        "appUuid-value": app,
        "<api-key>": read,
    });
    let response: Value = serde_json::from_str(&call(stack, app, "keys", read).body).unwrap();
    assert_eq!(example("get-keys.js", keys), json!([[200, response]]));
}

/// Runs a client with a JSON input and returns its JSON output.
fn run(command: &mut Command, input: &Value) -> Value {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sorted_names(item: &Value) -> Vec<&str> {
    let mut names = field_names(item);
    names.sort_unstable();
    names
}
