//! `userdocks-admin` on the running stack, and its effects on the API.

use serde_json::{Value, json};
use userdocks_test_support::{app_client::AppClient, contract, fixtures, project, stack::Stack};

use crate::api::{admin, admin_fails, admin_with_input, block_on, call, field_names, get, keys, secret};

pub fn app_create_creates_complete_app(stack: &Stack) {
    let created = admin(stack, &["app", "create", "--name", "Whole"]);
    assert_eq!(field_names(&created), ["app", "secret", "signingKey", "apiKeys"]);
    assert_eq!(field_names(&created["app"]), ["uuid", "name", "isDisabled", "createdAt", "updatedAt"]);
    assert_eq!((&created["app"]["name"], &created["app"]["isDisabled"]), (&json!("Whole"), &json!(false)));
    assert_eq!(field_names(&created["signingKey"]), ["uuid", "state"]);
    assert_eq!(created["signingKey"]["state"], "in_use");
    for (key, kind) in created["apiKeys"].as_array().unwrap().iter().zip(["read", "write"]) {
        assert_eq!(field_names(key), ["uuid", "type", "name", "value", "expiresAt"]);
        assert_eq!((&key["type"], &key["expiresAt"]), (&json!(kind), &Value::Null));
    }
    let (app, read) = (created["app"]["uuid"].as_str().unwrap(), created["apiKeys"][0]["value"].as_str().unwrap());
    assert_eq!(secret(stack, app, read).len(), 64);
    let listed = keys(stack, app, read);
    assert_eq!((listed.len(), &listed[0]["uuid"]), (1, &created["signingKey"]["uuid"]));
    assert_eq!(listed[0]["createdAt"], created["app"]["createdAt"]);
    // An RSA-4096 SubjectPublicKeyInfo has 550 bytes, which are 736 characters of base64.
    let pem = listed[0]["value"].as_str().unwrap();
    assert_eq!(pem.replace('\n', "").len(), "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----".len() + 736);
    let write = created["apiKeys"][1]["value"].as_str().unwrap();
    assert_eq!(call(stack, app, "keys", write), contract::failure("get-app-keys", "E4011"));
}

pub fn app_create_is_idempotent(stack: &Stack) {
    let id = "99999999-9999-4999-8999-999999999999";
    let create = ["app", "create", "--name", "Again", "--id", id];
    let first = admin(stack, &create);
    let again = admin(stack, &[&create[..], &["--if-not-exists"]].concat());
    assert_eq!(
        (&first["app"], &first["secret"], &first["signingKey"]),
        (&again["app"], &again["secret"], &again["signingKey"])
    );
    assert_eq!(again["apiKeys"][0]["value"], Value::Null, "a value is shown once");
    let (code, error) = admin_fails(stack, &create, "");
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains(id));
}

pub fn app_list_and_show(stack: &Stack) {
    let app = stack.create_app().id;
    let listed = admin(stack, &["app", "list"]);
    let of_list = listed["apps"].as_array().unwrap().iter().find(|listed| listed["uuid"] == app.as_str()).unwrap();
    let shown = admin(stack, &["app", "show", &app]);
    assert_eq!(field_names(&shown), ["app", "secret", "signingKeys", "apiKeys"]);
    assert_eq!(&shown["app"], of_list);
    assert_eq!(shown["apiKeys"].as_array().unwrap().len(), 2);
    let human = stack.admin(&["app", "show", &app.to_uppercase()], "");
    assert!(String::from_utf8(human.stdout).unwrap().contains(&format!("uuid        {app}\n")));
}

pub fn app_list_in_parts(stack: &Stack) {
    let created = [stack.create_app().id, stack.create_app().id, stack.create_app().id];
    let ids = |page: &Value| -> Vec<String> {
        page["apps"].as_array().unwrap().iter().map(|app| app["uuid"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = Vec::new();
    let mut page = admin(stack, &["app", "list", "--limit", "2"]);
    assert_eq!(field_names(&page), ["apps", "next"]);
    loop {
        all.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(ids(&page).len(), 2);
        page = admin(stack, &["app", "list", "--limit", "2", "--after", next]);
    }
    // Other tests create and delete apps at the same time.
    assert!(created.iter().all(|app| all.iter().filter(|listed| *listed == app).count() == 1), "{all:?}");
    assert_eq!(field_names(&admin(stack, &["app", "list"])), ["apps"]);
    let human = stack.admin(&["app", "list", "--limit", "1"], "");
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.starts_with("apps\n  uuid ") && human.lines().last().unwrap().starts_with("next  "), "{human}");
    assert_eq!(stack.admin(&["app", "list", "--limit", "0"], "").status.code(), Some(2));
}

pub fn app_export_and_import(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let (before, old) = (keys(stack, &app, &read), secret(stack, &app, &read));
    let exported = stack.admin(&["app", "export", "--app", &app], "");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.jsonl");
    std::fs::write(&file, exported.stdout).unwrap();
    let import = ["app", "import", file.to_str().unwrap()];
    assert_eq!(admin_fails(stack, &import, "").0, Some(1), "the app exists");
    admin(stack, &["app", "delete", &app, "--yes"]);
    assert_eq!(admin(stack, &import)["apps"][0]["isImported"], true);
    assert_eq!(keys(stack, &app, &read), before);
    assert_ne!(secret(stack, &app, &read), old);
    assert_eq!(stack.admin(&["app", "export"], "").status.code(), Some(2), "either --app or --all");
}

/// Repairs what is safe to repair: a version and a private key that no record names.
pub fn doctor(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let healthy = admin(stack, &["doctor", "--app", &app]);
    assert_eq!(healthy, json!({"findings": [], "repaired": 0, "remaining": 0}));
    let orphan = "appkey_00000000-0000-4000-8000-000000000000";
    block_on(async {
        let client = aws_sdk_secretsmanager::Client::new(&stack.sdk_config("secretsManager"));
        let prefix = format!("{}/apps/{app}", stack.ready["secretPrefix"].as_str().unwrap());
        let version = "00000000-0000-4000-8000-000000000001";
        let put = client.put_secret_value().secret_id(format!("{prefix}/secret")).secret_string("x");
        put.client_request_token(version).version_stages(version).send().await.unwrap();
        let name = format!("{prefix}/signing-keys/{orphan}");
        client.create_secret().name(name).secret_string("x").send().await.unwrap();
    });
    let kept = secret(stack, &app, &read);
    let all = ["doctor", "--app", &app, "--min-age", "0s"];
    let output = stack.admin(&[&["--output", "json"], &all[..]].concat(), "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "userdocks-admin: 2 findings remain\n");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(field_names(&found["findings"][0]), ["kind", "app", "id", "isRepaired", "repair", "detail"]);
    let repaired = admin(stack, &[&all[..], &["--repair"]].concat());
    assert_eq!((&repaired["repaired"], &repaired["remaining"]), (&json!(2), &json!(0)), "{repaired}");
    let mut kinds: Vec<_> =
        repaired["findings"].as_array().unwrap().iter().map(|found| found["kind"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, [json!("orphaned-private-key"), json!("orphaned-version")]);
    assert_eq!(admin(stack, &all), healthy);
    assert_eq!(secret(stack, &app, &read), kept);
}

pub fn app_disable_enable_delete(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    assert_eq!(admin(stack, &["app", "disable", &app])["app"]["isDisabled"], true);
    for (resource, function) in [("secrets", "get-app-secrets"), ("keys", "get-app-keys")] {
        assert_eq!(call(stack, &app, resource, &read), contract::failure(function, "E4030"));
    }
    assert_eq!(admin(stack, &["app", "enable", &app])["app"]["isDisabled"], false);
    assert_eq!(call(stack, &app, "secrets", &read).status, 200);
    assert_eq!(admin_fails(stack, &["app", "delete", &app], "").0, Some(2), "deletion requires --yes");
    assert_eq!(admin(stack, &["app", "delete", &app, "--yes"])["deleted"]["uuid"], app.as_str());
    assert_eq!(call(stack, &app, "secrets", &read), contract::failure("get-app-secrets", "E4010"));
    assert_eq!(admin_fails(stack, &["app", "show", &app], "").0, Some(1));
    // The secret is scheduled for deletion. Creating an app with the same id restores it.
    let again = admin(stack, &["app", "create", "--name", "Again", "--id", &app]);
    assert_eq!(secret(stack, &app, again["apiKeys"][0]["value"].as_str().unwrap()).len(), 64);
}

pub fn api_key_issue_list_revoke(stack: &Stack) {
    let app = stack.create_app().id;
    let issued = admin(stack, &["api-key", "issue", &app, "--type", "read", "--name", "ci", "--expires-in", "90d"]);
    let key = &issued["apiKey"];
    let names = "uuid name type hint status createdAt expiresAt revokedAt lastUsedAt issuedBy allowedCidrs value";
    assert_eq!(field_names(key).join(" "), names);
    let (id, value) = (key["uuid"].as_str().unwrap(), key["value"].as_str().unwrap());
    assert!(value.ends_with(key["hint"].as_str().unwrap()) && key["status"] == "active");
    assert!(key["expiresAt"].as_str().unwrap() > key["createdAt"].as_str().unwrap());
    assert_eq!(call(stack, &app, "secrets", value).status, 200);

    let listed = admin(stack, &["api-key", "list", &app]);
    let of_list = listed["apiKeys"].as_array().unwrap().iter().find(|listed| listed["uuid"] == id).unwrap();
    assert_eq!((of_list["name"].as_str(), of_list.get("value")), (Some("ci"), None));

    let revoked = admin(stack, &["api-key", "revoke", &app, id]);
    assert_eq!(revoked["apiKey"]["status"], "revoked");
    assert_eq!(call(stack, &app, "secrets", value), contract::failure("get-app-secrets", "E4010"));
    let again = admin(stack, &["api-key", "revoke", &app, id]);
    assert_eq!(again["apiKey"]["revokedAt"], revoked["apiKey"]["revokedAt"], "revoking again changes nothing");

    let other = "apikey_00000000-0000-4000-8000-000000000000";
    assert_eq!(admin_fails(stack, &["api-key", "revoke", &app, other], "").0, Some(1));
    assert_eq!(admin_fails(stack, &["api-key", "issue", &other[7..], "--type", "read"], "").0, Some(1));
}

pub fn api_key_import(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let value = format!("legacy key of {app}");
    let import = ["api-key", "import", &app, "--type", "read", "--name", "legacy"];
    let imported = admin_with_input(stack, &import, &format!("{value}\n"));
    assert_eq!((&imported["apiKey"]["name"], imported["apiKey"].get("value")), (&json!("legacy"), None));
    assert_eq!(call(stack, &app, "secrets", &value).status, 200);
    for refused in [value.as_str(), "too short", &read[..read.len() - 1], &"x".repeat(257), ""] {
        let (code, error) = admin_fails(stack, &import, refused);
        assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
        assert!(refused.is_empty() || !error.contains(refused), "a key is never printed");
    }
}

pub fn secret_set_and_rotate(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let first = secret(stack, &app, &read);
    let rotated = admin(stack, &["secret", "rotate", &app]);
    let second = secret(stack, &app, &read);
    assert_ne!(first, second);
    assert_eq!(
        rotated["secret"],
        admin(stack, &["app", "show", &app])["secret"],
        "both commands show when the overlap ends"
    );
    let own = "a secret of \"our\" own\\ with\nlines, 🗝";
    admin_with_input(stack, &["secret", "set", &app], &format!("{own}\n"));
    assert_eq!(secret(stack, &app, &read), own);
    assert_eq!(admin_fails(stack, &["secret", "set", &app], "\n").0, Some(1), "a secret is not empty");
    for _ in 0..25 {
        admin(stack, &["secret", "rotate", &app, "--force"]);
    }
    assert_eq!(secret(stack, &app, &read).len(), 64);
}

pub fn signing_key_import_and_list(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let own = keys(stack, &app, &read)[0].clone();
    let pem = std::fs::read_to_string(project().join("shared/src/domain/testdata/rsa-2048.pem")).unwrap();
    let imported = admin_with_input(stack, &["signing-key", "import", &app], &pem);
    assert_eq!(imported["signingKey"]["state"], "in_use");
    let listed = keys(stack, &app, &read);
    assert_eq!(
        (listed[0]["value"].as_str(), &listed[0]["uuid"]),
        (Some(pem.as_str()), &imported["signingKey"]["uuid"])
    );
    assert_eq!((listed.len(), &listed[1]["uuid"]), (2, &own["uuid"]));
    let states: Vec<_> = admin(stack, &["signing-key", "list", &app])["signingKeys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["previous", "in_use"]);
    for other in ["ec-p256.pem", "rsa-1024.pem"] {
        let pem = std::fs::read_to_string(project().join("shared/src/domain/testdata").join(other)).unwrap();
        assert_eq!(admin_fails(stack, &["signing-key", "import", &app], &pem).0, Some(1));
    }
    assert_eq!(keys(stack, &app, &read).len(), 2);
}

pub fn exit_codes(stack: &Stack) {
    for usage in [&["app"][..], &["app", "show", "no-uuid"], &["nonsense"], &["app", "list", "--output", "xml"]] {
        assert_eq!(stack.admin(usage, "").status.code(), Some(2), "{usage:?}");
    }
    let failed = stack.admin(&["--table", "no-such-table", "app", "list"], "");
    assert_eq!((failed.status.code(), failed.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("ResourceNotFoundException"));
    assert_eq!(stack.admin(&["--help"], "").status.code(), Some(0));
}

pub fn table_create(stack: &Stack) {
    assert_eq!(admin(stack, &["table", "create", "--if-not-exists"])["table"]["created"], false);
    assert_eq!(admin_fails(stack, &["table", "create"], "").0, Some(1));
    assert_eq!(admin(stack, &["--table", "another", "table", "create"])["table"]["created"], true);
}

pub fn signing_key_create_activate_revoke(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let first = keys(stack, &app, &read)[0]["uuid"].as_str().unwrap().to_owned();
    let created = admin(stack, &["signing-key", "create", &app]);
    assert_eq!(created["signingKey"]["state"], "standby");
    let second = created["signingKey"]["uuid"].as_str().unwrap();
    let (code, error) = admin_fails(stack, &["signing-key", "activate", &app, second], "");
    assert!(code == Some(1) && error.contains("600 seconds"), "{error}");
    let activated = admin(stack, &["signing-key", "activate", &app, second, "--force"]);
    assert_eq!(activated["signingKey"]["state"], "in_use");
    assert_eq!(keys(stack, &app, &read)[0]["uuid"], second);
    assert_eq!(admin_fails(stack, &["signing-key", "revoke", &app, second], "").0, Some(1), "the key is in use");
    assert_eq!(admin(stack, &["signing-key", "revoke", &app, &first])["signingKey"]["state"], "revoked");
    assert_eq!(keys(stack, &app, &read).len(), 1);
    assert_eq!(admin_fails(stack, &["signing-key", "activate", &app, &first], "").0, Some(1), "the key is revoked");
    admin(stack, &["signing-key", "revoke", &app, second, "--force"]);
    assert!(keys(stack, &app, &read).is_empty());
}

pub fn secret_overlap(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let both = || {
        let headers = [("x-api-key", read.as_str()), ("x-api-key-type", "read"), ("x-client-id", app.as_str())];
        let (response, _) = get(&format!("{}/api/v1/apps/{app}/secrets?include=previous", stack.api()), &headers);
        serde_json::from_str::<Value>(&response.body).unwrap()["data"].clone()
    };
    let first = secret(stack, &app, &read);
    let rotated = admin(stack, &["secret", "rotate", &app, "--overlap", "1h"]);
    assert_eq!(both()["previousSecret"], first);
    assert_eq!(both()["previousExpiresAt"], rotated["secret"]["previousExpiresAt"]);
    assert_eq!(admin(stack, &["secret", "end-overlap", &app])["secret"]["previousExpiresAt"], Value::Null);
    assert_eq!(both()["previousSecret"], Value::Null);
    assert_eq!(admin_fails(stack, &["secret", "rotate", &app, "--overlap", "31d"], "").0, Some(1));
}

pub fn api_key_rotate(stack: &Stack) {
    let AppClient { id: app, read_key: read, .. } = stack.create_app();
    let of_type = |kind: &str| {
        let listed = admin(stack, &["api-key", "list", &app]);
        let keys = listed["apiKeys"].as_array().unwrap().clone();
        keys.into_iter().find(|key| key["type"] == kind && key["status"] == "active").unwrap()
    };
    let old = of_type("read")["uuid"].as_str().unwrap().to_owned();
    let rotated = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "2h"]);
    let new = rotated["apiKey"]["value"].as_str().unwrap();
    assert_eq!((&rotated["apiKey"]["type"], &rotated["apiKey"]["name"]), (&json!("read"), &json!("read")));
    assert_eq!((&rotated["previous"]["uuid"], &rotated["previous"]["status"]), (&json!(old), &json!("active")));
    assert!(rotated["previous"]["expiresAt"].is_string());
    for key in [&read, new] {
        assert_eq!(call(stack, &app, "secrets", key).status, 200, "both keys are accepted during the overlap");
    }
    let listed = admin(stack, &["api-key", "list", &app]);
    assert!(
        listed["apiKeys"].as_array().unwrap().iter().all(|key| key["lastUsedAt"].is_string() || key["type"] == "write")
    );

    let again = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "30d"]);
    assert_eq!(again["previous"]["expiresAt"], rotated["previous"]["expiresAt"], "an expiry is never extended");
    let ended = admin(stack, &["api-key", "rotate", &app, &old, "--overlap", "0s"]);
    assert_eq!(ended["previous"]["status"], "expired");
    assert_eq!(call(stack, &app, "secrets", &read), contract::failure("get-app-secrets", "E4010"));
    let (code, error) = admin_fails(stack, &["api-key", "rotate", &app, &old], "");
    assert!(code == Some(1) && error.contains("expired"), "{error}");
    let write = of_type("write")["uuid"].as_str().unwrap().to_owned();
    admin(stack, &["api-key", "revoke", &app, &write]);
    assert!(admin_fails(stack, &["api-key", "rotate", &app, &write], "").1.contains("revoked"));
}

pub fn corrupt_record_hides_no_other(stack: &Stack) {
    let app = fixtures::CORRUPT_APP;
    let issued = admin(stack, &["api-key", "issue", app, "--type", "read"]);
    let output = stack.admin(&["--output", "json", "api-key", "list", app], "");
    assert_eq!(output.status.code(), Some(1));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["apiKeys"][0]["uuid"], issued["apiKey"]["uuid"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().filter(|line| line.ends_with("attribute type is missing")).count(), 2, "{errors}");
    let revoked = admin(stack, &["api-key", "revoke", app, issued["apiKey"]["uuid"].as_str().unwrap()]);
    assert_eq!(revoked["apiKey"]["status"], "revoked");
}
