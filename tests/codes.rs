//! Every code that a user may see is explained, and nothing is explained that nobody sees.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use van_model::{EXPLANATIONS, ErrorCode};

/// The crates whose sources name codes.
const SOURCES: [&str; 3] = ["van-site", "van-net", "van-proxy"];

/// What stands before a code of one word; in text of several humps a literal is always a code.
const BEFORE: [&str; 6] =
    ["ready(true, ", "ready(false, ", "reason: ", "Info, ", "Warning, ", "Error, "];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Whether a literal is one or more words, each with a capital, and how many.
fn humps(text: &str) -> usize {
    let capital = text.starts_with(|c: char| c.is_ascii_uppercase());
    let letters = text.len() >= 4 && text.bytes().all(|b| b.is_ascii_alphabetic());
    let shouts = text.as_bytes().windows(3).any(|w| w.iter().all(u8::is_ascii_uppercase));
    if capital && letters && !shouts {
        text.bytes().filter(u8::is_ascii_uppercase).count()
    } else {
        0
    }
}

fn codes_of(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    // In a call that is broken into lines, the code stands on a line of its own.
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    let parts: Vec<&str> = code.split('"').collect();
    for pair in parts.windows(2) {
        let (before, literal) = (pair[0], pair[1]);
        let is_code = match humps(literal) {
            0 => false,
            1 => BEFORE.iter().any(|word| before.ends_with(word) || before.ends_with(word.trim())),
            _ => true,
        };
        if is_code {
            found.insert(literal.to_owned());
        }
    }
    found
}

#[test]
fn every_code_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("crates");
    let mut files = Vec::new();
    SOURCES.iter().for_each(|name| sources(&root.join(name).join("src"), &mut files));
    let mut used = BTreeSet::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        used.extend(codes_of(&fs::read_to_string(file).unwrap()));
    }
    assert!(used.len() > 50, "the search itself is broken: {used:?}");
    let explained: BTreeSet<&str> = EXPLANATIONS.iter().map(|e| e.code).collect();
    let missing: Vec<_> = used.iter().filter(|code| !explained.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "explain these in van-model/src/explain.rs: {missing:?}");
}

#[test]
fn every_error_of_the_api_is_explained() {
    for code in [
        ErrorCode::Invalid,
        ErrorCode::NotAllowed,
        ErrorCode::NotFound,
        ErrorCode::Conflict,
        ErrorCode::Unavailable,
        ErrorCode::Timeout,
        ErrorCode::Internal,
    ] {
        let word = serde_json::to_value(code).unwrap();
        assert!(van_model::explain(word.as_str().unwrap()).is_some(), "{word}");
    }
}
