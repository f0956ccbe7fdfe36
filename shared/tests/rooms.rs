//! Checks that the library's modules depend on each other in one direction.
//!
//! A room is a module of the crate's root. Rooms have ranks, and a file may use only its own room and rooms of lower
//! ranks. Inside a room, files must not use each other in a circle.
//!
//! A file uses another file if one of its paths names the other's module or an item in it. A path to a re-export (`pub
//! use`) counts as a path to the file that defines the item. Code under `#[cfg(test)]` does not count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms of each rank, from the ground up.
const RANKS: [&[&str]; 6] =
    [&["domain"], &["aws"], &["store", "secrets", "http"], &["auth", "rotation"], &["api"], &["runtime"]];

/// A module's path from the crate's root, which is empty.
type Module = Vec<String>;

struct Source {
    module: Module,
    tokens: Vec<String>,
}

struct Library {
    files: BTreeMap<Module, Source>,
    /// The targets of each module's re-exports, by name.
    reexports: BTreeMap<Module, BTreeMap<String, Module>>,
}

#[test]
fn library_depends_in_one_direction() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&folder, &folder, &mut files);
    let complaints = Library::new(&files).complaints();
    assert!(files.len() > 20 && complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn collect(folder: &Path, root: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, root, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let name = entry.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(entry).unwrap()));
        }
    }
}

impl Library {
    fn new(files: &[(String, String)]) -> Self {
        let sources = files.iter().map(|(name, text)| Source::new(name, text));
        let files: BTreeMap<Module, Source> = sources.map(|source| (source.module.clone(), source)).collect();
        let mut library = Self { files, reexports: BTreeMap::new() };
        for source in library.files.values() {
            let paths = source.uses(true).into_iter().filter_map(|path| library.absolute(source, &path));
            let named = paths.filter_map(|path| Some((path.last()?.clone(), path)));
            library.reexports.insert(source.module.clone(), named.collect());
        }
        library
    }

    /// Returns the path from the crate's root; `None` if the path leads out of the crate.
    fn absolute(&self, source: &Source, path: &[String]) -> Option<Module> {
        let mut base = source.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            child => {
                base.push(child.to_owned());
                if !self.files.contains_key(&base) {
                    return None;
                }
            }
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// Returns the module of the file that defines the item of an absolute path.
    fn file_of(&self, path: &[String]) -> Module {
        let length = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length])).unwrap_or(0);
        let module = path[..length].to_vec();
        let target = path.get(length).and_then(|name| self.reexports.get(&module)?.get(name));
        match target {
            Some(target) if target[..] != path[..=length] => self.file_of(target),
            _ => module,
        }
    }

    /// Returns the files that each file uses.
    fn dependencies(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let used = |source: &Source| -> BTreeSet<Module> {
            let paths = source.uses(false).into_iter().chain(source.inline_paths());
            let targets = paths.filter_map(|path| Some(self.file_of(&self.absolute(source, &path)?)));
            targets.filter(|target| *target != source.module).collect()
        };
        self.files.iter().map(|(module, source)| (module.clone(), used(source))).collect()
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let dependencies = self.dependencies();
        for (from, targets) in &dependencies {
            for to in targets {
                match (from.first(), to.first()) {
                    // The root only declares and re-exports the rooms.
                    (None, _) => {}
                    (Some(_), None) => complaints.push(format!("{} uses the crate's root", name(from))),
                    (Some(own), Some(other)) if own == other => {}
                    (Some(own), Some(other))
                        if rank(other) < rank(own) && rank(own).is_some() && rank(other).is_some() => {}
                    _ => complaints.push(format!("{} uses {}, which is not below it", name(from), name(to))),
                }
            }
        }
        for room in dependencies.keys().filter_map(|module| module.first()).collect::<BTreeSet<_>>() {
            if rank(room).is_none() {
                complaints.push(format!("{room} is in no rank"));
            }
            let inside = |module: &&Module| module.first() == Some(room);
            let circle: Vec<String> = dependencies
                .keys()
                .filter(inside)
                .filter(|module| reaches(&dependencies, module, module))
                .map(|module| name(module))
                .collect();
            if !circle.is_empty() {
                complaints.push(format!("a circle in {room}: {}", circle.join(", ")));
            }
        }
        complaints
    }
}

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

fn name(module: &[String]) -> String {
    module.join("::")
}

/// Returns whether one file uses another of its room, directly or through other files of the room.
fn reaches(dependencies: &BTreeMap<Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in dependencies[module].iter().filter(|next| next.first() == from.first()) {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

impl Source {
    /// `file` is the path under `src`.
    fn new(file: &str, text: &str) -> Self {
        let path = file.strip_suffix(".rs").unwrap();
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let module = if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() };
        Self { module, tokens: without_tests(&tokens(text)) }
    }

    /// Returns the paths of `use` declarations: of re-exports, or of all others.
    fn uses(&self, are_reexports: bool) -> Vec<Module> {
        let mut paths = Vec::new();
        for (index, _) in self.tokens.iter().enumerate().filter(|(_, token)| *token == "use") {
            let before = index.checked_sub(1).map(|before| self.tokens[before].as_str());
            // `pub use`, `pub(crate) use`, `pub(super) use`
            let is_reexport = matches!(before, Some("pub" | ")"));
            if is_reexport == are_reexports {
                read_tree(&self.tokens[index + 1..], &mut Vec::new(), &mut paths);
            }
        }
        paths
    }

    /// Returns the paths outside `use` declarations.
    fn inline_paths(&self) -> Vec<Module> {
        let mut paths = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            if self.tokens[index] == "use" {
                index += self.tokens[index..].iter().position(|token| token == ";").unwrap_or(1);
                continue;
            }
            let is_start = is_name(&self.tokens[index]) && (index == 0 || self.tokens[index - 1] != "::");
            let mut path = Vec::new();
            while is_start && self.tokens.get(index).is_some_and(|token| is_name(token)) {
                path.push(self.tokens[index].clone());
                if self.tokens.get(index + 1).is_none_or(|token| token != "::") {
                    break;
                }
                index += 2;
            }
            if path.len() > 1 {
                paths.push(path);
            }
            index += 1;
        }
        paths
    }
}

/// Reads a tree of a `use` declaration, and returns the number of its tokens.
fn read_tree(tokens: &[String], prefix: &mut Module, paths: &mut Vec<Module>) -> usize {
    let (mut index, depth) = (0, prefix.len());
    loop {
        match tokens[index].as_str() {
            "::" => index += 1,
            "{" => {
                index += 1;
                while tokens[index] != "}" {
                    index += read_tree(&tokens[index..], prefix, paths);
                    index += usize::from(tokens[index] == ",");
                }
                index += 1;
                break;
            }
            "," | "}" | ";" | "as" => {
                index += if tokens[index] == "as" { 2 } else { 0 };
                paths.push(prefix.clone());
                break;
            }
            // `a::{self, b}` names `a`.
            "self" if depth > 0 && prefix.len() == depth => index += 1,
            "*" => index += 1,
            name => {
                prefix.push(name.to_owned());
                index += 1;
            }
        }
    }
    prefix.truncate(depth);
    index
}

fn is_name(token: &str) -> bool {
    token.starts_with(|character: char| character.is_alphabetic() || character == '_')
}

/// Returns the tokens without comments. A text literal is one token.
fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let (mut tokens, mut index) = (Vec::new(), 0);
    while index < characters.len() {
        let character = characters[index];
        let start = index;
        index += 1;
        if character == '/' && at(index) == '/' {
            while index < characters.len() && at(index) != '\n' {
                index += 1;
            }
        } else if character == '/' && at(index) == '*' {
            while index < characters.len() && !(at(index) == '*' && at(index + 1) == '/') {
                index += 1;
            }
            index += 2;
        } else if character == '"' {
            while index < characters.len() && at(index) != '"' {
                index += if at(index) == '\\' { 2 } else { 1 };
            }
            index += 1;
            tokens.push("\"".to_owned());
        } else if let Some(hashes) = raw_string(&characters[start..]) {
            let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let open = start + characters[start..].iter().position(|quote| *quote == '"').unwrap() + 1;
            let rest: String = characters[open..].iter().collect();
            index = open + rest[..rest.find(&end).unwrap()].chars().count() + end.len();
            tokens.push("\"".to_owned());
        } else if character == '\'' {
            // A character, or a lifetime.
            if at(index) == '\\' || at(index + 1) == '\'' {
                index += if at(index) == '\\' { 2 } else { 1 };
                while at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
        } else if character.is_alphanumeric() || character == '_' {
            while at(index).is_alphanumeric() || at(index) == '_' {
                index += 1;
            }
            tokens.push(characters[start..index].iter().collect());
        } else if character == ':' && at(index) == ':' {
            index += 1;
            tokens.push("::".to_owned());
        } else if !character.is_whitespace() && character != '$' {
            tokens.push(character.to_string());
        }
    }
    tokens
}

/// Returns the number of hashes if a raw string begins here.
fn raw_string(characters: &[char]) -> Option<usize> {
    let prefix = characters.iter().position(|character| *character == 'r').filter(|place| *place <= 1)?;
    if prefix == 1 && characters[0] != 'b' {
        return None;
    }
    let hashes = characters[prefix + 1..].iter().take_while(|character| **character == '#').count();
    (characters.get(prefix + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Returns the tokens without items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut index) = (Vec::new(), 0);
    while index < tokens.len() {
        if tokens[index..].len() < TEST.len() || tokens[index..index + TEST.len()] != TEST {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        index += TEST.len();
        let mut depth = 0;
        loop {
            match tokens[index].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 1 => break,
                "}" | ")" | "]" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
            index += 1;
        }
        index += 1;
    }
    kept
}

fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Library::new(&files).complaints()
}

#[test]
fn use_of_lower_room_is_accepted() {
    let files = [
        ("lib.rs", "pub mod auth; pub mod domain; pub mod store;"),
        ("domain/mod.rs", "mod app; mod id; pub use app::App; pub use id::{AppId, KeyId as Key};"),
        ("domain/app.rs", "use super::AppId; use std::{fmt, sync::Arc}; struct App { id: AppId }"),
        ("domain/id.rs", "struct AppId; // super::App\n/* crate::auth */ const TEXT: &str = \"crate::auth\";"),
        ("store/mod.rs", "mod item; use crate::domain::{App, AppId}; use item::read; fn find<'a>() -> char { '\\'' }"),
        ("store/item.rs", "fn read() -> crate::domain::App { r#\"crate::auth \" \"#; crate::domain::App }"),
        ("auth.rs", "use crate::{domain::{self, *}, store}; fn check() { store::find(); }"),
    ];
    assert_eq!(complaints(&files), [] as [String; 0]);
}

#[test]
fn use_of_higher_or_equal_room_is_rejected() {
    let used = |text| complaints(&[("domain/mod.rs", ""), ("aws.rs", ""), ("auth.rs", ""), ("store/mod.rs", text)]);
    let expected = ["store uses auth, which is not below it"];
    for text in [
        "use crate::auth::check;",
        "use crate::{domain::App, auth};",
        "fn f() { crate::auth::check(); }",
        "fn f() -> super::auth::Caller {}",
        "macro_rules! m { () => { $crate::auth::check() } }",
        "pub use crate::auth::Caller; fn f() { self::Caller::new(); }",
    ] {
        assert_eq!(used(text), expected, "{text}");
    }
    let sideways = complaints(&[("domain/mod.rs", "use crate::aws::Client;"), ("aws.rs", "")]);
    assert_eq!(sideways, ["domain uses aws, which is not below it"]);
    assert_eq!(complaints(&[("lib.rs", ""), ("store.rs", "use crate::Lazy;")]), ["store uses the crate's root"]);
    assert_eq!(complaints(&[("causes.rs", "")]), ["causes is in no rank"]);
}

#[test]
fn circle_in_room_is_rejected() {
    let circle = |parent, item, pages| {
        complaints(&[("store/mod.rs", parent), ("store/item.rs", item), ("store/pages.rs", pages)])
    };
    let siblings = ["a circle in store: store::item, store::pages"];
    assert_eq!(circle("", "use super::pages::Page;", "use super::item::Item;"), siblings);
    let reexports = "mod item; mod pages; pub use item::Item; pub use pages::Page;";
    assert_eq!(circle(reexports, "use super::Page;", "use super::Item;"), siblings, "through re-exports");
    let parent = ["a circle in store: store, store::item"];
    assert_eq!(circle("mod item; fn f() { item::read() }", "use super::Error;", ""), parent);
    assert_eq!(circle("mod item; fn f() { item::read() }", "use crate::store::Error;", ""), parent);
    assert_eq!(circle("mod item; pub use item::Item;", "use super::Error;", ""), [] as [&str; 0]);
}

#[test]
fn code_for_tests_is_ignored() {
    let text =
        "fn f() {} #[cfg(test)] mod tests { use crate::auth::check; fn g() { { } } } #[cfg(test)] use crate::auth;";
    assert_eq!(complaints(&[("auth.rs", ""), ("store.rs", text)]), [] as [String; 0]);
    let text = format!("{text} use crate::auth;");
    assert_eq!(complaints(&[("auth.rs", ""), ("store.rs", &text)]).len(), 1, "code after them counts");
}
