//! Output into closed pipes and full disks, and prompts at a terminal.

use std::{
    fs::{self, File},
    io::{Read, Write},
    process::Stdio,
    sync::Mutex,
};

use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};
use tokio::process::Command;
use userdocks::domain::AppId;
use userdocks_test_support::{
    app::RSA_2048,
    aws::{FakeAws, Reply},
    binary,
};

use crate::commands::{assert_refused, create_app, id, text, writer_without_reader};

#[tokio::test(flavor = "multi_thread")]
async fn new_key_is_not_created_for_closed_output() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    let _ = aws.take_operations();
    for arguments in [
        &["app", "create", "--name", "Test"][..],
        &["api-key", "issue", app, "--type", "read"],
        &["api-key", "rotate", app, key],
    ] {
        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(binary("userdocks-admin")).args(arguments);
        closed.env_clear().envs(aws.environment().variables()).stdin(Stdio::null());
        assert_refused(
            &closed.output().await.unwrap(),
            "cannot write standard output: it is closed; nothing was changed",
        );

        let mut full = aws.admin(arguments);
        let full = full.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        assert_refused(&full.wait_with_output().await.unwrap(), "No space left on device; nothing was changed");

        let mut broken = aws.admin(arguments);
        let broken = broken.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
        assert_refused(&broken.wait_with_output().await.unwrap(), "its reader has closed it; nothing was changed");
        assert!(aws.take_operations().is_empty(), "{arguments:?}");
        // Output into /dev/null is deliberate.
        assert!(aws.admin(arguments).stdout(Stdio::null()).status().await.unwrap().success());
        let _ = aws.take_operations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_key_whose_printing_fails_is_named() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let (app, key) = (id(&created["app"]), id(&created["apiKeys"][0]));
    let known = aws.services().store.list_api_keys(app.parse().unwrap()).await.unwrap().0;
    for arguments in [
        &["app", "create", "--name", "Test"][..],
        &["api-key", "issue", app, "--type", "read"],
        &["api-key", "rotate", app, key],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        let reader = Mutex::new(Some(reader));
        // The reader closes the pipe while the key is created.
        aws.intercept(move |call| {
            if call.operation == "TransactWriteItems" {
                reader.lock().unwrap().take();
            }
            Reply::Forward
        });
        let mut command = aws.admin(arguments);
        let process = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let output = process.wait_with_output().await.unwrap();
        assert_refused(&output, "its value is lost");
        let errors = text(&output.stderr);
        let revocations: Vec<Vec<&str>> = errors
            .lines()
            .filter_map(|line| line.split_once("`userdocks-admin ")?.1.strip_suffix('`'))
            .map(|command| command.split(' ').collect())
            .collect();
        assert_eq!(revocations.len(), if arguments[1] == "create" { 2 } else { 1 }, "{errors}");
        for revocation in revocations {
            let (code, revoked, errors) = aws.run_admin(&revocation).await;
            assert_eq!((code, &revoked["apiKey"]["status"]), (0, &json!("revoked")), "{errors}");
            assert!(
                known.iter().all(|key| key.id.to_string() != id(&revoked["apiKey"])),
                "only the new key is revoked"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_into_closed_pipe_ends_quietly() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let app = id(&created["app"]);
    for arguments in [
        &["app", "list"][..],
        &["app", "show", app],
        &["app", "export", "--all"],
        &["api-key", "list", app],
        &["signing-key", "list", app],
        &["doctor"],
    ] {
        let mut command = aws.admin(arguments);
        let process = command.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
        let output = process.wait_with_output().await.unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()), "{arguments:?}");
    }
    // A change that cannot be printed is an error.
    let mut command = aws.admin(&["app", "disable", app]);
    let process = command.stdout(writer_without_reader()).stderr(Stdio::piped()).spawn().unwrap();
    assert_refused(&process.wait_with_output().await.unwrap(), "its reader has closed it");
}

#[tokio::test]
async fn completions_of_each_shell_name_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        // Completions need no settings.
        let mut command = Command::new(binary("userdocks-admin"));
        let output = command.args(["completions", shell]).env_clear().output().await.unwrap();
        let script = text(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", text(&output.stderr));
        for name in ["userdocks-admin", "end-overlap", "if-not-exists"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

/// A pseudo-terminal: the command has one end and the test the other.
struct Terminal {
    master: File,
    shown: String,
}

impl Terminal {
    /// Starts the command. Its standard output is a pipe.
    fn start(command: &mut Command) -> (Self, tokio::process::Child) {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        command.stdin(terminal.slave.try_clone().unwrap()).stderr(terminal.slave).stdout(Stdio::piped());
        let process = command.spawn().unwrap();
        // Reading ends when the process closes the last handles to its end.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        (Self { master: terminal.master.into(), shown: String::new() }, process)
    }

    /// Waits for a prompt and types an input.
    fn type_at(&mut self, question: &str, typed: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(question) {
            assert!(self.read(), "{question}: {}", self.shown);
        }
        self.master.write_all(typed.as_bytes()).unwrap();
    }

    fn read(&mut self) -> bool {
        let mut part = [0; 1024];
        // Fails with EIO once the command has ended.
        let count = self.master.read(&mut part).unwrap_or_default();
        self.shown.push_str(&String::from_utf8_lossy(&part[..count]));
        count > 0
    }

    fn rest(mut self) -> String {
        while self.read() {}
        self.shown
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_typed_twice_and_not_shown() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    let version = async || aws.run_admin(&["app", "show", &app]).await.1["secret"]["versionId"].clone();
    let first = version().await;
    for (typed, again, code, shown) in [
        ("typed-secret\n", "typed-other\n", 1, "differ"),
        ("typed-secret\n", "\u{3}", 1, "interrupted"),
        (&("typed-".to_owned() + &"x".repeat(5_000) + "\n"), "", 1, "pipe a longer one in"),
        ("typed-secret\n", "typed-secret\n", 0, ""),
    ] {
        let (mut terminal, process) = Terminal::start(&mut aws.admin(&["secret", "set", &app]));
        terminal.type_at("New secret: ", typed);
        if !again.is_empty() {
            terminal.type_at("New secret again: ", again);
        }
        let output = tokio::task::spawn_blocking(|| terminal.rest());
        let (ended, all) = (process.wait_with_output().await.unwrap(), output.await.unwrap());
        assert_eq!(ended.status.code(), Some(code), "{all}");
        assert!(all.contains(shown) && !all.contains("typed-"), "{all}");
        assert_eq!(version().await != first, code == 0);
    }
    let current = version().await.as_str().unwrap().parse().unwrap();
    let secret = aws.services().secrets.app_secret(app.parse().unwrap(), current).await.unwrap();
    assert_eq!(secret.expose(), "typed-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_at_terminal_prompt_for_input() {
    let aws = FakeAws::start().await;
    let app = create_app(&aws).await["app"]["uuid"].as_str().unwrap().to_owned();
    let key = ["api-key", "import", &app, "--type", "read"];
    let (mut terminal, process) = Terminal::start(&mut aws.admin(&key));
    terminal.type_at("API key: ", "a-key-from-elsewhere\n");
    let output = tokio::task::spawn_blocking(|| terminal.rest());
    assert!(process.wait_with_output().await.unwrap().status.success());
    assert!(!output.await.unwrap().contains("elsewhere"));

    let (mut terminal, process) = Terminal::start(&mut aws.admin(&["signing-key", "import", &app]));
    terminal.type_at("Paste the public key (PEM), then press Enter and Ctrl-D", &format!("{RSA_2048}\u{4}"));
    let output = tokio::task::spawn_blocking(|| terminal.rest());
    assert!(process.wait_with_output().await.unwrap().status.success());
    output.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_to_find_is_typed_and_not_shown() {
    let aws = FakeAws::start().await;
    let created = create_app(&aws).await;
    let key = created["apiKeys"][0]["value"].as_str().unwrap();
    let wrong = format!("{key}x");
    for (typed, code) in [(key, 0), (&wrong, 1)] {
        let (mut terminal, process) = Terminal::start(&mut aws.admin(&["--output", "json", "api-key", "find"]));
        terminal.type_at("API key: ", &format!("{typed}\n"));
        let shown = tokio::task::spawn_blocking(|| terminal.rest());
        let (output, shown) = (process.wait_with_output().await.unwrap(), shown.await.unwrap());
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(!shown.contains(key) && shown.contains("checksum") == (code == 1), "{shown}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let expected = if code == 0 { created["app"]["uuid"].clone() } else { Value::Null };
        assert_eq!(found["app"]["uuid"], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn core_dumps_are_off() {
    let aws = FakeAws::start().await;
    let (mut terminal, mut process) = Terminal::start(&mut aws.admin(&["secret", "set", &AppId::random().to_string()]));
    terminal.type_at("New secret: ", "");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id().unwrap())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    process.kill().await.unwrap();
}
