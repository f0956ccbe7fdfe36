//! Values and files from standard input.

use std::{fs, path::Path};

use serde_json::Value;
use userdocks::domain::{ApiKeyType, AppId, PublicKey, Timestamp};
use userdocks_test_support::{
    app::{RSA_2048, TestApp, TestKey},
    aws::FakeAws,
};

use crate::commands::{assert_refused, create_app, id, run_with_input, text};

#[tokio::test(flavor = "multi_thread")]
async fn unprintable_name_is_rejected_and_stored_one_escaped() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    for name in ["a\nforged", "\u{1b}[2J", "\u{202e}txt", "", &"é".repeat(101)] {
        assert_refused(&aws.admin(&["app", "create", "--name", name]).output().await.unwrap(), "a name has ");
        for command in ["issue", "import"] {
            let arguments = ["api-key", command, &app, "--type", "read", "--name", name];
            assert_refused(&run_with_input(&aws, &arguments, b"a key from elsewhere").await, "a name has ");
        }
    }
    let (_, issued, _) = aws.run_admin(&["api-key", "issue", &app, "--type", "write"]).await;
    assert_eq!(issued["apiKey"]["name"], "write", "the type is the default");

    let name = "evil\n  11111111-1111-4111-8111-111111111111  forged\u{1b}[1A\u{9b}\u{202e}";
    let (stored, _) = TestApp::builder().name(name).create_record(&aws.services()).await;
    for arguments in [
        &["app", "list"][..],
        &["app", "show", &stored.id.to_string()],
        &["app", "export", "--all"],
        &["--output", "json", "app", "list"],
        &["app", "disable", &stored.id.to_string()],
    ] {
        let output = aws.admin(arguments).output().await.unwrap();
        let printed = text(&output.stdout);
        assert!(printed.contains("evil\\") && printed.contains("\\u202e"), "{arguments:?}: {printed}");
        assert!(!printed.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{arguments:?}: {printed}");
        assert!(!printed.lines().any(|line| line.trim_start().starts_with("11111111-")), "{arguments:?}: {printed}");
    }
    let (_, listed, _) = aws.run_admin(&["app", "show", &stored.id.to_string()]).await;
    assert_eq!(listed["app"]["name"], name, "JSON keeps the name");

    let exported = aws.admin(&["app", "export", "--all"]).output().await.unwrap();
    let target = FakeAws::start().await;
    assert_refused(&run_with_input(&target, &["app", "import", "-"], &exported.stdout).await, "no control characters");
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetime_is_at_least_one_minute() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    for time in ["0s", "59s", "59999ms", "0M"] {
        let issue = ["api-key", "issue", app, "--type", "read", "--expires-in", time];
        let rotate = ["api-key", "rotate", app, key, "--expires-in", time];
        for arguments in [&issue[..], &rotate] {
            assert_refused(&aws.admin(arguments).output().await.unwrap(), "at least a minute");
        }
    }
    for (time, shortest, longest) in [("1m", 60, 60), ("2m", 120, 120), ("1M", 28 * 86_400, 31 * 86_400)] {
        let (code, issued, _) = aws.run_admin(&["api-key", "issue", app, "--type", "read", "--expires-in", time]).await;
        assert_eq!(code, 0);
        let lifetime = lifetime(&issued["apiKey"]).unwrap();
        assert!((shortest..=longest).contains(&lifetime), "{time}: {lifetime} seconds");
    }
    assert_refused(&aws.admin(&["secret", "rotate", app, "--overlap", "1ms"]).output().await.unwrap(), "whole seconds");
    assert_eq!(aws.run_admin(&["secret", "rotate", app, "--overlap", "0s"]).await.0, 0);
    assert_refused(&aws.admin(&["secret", "rotate", app, "--overlap", "31d"]).output().await.unwrap(), "30 days");
    for command in [&["api-key", "issue"][..], &["api-key", "rotate"], &["secret", "set"], &["doctor"], &[]] {
        let help = text(&aws.admin(&[command, &["--help"]].concat()).output().await.unwrap().stdout);
        assert!(help.contains("minute") && help.contains("month"), "{help}");
    }
}

fn lifetime(key: &Value) -> Option<u64> {
    let time = |field: &str| Some(key[field].as_str()?.parse::<Timestamp>().unwrap());
    Some(time("expiresAt")?.since(time("createdAt")?).as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_api_key_keeps_its_lifetime() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    for (lifetimes, options) in [
        ((Some("2h"), Some(7200)), &[][..]),
        ((Some("2h"), Some(180)), &["--expires-in", "3m"]),
        ((Some("2h"), None), &["--never-expires"]),
        ((None, None), &[]),
        ((None, Some(180)), &["--expires-in", "3m"]),
    ] {
        let (before, after) = lifetimes;
        let mut issue = vec!["api-key", "issue", &app, "--type", "read"];
        issue.extend(before.iter().flat_map(|time| ["--expires-in", time]));
        let (_, issued, _) = aws.run_admin(&issue).await;
        let rotate = [&["api-key", "rotate", &app, id(&issued["apiKey"])], options].concat();
        let (code, rotated, errors) = aws.run_admin(&rotate).await;
        assert_eq!((code, lifetime(&rotated["apiKey"])), (0, after), "{rotate:?}: {errors}");
    }
    let both = [
        "api-key",
        "rotate",
        &app,
        "apikey_11111111-1111-4111-8111-111111111111",
        "--expires-in",
        "1h",
        "--never-expires",
    ];
    assert_eq!(aws.run_admin(&both).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_secret_or_key_is_not_imported_twice() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    let set = ["secret", "set", &app];
    assert!(run_with_input(&aws, &set, b"the-secret\n").await.status.success());
    let (_, before, _) = aws.run_admin(&["app", "show", &app]).await;
    assert_refused(&run_with_input(&aws, &set, b"the-secret").await, "already has this value");
    assert_eq!(aws.run_admin(&["app", "show", &app]).await.1, before, "a refused command keeps the overlap");
    assert!(run_with_input(&aws, &set, b"another").await.status.success());
    assert!(run_with_input(&aws, &set, b"the-secret").await.status.success(), "the previous secret can be set again");

    let import = ["api-key", "import", &app, "--type", "read"];
    assert!(run_with_input(&aws, &import, b"a key from elsewhere").await.status.success());
    assert_refused(&run_with_input(&aws, &import, b"a key from elsewhere\n").await, "already has it");

    let import = ["signing-key", "import", &app];
    let imported = run_with_input(&aws, &import, RSA_2048.as_bytes()).await;
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    let again = run_with_input(&aws, &import, RSA_2048.replace('\n', "\r\n").as_bytes()).await;
    assert_refused(&again, &format!("already has it as {} (in_use)", id(&imported["signingKey"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_secret_is_set_with_warning() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    for (secret, warning) in [
        ("secret\n", ""),
        ("two\nlines\n", ""),
        ("  \n", "the secret is blank"),
        ("\u{feff}secret\n", "byte order mark"),
        ("secret\n\n", "ends with a line break"),
        (" secret", "white space"),
    ] {
        let output = run_with_input(&aws, &["secret", "set", &app], secret.as_bytes()).await;
        let errors = text(&output.stderr);
        assert!(output.status.success() && errors.contains(warning), "{secret:?}: {errors}");
        assert_eq!(errors.lines().count(), usize::from(!warning.is_empty()), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_of_any_length_is_read_or_refused() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    let set = ["secret", "set", &app];
    let longest = "x".repeat(65_536);
    assert!(run_with_input(&aws, &set, (longest.clone() + "\r\n").as_bytes()).await.status.success());
    assert_refused(&run_with_input(&aws, &set, (longest.clone() + "x").as_bytes()).await, "65536");
    assert_refused(&run_with_input(&aws, &set, longest.repeat(9).as_bytes()).await, "65536");
    assert_refused(&run_with_input(&aws, &set, b"").await, "1 to 65536");
    assert_refused(&run_with_input(&aws, &set, b"\xff\xfes\0").await, "not UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_key_pasted_with_more_is_recognised() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let key = created["apiKeys"][0]["value"].as_str().unwrap();
    for pasted in [format!("\"{key}\""), format!("'{key}'\n"), format!("Bearer {key}\n"), format!("x-api-key: {key}")] {
        let import = ["api-key", "import", id(&created["app"]), "--type", "read"];
        let output = run_with_input(&aws, &import, pasted.as_bytes()).await;
        assert_refused(&output, "other characters around a key of this system");
        assert!(!text(&output.stderr).contains(key));
    }
}

/// Returns a function that copies an exported app with a new id and new API keys.
async fn exported(aws: &FakeAws) -> impl Fn() -> String {
    let app = create_app(aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    let line = text(&aws.admin(&["app", "export", "--app", &app]).output().await.unwrap().stdout);
    let line: Value = serde_json::from_str(&line).unwrap();
    move || {
        let mut copy = line.clone();
        copy["uuid"] = AppId::random().to_string().into();
        for key in copy["apiKeys"].as_array_mut().unwrap() {
            key["sha256"] = TestKey::new(ApiKeyType::Read).record.hash.as_str().into();
        }
        copy.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_reads_pipe_and_dash() {
    let aws = FakeAws::start().await;
    let line = exported(&aws).await;
    for file in ["-", "/dev/stdin"] {
        let target = FakeAws::start().await;
        for input in [
            format!("{}\n{}\n", line(), line()),
            format!("\u{feff}{}\r\n\r\n{}\r\n", line(), line()),
            format!("\n{}\n \t\n{}", line(), line()),
        ] {
            let output = run_with_input(&target, &["app", "import", file], input.as_bytes()).await;
            assert!(output.status.success(), "{file}: {}", text(&output.stderr));
            let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(imported["apps"].as_array().unwrap().len(), 2);
        }
        let before = target.run_admin(&["app", "list"]).await.1;
        for (wrong, cause) in
            [(b"{}".to_vec(), "line 4: missing field"), (b"\xff".to_vec(), "line 4: it is not valid UTF-8")]
        {
            let input = [format!("{}\r\n\n\n", line()).into_bytes(), wrong].concat();
            assert_refused(&run_with_input(&target, &["app", "import", file], &input).await, cause);
        }
        assert_eq!(target.run_admin(&["app", "list"]).await.1, before, "nothing was imported");
    }
}

/// A PEM is imported if both OpenSSL and Node.js read it, and as the same key.
#[test]
fn pem_that_openssl_and_node_read_is_imported() {
    let body: String = RSA_2048.lines().filter(|line| !line.starts_with('-')).collect();
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let spki = |body: &str| block("PUBLIC KEY", body);
    let wrapped = |body: &str, width: usize| {
        let lines: Vec<_> = body.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
        lines.join("\n")
    };
    let decode = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let encode = |der: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let der = decode(&body);
    // An SPKI in DER: `30 82 hh ll` is the whole, `30 0d …` is rsaEncryption and NULL, `03 82 hh ll 00` is the key.
    let pkcs1 = &der[24..];
    let no_null = [&[0x30, 0x82, 1, 0x20, 0x30, 11], &der[6..17], &der[19..]].concat();
    let forms = [
        ("as it is", RSA_2048.to_owned(), true),
        ("one line", spki(&body), true),
        ("wide lines", spki(&wrapped(&body, 76)), true),
        ("narrow lines", spki(&wrapped(&body, 7)), true),
        ("CRLF", RSA_2048.replace('\n', "\r\n"), true),
        ("byte order mark", format!("\u{feff}{RSA_2048}"), true),
        ("text before", format!("Our key:\n# 2026\n\n{RSA_2048}"), true),
        ("text after", format!("{RSA_2048}\nRegards\n"), true),
        ("no line end", RSA_2048.trim_end().to_owned(), true),
        ("white space in lines", RSA_2048.replace("\n", " \t\n").replacen("MII", "M II", 1), true),
        ("blank line inside", spki(&format!("\n{}", wrapped(&body, 64))), true),
        ("two keys", format!("{RSA_2048}{RSA_2048}"), true),
        ("PKCS#1", block("RSA PUBLIC KEY", &wrapped(&encode(pkcs1), 64)), true),
        ("PKCS#1 in one line", block("RSA PUBLIC KEY", &encode(pkcs1)), true),
        ("no NULL", spki(&encode(&no_null)), true),
        ("more DER after", spki(&encode(&[&der, &b"xx"[..]].concat())), true),
        ("length longer than necessary", spki(&encode(&[&[0x30, 0x83, 0], &der[2..]].concat())), true),
        ("open length", spki(&encode(&[&[0x30, 0x80], &der[4..], &[0, 0]].concat())), true),
        ("NUL after", format!("{RSA_2048}\0"), true),
        ("only PKCS#1's label", RSA_2048.replace("PUBLIC KEY", "RSA PUBLIC KEY"), false),
        ("only SPKI's label", spki(&encode(pkcs1)), false),
        ("cut", RSA_2048[..200].to_owned(), false),
        ("another alphabet", spki(&body.replace('+', "-").replace('/', "_")), false),
        ("elliptic curve", include_str!("../../../shared/src/domain/testdata/ec-p256.pem").to_owned(), false),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (form, pem, is_read_by_both) in forms {
        let file = directory.path().join("key.pem");
        fs::write(&file, &pem).unwrap();
        let (openssl, node) = (openssl(&file), node(&file));
        assert_eq!(openssl.is_some() && node.is_some(), is_read_by_both, "{form}: {openssl:?}, {node:?}");
        let imported = PublicKey::import(&pem);
        assert_eq!(imported.is_ok(), is_read_by_both, "{form}: {imported:?}");
        if let Ok(imported) = imported {
            assert_eq!(
                (openssl.as_deref(), node.as_deref()),
                (Some(imported.as_pem()), Some(imported.as_pem())),
                "{form}"
            );
        }
    }
}

/// Returns the RSA key as OpenSSL writes it.
fn openssl(file: &Path) -> Option<String> {
    let output = std::process::Command::new("openssl").args(["rsa", "-pubin", "-in"]).arg(file).output().unwrap();
    output.status.success().then(|| text(&output.stdout))
}

fn node(file: &Path) -> Option<String> {
    let script = "const key = require('crypto').createPublicKey(require('fs').readFileSync(process.argv[1]));
        if (key.asymmetricKeyType !== 'rsa') process.exit(1);
        process.stdout.write(key.export({ type: 'spki', format: 'pem' }));";
    let output = std::process::Command::new("node").args(["-e", script]).arg(file).output().unwrap();
    output.status.success().then(|| text(&output.stdout))
}
