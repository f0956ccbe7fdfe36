//! Checks the links between the documents.

use std::{fs, path::Path};

use userdocks_test_support::project;

#[test]
fn links_between_documents_have_targets() {
    let mut links = 0;
    for folder in [".", "docs", "docs/decisions"] {
        for file in fs::read_dir(project().join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "md") {
                links += check_links(&file);
            }
        }
    }
    assert!(links > 50, "{links}");
}

/// Checks the relative links of a document, and returns their number.
fn check_links(document: &Path) -> usize {
    let text = fs::read_to_string(document).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let relative = targets.filter(|target| !target.contains("://"));
    let checked = relative.inspect(|target| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
        assert!(file.exists(), "{}: there is no {path}", document.display());
        assert!(anchor.is_empty() || has_anchor(&file, anchor), "{}: {path} has no #{anchor}", document.display());
    });
    checked.count()
}

fn has_anchor(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|heading| slug(heading.trim_start_matches('#')) == anchor)
}

/// Returns the anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}
