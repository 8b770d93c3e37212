//! What packages are made of, as far as it can be seen without building one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use van_config::{File, Input, load};
use van_testkit::{Ran, program, temp_dir};

/// Ten times the exposure that `systemd-analyze security` may find.
const EXPOSURE: &str = "18";

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Checks the exposure of a unit with these drop-ins.
#[track_caller]
fn is_hardened(unit: &str, installed: &str, drop_ins: &[&str]) {
    let dir = temp_dir();
    let file = dir.path().join(installed);
    fs::copy(tree(unit), &file).unwrap();
    let folder = dir.path().join(format!("{installed}.d"));
    fs::create_dir(&folder).unwrap();
    for drop_in in drop_ins {
        fs::copy(tree(drop_in), folder.join(Path::new(drop_in).file_name().unwrap())).unwrap();
    }
    let mut command = program("systemd-analyze", "systemd");
    command.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE]).arg(file);
    let _report = Ran::of(command, b"").ok();
}

#[test]
fn units_give_little_away() {
    is_hardened("systemd/vand.service", "vand.service", &[]);
    is_hardened("systemd/vand@.service", "vand@a.service", &[]);
    is_hardened("systemd/vand.service", "vand.service", &["systemd/vand.service.d/subnet.conf"]);
}

#[test]
fn the_template_differs_from_the_unit_only_in_its_places() {
    let read = |name: &str| fs::read_to_string(tree(name)).unwrap();
    let lines = |text: String| -> Vec<String> {
        let differs = |line: &&str| {
            let keys = ["Description=", "After=", "ExecReload=/usr/bin/vanctl", "Environment="];
            let folders = ["ConfigurationDirectory=", "StateDirectory=", "RuntimeDirectory"];
            let mut keys = keys.iter().chain(&folders);
            !line.is_empty() && !line.starts_with('#') && !keys.any(|key| line.starts_with(key))
        };
        text.lines().filter(differs).map(str::to_owned).collect()
    };
    assert_eq!(lines(read("systemd/vand.service")), lines(read("systemd/vand@.service")));
}

/// Loads a configuration in memory.
#[track_caller]
fn loads(what: &str, text: &str) {
    let file = File { path: "vand.toml".into(), bytes: text.as_bytes().into() };
    let input = Input { files: vec![file], env: Vec::new(), host_name: "host".into() };
    if let Err(mistakes) = load(&input) {
        panic!("{what}: {mistakes}\n{text}");
    }
}

#[test]
fn the_shipped_configuration_is_good_and_so_are_its_examples() {
    let text = fs::read_to_string(tree("packaging/common/vand.toml")).unwrap();
    loads("as it is shipped", &text);
    // An example is a comment whose sign stands right before it.
    let example = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let examples: Vec<_> = text.lines().map(example).collect();
    loads("with its examples", &examples.join("\n"));
}

#[test]
fn the_example_of_the_manual_is_good() {
    let page = fs::read_to_string(tree("man/vand.toml.5")).unwrap();
    let example = page.split(".nf\n").nth(1).unwrap().split("\n.fi").next().unwrap();
    loads("the example", &example.replace("\\-", "-"));
}

#[test]
fn the_manual_explains_every_key() {
    let page = fs::read_to_string(tree("man/vand.toml.5")).unwrap();
    // A section with a key that nobody knows is refused with the keys that are accepted.
    for section in ["site", "accept", "services", "identity", "api", "log", "limits"]
        .map(|name| format!("[{name}]"))
        .into_iter()
        .chain(["link", "connector", "listener"].map(|name| format!("[[{name}]]")))
    {
        let text = format!("{section}\nzzzzzzzz = 1\n");
        let file = File { path: "vand.toml".into(), bytes: text.into_bytes() };
        let input = Input { files: vec![file], env: Vec::new(), host_name: "host".into() };
        let mistakes = load(&input).err().unwrap().to_string();
        let keys = mistakes.split("accepted: ").nth(1).unwrap().lines().next().unwrap();
        let part = page.split(&format!(".SH {section}\n")).nth(1);
        let part = part.unwrap_or_else(|| panic!("{section} is not in the manual"));
        let part = part.split("\n.SH").next().unwrap();
        for key in keys.split(", ").map(str::trim) {
            assert!(part.contains(&format!("\\fB{key}\\fR")), "{section} {key} is not explained");
        }
    }
}
