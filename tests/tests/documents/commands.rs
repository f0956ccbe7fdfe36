//! The commands of README.md, run in order and in one shell.

use std::{
    fs,
    process::{Command, Stdio},
};

use userdocks_test_support::{
    binary, project,
    readme::{self, Typed},
    stack::Stack,
};

/// The test of a command.
enum Treatment {
    /// It runs, against a stack of the test's own.
    Run,
    /// It takes minutes, an AWS account or containers, so that only its arguments are checked.
    Check(fn(&str)),
}

/// The program that a command starts decides; one that is not known here has to be added.
fn treatment(command: &str) -> Treatment {
    // What is assigned may have spaces, in $(…).
    let mut depth = 0;
    let words = command.split(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ' ' && depth == 0
    });
    let is_assignment = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    let words: Vec<_> = words.skip_while(is_assignment).collect();
    match words.first().copied() {
        // A function of README's own is run by what calls it.
        None | Some("." | "admin" | "admin()" | "as" | "as()" | "curl" | "export" | "userdocks-admin") => {
            Treatment::Run
        }
        Some("cargo") if words.starts_with(&["cargo", "lambda", "invoke"]) => Treatment::Run,
        Some("cargo") if words.starts_with(&["cargo", "fetch"]) => Treatment::Run,
        Some("cargo") if words.starts_with(&["cargo", "install"]) => Treatment::Check(a_package_is_there),
        Some("make") => Treatment::Check(make_has_the_target),
        Some("rustup") => Treatment::Check(compiler_knows_target),
        Some("sam") => Treatment::Check(sam_knows_the_arguments),
        _ => panic!("README.md has a command that this test neither runs nor checks: {command}"),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| character.is_ascii_uppercase() || character == '_')
}

#[test]
fn commands_work_as_written() {
    let mut commands = readme::commands();
    commands.retain(|typed| match treatment(&typed.text) {
        Treatment::Run => true,
        Treatment::Check(check) => {
            check(&typed.text);
            false
        }
    });
    assert!(commands.len() > 15, "{commands:?}");

    let data = tempfile::tempdir().unwrap();
    let stack = Stack::start(data.path(), None);
    // The table that the operator's commands name is made by the deployment.
    assert!(stack.admin(&["--table", "userdocks-production", "table", "create"], "").status.success());
    let printed = run(&commands, &stack, data.path().to_str().unwrap());
    stack.stop();

    let ends: Vec<_> = printed.split("\nended with ").collect();
    assert_eq!(ends.len(), commands.len() + 1, "{printed}");
    for (index, typed) in commands.iter().enumerate() {
        let (before, succeeded) = (ends[index], ends[index + 1].starts_with("0\n"));
        match typed.comment.get(..3).filter(|status| status.starts_with('4')) {
            Some(refused) => assert!(before.contains(&format!("HTTP {refused}\n")), "{typed:?}: {before}"),
            None => assert!(succeeded, "{typed:?}: {before}"),
        }
    }
}

/// Everything that they print in one shell; after each, a line that says how it ended.
fn run(commands: &[Typed], stack: &Stack, data: &str) -> String {
    let port = stack.api().rsplit_once(':').unwrap().1;
    // A failure of the API is a failure of the command.
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

fn a_package_is_there(command: &str) {
    let path = command.split_once("--path ").unwrap().1;
    let manifest = fs::read_to_string(project().join(path).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"userdocks-admin\""), "{command}");
}

fn make_has_the_target(command: &str) {
    // First, where no comment can hide it.
    let dry_run = command.replacen("make", "make --dry-run", 1);
    let planned = Command::new("sh").args(["-c", &dry_run]).current_dir(project()).output().unwrap();
    assert!(planned.status.success(), "{command}: {}", String::from_utf8_lossy(&planned.stderr));
}

fn compiler_knows_target(command: &str) {
    let target = command.strip_prefix("rustup target add ").unwrap();
    let known = Command::new("rustc").args(["--print", "target-list"]).output().unwrap().stdout;
    assert!(String::from_utf8(known).unwrap().lines().any(|known| known == target), "{command}");
}

/// The subcommand has the options, and the project the function, the event and the environment that are named.
fn sam_knows_the_arguments(command: &str) {
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
