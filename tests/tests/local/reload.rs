//! Changes of sources while `make run` runs. The test works on a copy of the project.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use userdocks_test_support::{contract::Fixture, http::Request, project, stack::Stack};

#[test]
fn next_response_has_change_of_source() {
    let copy = copy_of_project();
    let data = tempfile::tempdir().unwrap();
    // The copy reuses the dependencies that the project's build has compiled.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let target = copy.join("target");
    let stack = Stack::start_in(&copy, &[("CARGO_BUILD_BUILD_DIR", built), ("CARGO_TARGET_DIR", &target)], data.path());

    let kind = response(&stack, "200-ok");
    change(&copy.join("functions/get-app-keys/src/lib.rs"), "\"appKeys\"", "\"changed\"", &stack);
    assert_eq!(response(&stack, "200-ok"), kind.replace("\"appKeys\"", "\"changed\""));

    let message = response(&stack, "401-E4010-unknown-api-key");
    let (before, after) = ("Unauthorized Token or API key", "Changed");
    change(&copy.join("shared/src/api/failure.rs"), before, after, &stack);
    assert_eq!(response(&stack, "401-E4010-unknown-api-key"), message.replace(before, after));
    stack.stop();
}

/// Sends a fixture's request. Waits for the request's line and returns the response's body.
fn response(stack: &Stack, case: &str) -> String {
    let body = Request::of(&Fixture::named("get-app-keys", case)).unwrap().send(stack.api()).body;
    stack.wait_for_line(&[&case[..3], "GET /api/v1/apps/{appUuid}/keys"]);
    body
}

/// Changes a source file and waits until the function has restarted.
fn change(source: &Path, before: &str, after: &str, stack: &Stack) {
    let text = fs::read_to_string(source).unwrap();
    assert!(text.contains(before), "{}", source.display());
    let saved = Instant::now();
    fs::write(source, text.replace(before, after)).unwrap();
    stack.wait_for_line(&["ready", "GET /api/v1/apps/{appUuid}/keys"]);
    println!("{}: {:.1} s after it was saved", source.display(), saved.elapsed().as_secs_f64());
}

/// Copies the project always to the same place, so that Cargo reuses the copy's builds.
fn copy_of_project() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload");
    let _ = fs::remove_dir_all(&copy);
    copy_folder(&project(), &copy);
    // Cargo distinguishes packages by name, version and place in the workspace. Another version keeps the builds of the copy
    // and of the project apart.
    let manifest = copy.join("Cargo.toml");
    let versioned = fs::read_to_string(&manifest).unwrap();
    assert!(versioned.contains("\nversion = \"0.1.0\"\n"));
    fs::write(manifest, versioned.replace("\nversion = \"0.1.0\"\n", "\nversion = \"0.0.0-reload\"\n")).unwrap();
    copy
}

/// Copies a folder without build results and installed tools.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
        if kind.is_file() {
            fs::copy(entry.path(), to.join(name)).unwrap();
        } else if kind.is_dir()
            && !["target", "node_modules", ".git", ".tools", ".local", ".aws-sam"].iter().any(|no| *no == name)
        {
            copy_folder(&entry.path(), &to.join(name));
        }
    }
}
