//! Modules of one folder must not need each other, however far around. A module and those inside it count as one.

use crate::tidy::rust_files;
use bus_tests::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Circles that are left: a folder and the modules in it. One that is broken goes out of this list; none may come.
const LEFT: [&str; 5] = [
    "integration-tests/bus/src/conformance: fixture stage",
    "libs/domain/src: calibration forecast prediction score",
    "libs/domain/src/policy: decide floor live market proactive rate rules",
    "services/collector/src: config fleet host influx inputs kafka_topics kubernetes otlp prometheus receiver remote_write replay",
    "services/prescale/src: services settings",
];

/// Its path below the crate's root, which is the empty one.
type Module = Vec<String>;
/// By module, those that it names.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The module that a file below `src` holds.
fn module_of(file: &Path) -> Module {
    let mut module: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = module.len() == 1 && (module[0] == "lib" || module[0] == "main");
    if is_root || module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// Modules in files of their own that a module has for tests alone.
fn for_tests(text: &str) -> impl Iterator<Item = &str> {
    let pairs = text.lines().zip(text.lines().skip(1));
    pairs
        .filter(|(attribute, item)| *attribute == "#[cfg(test)]" && item.ends_with(';'))
        .filter_map(|(_, item)| Some(item.trim_end_matches(';').split_once("mod ")?.1))
}

/// Without comments, and without what is for tests alone, as far as that is a `use` or begins a file's end.
fn production(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            if lines.next().is_some_and(|item| item.starts_with("mod ") && item.ends_with('{')) {
                break;
            }
            continue;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

/// The paths that a tree of `use` names, such as `a::{b, c::{D, E}}`.
fn paths_of(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0_i32);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().flat_map(|part| paths_of(part)).map(|path| format!("{}{path}", before.trim())).collect()
}

/// All paths that a text names and that may lead to a module of its crate.
fn paths_in(text: &str) -> Vec<String> {
    let in_uses = text.split(';').filter_map(|statement| statement.rsplit_once("use ")).flat_map(|(_, t)| paths_of(t));
    let elsewhere = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).map(str::to_owned);
    in_uses.chain(elsewhere).collect()
}

/// The module that a path leads to, or into.
fn resolved(path: &str, from: &[String], modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut parts = path.split("::").map(str::trim);
    let mut at = from.to_vec();
    match parts.next()? {
        "crate" => at.clear(),
        "self" => {}
        "super" => drop(at.pop()),
        _ => return None,
    }
    for part in parts {
        if part == "super" {
            at.pop();
        } else {
            at.push(part.to_owned());
        }
    }
    while !modules.contains_key(&at) {
        at.pop()?;
    }
    Some(at)
}

/// What can be come to from a module.
fn reached<'a>(uses: &'a Uses, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = uses.get(from).into_iter().flatten().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(uses.get(module).into_iter().flatten());
        }
    }
    reached
}

/// The circles of a crate, by the texts of its modules: the folder, with the modules that need each other.
fn circles(modules: &BTreeMap<Module, String>) -> BTreeSet<(Module, Vec<String>)> {
    let tests: Vec<Module> = modules
        .iter()
        .flat_map(|(module, text)| for_tests(text).map(move |name| [module.as_slice(), &[name.to_owned()]].concat()))
        .collect();
    let mut by_folder: BTreeMap<Module, Uses> = BTreeMap::new();
    let is_for_tests = |module: &Module| {
        module.last().is_some_and(|name| name.ends_with("_tests")) || tests.iter().any(|test| module.starts_with(test))
    };
    for (from, text) in modules.iter().filter(|(module, _)| !is_for_tests(module)) {
        for to in paths_in(&production(text)).iter().filter_map(|path| resolved(path, from, modules)) {
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) {
                let uses = by_folder.entry(from[..shared].to_vec()).or_default();
                uses.entry(user.clone()).or_default().insert(used.clone());
            }
        }
    }
    let mut found = BTreeSet::new();
    for (folder, uses) in &by_folder {
        for module in uses.keys() {
            let around = reached(uses, module).into_iter().filter(|other| reached(uses, other).contains(module));
            let circle: Vec<String> = around.cloned().collect();
            if !circle.is_empty() {
                found.insert((folder.clone(), circle));
            }
        }
    }
    found
}

/// The folders `src` of all crates.
fn crates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        vec!["xtask/src".into(), "integration-tests/src".into(), "integration-tests/bus/src".into()];
    for group in ["libs", "services"] {
        let entries = fs::read_dir(repository().join(group)).expect("the folder is readable");
        found
            .extend(entries.map(|entry| Path::new(group).join(entry.expect("it is readable").file_name()).join("src")));
    }
    found
}

#[test]
fn modules_do_not_need_each_other_in_circles() {
    let mut found = BTreeSet::new();
    for folder in crates() {
        let root = repository().join(&folder);
        let mut files = Vec::new();
        rust_files(&root, &mut files);
        let mut modules: BTreeMap<Module, String> = BTreeMap::new();
        for file in files {
            let module = module_of(file.strip_prefix(&root).expect("it lies below"));
            modules.entry(module).or_default().push_str(&fs::read_to_string(&file).expect("source is UTF-8"));
        }
        found.extend(circles(&modules).into_iter().map(|(module, circle)| {
            let place = module.iter().fold(folder.clone(), |place, name| place.join(name));
            format!("{}: {}", place.display(), circle.join(" "))
        }));
    }
    let left = BTreeSet::from(LEFT.map(str::to_owned));
    let new: Vec<&String> = found.difference(&left).collect();
    assert!(new.is_empty(), "move what both need to where it belongs, so that neither needs the other: {new:#?}");
    let broken: Vec<&String> = left.difference(&found).collect();
    assert!(broken.is_empty(), "these are broken, so take them out of the list of those left: {broken:#?}");
}

/// The circles of a made-up crate.
fn of(files: &[(&str, &str)]) -> Vec<String> {
    let mut modules = BTreeMap::from([(Module::new(), String::new())]);
    modules.extend(files.iter().map(|(file, text)| (module_of(Path::new(file)), (*text).to_owned())));
    let shown = |(folder, circle): (Module, Vec<String>)| format!("{}: {}", folder.join("/"), circle.join(" "));
    circles(&modules).into_iter().map(shown).collect()
}

#[test]
fn circles_are_found_however_a_module_is_named() {
    assert_eq!(of(&[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")]), [": a b"]);
    let around =
        [("a.rs", "use crate::{c, b::{X, Y}};"), ("b.rs", "fn f() { super::c::g() }"), ("c.rs", "use crate::a;")];
    assert_eq!(of(&around), [": a b c"]);
    let deeper = [("d/mod.rs", ""), ("d/a.rs", "pub use super::b::X as Y;"), ("d/b.rs", "use crate::d::a::Z;")];
    assert_eq!(of(&deeper), ["d: a b"]);
    let through_inner = [("a.rs", ""), ("a/inner.rs", "use crate::b::B;"), ("b.rs", "use crate::a::inner::I;")];
    assert_eq!(of(&through_inner), [": a b"]);
}

#[test]
fn what_points_one_way_or_is_for_tests_is_no_circle() {
    assert!(of(&[("a.rs", "use crate::b::B;"), ("b.rs", "// as crate::a::A\n")]).is_empty());
    assert!(of(&[("a.rs", "mod inner;\nuse inner::X;"), ("a/inner.rs", "use super::Y;")]).is_empty());
    let inline = "use crate::b::B;\n\n#[cfg(test)]\nmod tests {\n    use crate::b::C;\n}\n";
    assert!(of(&[("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"), ("a.rs", inline)]).is_empty());
    let own_file =
        [("a.rs", "#[cfg(test)]\nmod tests;\n"), ("a/tests.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
    assert!(of(&own_file).is_empty());
}
