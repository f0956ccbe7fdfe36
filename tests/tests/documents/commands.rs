//! Runs the commands of README.md, docs/API.md and CONTRIBUTING.md, each document in one shell.

use std::{
    fs,
    process::{Command, Stdio},
};

use userdocks_test_support::{
    binary, project,
    readme::{self, Typed},
    stack::Stack,
};

const DOCUMENTS: [&str; 3] = ["README.md", "docs/API.md", "CONTRIBUTING.md"];

/// The test of a command.
enum Treatment {
    /// Runs it against the test's own stack.
    Run,
    /// Checks only its arguments, because it needs minutes, an AWS account or containers.
    Check(fn(&str)),
}

impl Treatment {
    /// Decides by the program that the command starts.
    fn of(command: &str) -> Self {
        // An assigned value may have spaces, in $(…).
        let mut depth = 0;
        let words = command.split(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            character == ' ' && depth == 0
        });
        let is_assignment = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        let words: Vec<_> = words.skip_while(is_assignment).collect();
        match words.first().copied() {
            // `as` is a function that the documents define.
            None | Some("as" | "as()" | "curl" | "export" | "userdocks-admin") => Self::Run,
            Some("cargo") if words.starts_with(&["cargo", "lambda", "invoke"]) => Self::Run,
            Some("cargo") if words.starts_with(&["cargo", "fetch"]) => Self::Run,
            Some("cargo") if words.starts_with(&["cargo", "install"]) => Self::Check(project_has_package),
            Some("make") => Self::Check(make_has_target),
            Some("rustup") => Self::Check(compiler_knows_target),
            Some("sam") => Self::Check(sam_knows_arguments),
            _ => panic!("the test neither runs nor checks this command; add it to `Treatment`: {command}"),
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| character.is_ascii_uppercase() || character == '_')
}

#[test]
fn commands_work_as_written() {
    let data = tempfile::tempdir().unwrap();
    let stack = Stack::start(data.path(), None);
    // On AWS, the deployment creates the table that the operator's commands name.
    assert!(stack.admin(&["--table", "userdocks-production", "table", "create"], "").status.success());
    for document in DOCUMENTS {
        let mut commands = readme::commands_in(document);
        assert!(!commands.is_empty(), "{document} has no commands");
        commands.retain(|typed| match Treatment::of(&typed.text) {
            Treatment::Run => true,
            Treatment::Check(check) => {
                check(&typed.text);
                false
            }
        });
        let printed = run(&commands, &stack, data.path().to_str().unwrap());
        assert_outcomes(document, &commands, &printed);
    }
    stack.stop();
}

/// Fails unless each command succeeded, or returned the HTTP status with which its comment begins.
fn assert_outcomes(document: &str, commands: &[Typed], printed: &str) {
    let ends: Vec<_> = printed.split("\nended with ").collect();
    assert_eq!(ends.len(), commands.len() + 1, "{document}: {printed}");
    for (index, typed) in commands.iter().enumerate() {
        let (before, succeeded) = (ends[index], ends[index + 1].starts_with("0\n"));
        match typed.comment.get(..3).filter(|status| status.starts_with('4')) {
            Some(refused) => assert!(before.contains(&format!("HTTP {refused}\n")), "{document}: {typed:?}: {before}"),
            None => assert!(succeeded, "{document}: {typed:?}: {before}"),
        }
    }
}

/// Runs the commands in one shell. Returns their output, with a line after each that has its exit code.
fn run(commands: &[Typed], stack: &Stack, data: &str) -> String {
    let port = stack.api().rsplit_once(':').unwrap().1;
    // curl fails if the API does.
    let mut script = format!(
        "exec 2>&1; set -o pipefail; set -a; . '{data}/environment'; set +a\n\
         curl() {{ command curl --fail-with-body --write-out '%{{stderr}}HTTP %{{http_code}}\\n' \"$@\"; }}\n"
    );
    for typed in commands {
        let here = typed
            .text
            .replace("http://127.0.0.1:9000", stack.api())
            .replace("cargo lambda invoke", &format!("cargo lambda invoke --invoke-port {port}"))
            .replace(".local/", &format!("{data}/"));
        script.push_str(&format!("{here}\nprintf '\\nended with %s\\n' \"$?\"\n"));
    }
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(project())
        .env("PATH", format!("{}:{path}", binary("userdocks-admin").parent().unwrap().display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn project_has_package(command: &str) {
    let path = command.split_once("--path ").unwrap().1;
    let manifest = fs::read_to_string(project().join(path).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"userdocks-admin\""), "{command}");
}

fn make_has_target(command: &str) {
    // In front, because the command may end with a comment.
    let dry_run = command.replacen("make", "make --dry-run", 1);
    let planned = Command::new("sh").args(["-c", &dry_run]).current_dir(project()).output().unwrap();
    assert!(planned.status.success(), "{command}: {}", String::from_utf8_lossy(&planned.stderr));
}

fn compiler_knows_target(command: &str) {
    let target = command.strip_prefix("rustup target add ").unwrap();
    let known = Command::new("rustc").args(["--print", "target-list"]).output().unwrap().stdout;
    assert!(String::from_utf8(known).unwrap().lines().any(|known| known == target), "{command}");
}

/// Checks that the subcommand has the options, and the project the named function, event and environment.
fn sam_knows_arguments(command: &str) {
    let template = fs::read_to_string(project().join("template.yaml")).unwrap();
    let configuration = fs::read_to_string(project().join("samconfig.toml")).unwrap();
    for command in command.split("&&").map(str::trim) {
        let words: Vec<_> = command.split_whitespace().collect();
        let subcommand = if words[1] == "local" { &words[1..3] } else { &words[1..2] };
        let help = userdocks_test_support::command("sam")
            .args(subcommand)
            .arg("--help")
            .env("SAM_CLI_TELEMETRY", "0")
            .output();
        let help = help.expect("sam is not on the PATH: `make test` installs it");
        assert!(help.status.success(), "{command}");
        let help = String::from_utf8(help.stdout).unwrap();
        let mut arguments = words[1 + subcommand.len()..].iter();
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                assert!(template.contains(&format!("\n  {argument}:\n")), "{command}: no {argument}");
                continue;
            }
            assert!(help.contains(argument), "{command}: no {argument}");
            match *argument {
                "--config-env" => {
                    let name = arguments.next().unwrap();
                    assert!(configuration.contains(&format!("[{name}.")), "{command}: no {name}");
                }
                "--event" => assert!(project().join(arguments.next().unwrap()).is_file(), "{command}"),
                _ => {}
            }
        }
    }
}
