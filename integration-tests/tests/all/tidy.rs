//! House rules that a machine can check.

use bus_tests::repository;
use cargo_metadata::MetadataCommand;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;

pub(crate) fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in ["libs", "services", "xtask", "integration-tests"] {
        rust_files(&repository().join(folder), &mut files);
    }
    files.sort();
    files.into_iter().map(|p| (p.clone(), fs::read_to_string(&p).expect("source is UTF-8"))).collect()
}

#[test]
fn files_hold_one_job() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{} ({lines} lines)", path.display()))
        .collect();
    assert!(long.is_empty(), "split these, none may pass {LINES_MAX} lines: {long:#?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let bare: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(bare.is_empty(), "begin these with a //! comment: {bare:#?}");
}

#[test]
fn nothing_is_left_open() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
    ];
    let open: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| {
            marks.iter().filter(|m| text.contains(**m)).map(move |m| format!("{}: {m}", path.display()))
        })
        .collect();
    assert!(open.is_empty(), "finish these: {open:#?}");
}

#[test]
fn licences_are_those_that_deny_toml_allows() {
    let deny: toml::Table = fs::read_to_string(repository().join("deny.toml"))
        .expect("deny.toml is there")
        .parse()
        .expect("deny.toml is TOML");
    let allowed: Vec<&str> = deny["licenses"]["allow"]
        .as_array()
        .expect("licenses.allow is a list")
        .iter()
        .map(|v| v.as_str().expect("a licence is a text"))
        .collect();
    let metadata =
        MetadataCommand::new().manifest_path(repository().join("Cargo.toml")).exec().expect("cargo metadata runs");
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter(|p| !p.license.as_deref().is_some_and(|l| satisfied(l, &allowed)))
        .map(|p| format!("{} {}: {:?}", p.name, p.version, p.license))
        .collect();
    assert!(refused.is_empty(), "licences outside deny.toml: {refused:#?}");
}

/// Whether an SPDX expression can be met with the allowed licences: every AND part must hold one
/// allowed alternative. Parentheses in use among crates only ever group alternatives.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    expression
        .replace(['(', ')'], "")
        .split(" AND ")
        .all(|part| part.replace('/', " OR ").split(" OR ").any(|l| allowed.contains(&l.trim())))
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Unicode-3.0"];
    assert!(satisfied("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
    assert!(satisfied("MIT/GPL-3.0", &allowed));
    assert!(!satisfied("GPL-3.0", &allowed));
    assert!(!satisfied("MIT AND GPL-3.0", &allowed));
}
