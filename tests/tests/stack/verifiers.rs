//! Third-party verifiers of tokens during a rotation of the signing key.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Stdio},
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use userdocks_test_support::{app_client::AppClient, command, contract, http::send, project, stack::Stack};

use crate::api::{block_on, keys};

/// Returns the Python interpreter that has the clients' packages.
pub fn python() -> String {
    std::env::var("PYTHON").unwrap_or("python3".to_owned())
}

/// A verifier in another process, which reads commands and prints results as JSON lines.
pub struct Verifier {
    process: Child,
    results: BufReader<ChildStdout>,
    pub about: Value,
}

impl Verifier {
    pub fn start(program: &str, script: &str, jwks: &str) -> Self {
        let script = project().join("tests/verifiers").join(script);
        let mut process = command(program)
            .arg(script)
            .arg(jwks)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let results = BufReader::new(process.stdout.take().unwrap());
        let mut verifier = Self { process, results, about: Value::Null };
        verifier.about = verifier.result();
        verifier
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.process.stdin.as_mut().unwrap(), "{command}").unwrap();
        self.result()
    }

    fn result(&mut self) -> Value {
        let mut line = String::new();
        self.results.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} printed {line:?}: {error}", self.about))
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// PyJWT and jose, which cache the JWKS for its max-age, verify every token before, during and after a rotation. A client
/// that ignores the kid and uses items[0] of the keys route verifies every token of the key in use.
pub fn verifiers_do_not_notice_rotation(stack: &Stack) {
    let AppClient { id: app, read_key: read, write_key: write, .. } = stack.create_app();
    let jwks = format!("{}/api/v1/apps/{app}/jwks.json", stack.api());
    let mut pyjwt = Verifier::start(&python(), "pyjwt_verifier.py", &jwks);
    let jose = Verifier::start("node", "jose_verifier.mjs", &jwks);
    println!("verifiers: {} and {}", pyjwt.about, jose.about);

    let first = keys(stack, &app, &read)[0]["uuid"].as_str().unwrap().to_owned();
    let token_before = sign(stack, &mut pyjwt, &app, &first);
    let mut both = [pyjwt, jose];
    let in_use = || keys(stack, &app, &read)[0]["value"].clone();
    assert_verified(&mut both, &[(&token_before, &first)], &in_use());

    let headers = [("x-api-key", write.as_str()), ("x-api-key-type", "write"), ("x-client-id", app.as_str())];
    let path = |key: &str| format!("{}/api/v1/apps/{app}/keys{key}", stack.api());
    let (created, _) = send("POST", &path(""), &headers, None);
    let created: Value = serde_json::from_str(&created.body).unwrap();
    let second = created["items"][0]["uuid"].as_str().unwrap().to_owned();
    assert_verified(&mut both, &[(&token_before, &first)], &in_use());
    let put = Some(r#"{"state":"in_use"}"#);
    assert_eq!(send("PUT", &path(&format!("/{second}")), &headers, put).0, contract::failure("put-app-key", "E4090"));

    // 600 seconds pass for the key and for the verifiers, which still cache the key set without the key.
    make_standby_key_older(stack, &app);
    for verifier in &mut both {
        assert_eq!(verifier.ask(&json!({"advance": 600})), json!({}));
    }
    assert_eq!(send("PUT", &path(&format!("/{second}")), &headers, put).0.status, 200);
    let token_after = sign(stack, &mut both[0], &app, &second);
    assert_verified(&mut both, &[(&token_before, &first), (&token_after, &second)], &in_use());

    assert_eq!(send("DELETE", &path(&format!("/{first}")), &headers, None).0.status, 200);
    for verifier in &mut both {
        assert_eq!(verifier.ask(&json!({"advance": 601})), json!({}));
        assert_eq!(verifier.ask(&json!({"verify": token_after})), json!({"kid": second}), "{}", verifier.about);
        let revoked = verifier.ask(&json!({"verify": token_before}));
        assert!(revoked["error"].is_string(), "{}: a revoked key verifies no token: {revoked}", verifier.about);
    }
}

/// Fails unless each verifier verifies each token, and the key in use verifies the newest token.
fn assert_verified(verifiers: &mut [Verifier; 2], tokens: &[(&String, &str)], in_use: &Value) {
    for (token, kid) in tokens {
        for verifier in &mut *verifiers {
            assert_eq!(verifier.ask(&json!({"verify": token})), json!({"kid": kid}), "{}", verifier.about);
        }
    }
    let (newest, _) = tokens.last().unwrap();
    assert_eq!(verifiers[0].ask(&json!({"verify": newest, "with": in_use})), json!({}), "with items[0]");
}

/// Returns a token that is signed with the private key from Secrets Manager.
fn sign(stack: &Stack, pyjwt: &mut Verifier, app: &str, key: &str) -> String {
    let name = format!("{}/apps/{app}/signing-keys/{key}", stack.ready["secretPrefix"].as_str().unwrap());
    let private = block_on(async {
        let client = aws_sdk_secretsmanager::Client::new(&stack.sdk_config("secretsManager"));
        client.get_secret_value().secret_id(name).send().await.unwrap().secret_string.unwrap()
    });
    pyjwt.ask(&json!({"sign": private, "kid": key}))["token"].as_str().unwrap().to_owned()
}

fn make_standby_key_older(stack: &Stack, app: &str) {
    block_on(async {
        let client = aws_sdk_dynamodb::Client::new(&stack.sdk_config("dynamodb"));
        let update = client
            .update_item()
            .table_name(stack.ready["table"].as_str().unwrap())
            .key("pk", AttributeValue::S(format!("APP#{app}")))
            .key("sk", AttributeValue::S("APP".to_owned()))
            .update_expression("SET signingKeys[1].createdAt = :then")
            .expression_attribute_values(":then", AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned()));
        update.send().await.unwrap();
    });
}
