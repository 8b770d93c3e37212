//! The layers of the workspace: a crate uses only lower ones, and the pure ones know no runtime,
//! socket, file or clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace and its height; a crate uses only crates that stand lower.
const HEIGHTS: [(&str, u8); 28] = [
    ("van-model", 0),
    ("van-framing", 0),
    ("van-config", 1),
    ("van-pki", 1),
    ("van-mux", 1),
    ("van-crd", 1),
    ("van-routing", 2),
    ("van-store", 3),
    ("van-dns", 3),
    ("van-host", 3),
    ("van-podman", 3),
    ("van-kube", 3),
    ("van-tls", 3),
    ("van-net", 3),
    ("van-api", 3),
    ("van-trace", 3),
    ("van-http", 4),
    ("van-proxy", 5),
    ("van-site", 6),
    ("vanctl", 5),
    ("vand", 7),
    ("van-manual", 8),
    ("van-testkit", 8),
    ("van-lab", 9),
    ("van-clusters", 9),
    ("van-tests", 9),
    ("van-bench", 9),
    ("van-fuzz", 9),
];

/// Crates without a runtime, sockets, files, a clock or the order of a hash map.
const PURE: [&str; 6] =
    ["van-model", "van-framing", "van-config", "van-pki", "van-mux", "van-routing"];

/// What no pure crate may reach through its dependencies.
const IMPURE: [&str; 5] = ["tokio", "mio", "socket2", "nix", "hyper"];

/// What no pure crate may write outside its tests.
const IMPURE_WORDS: [&str; 19] = [
    "std::fs",
    "std::process",
    "std::thread",
    "std::env::var",
    "std::os::unix::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "ToSocketAddrs",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    ".elapsed()",
    "async fn",
    "HashMap",
    "HashSet",
    "thread_rng",
];

/// Words that are allowed in one file: (file, word).
const EXCEPTIONS: [(&str, &str); 1] = [
    // The table of streams is looked up in, and never walked.
    ("crates/van-mux/src/stream.rs", "HashMap"),
];

/// The insides of the daemon, which its client must not know.
const CLIENT_USES: [&str; 2] = ["van-model", "van-crd"];

struct Workspace {
    root: PathBuf,
    packages: BTreeMap<String, Package>,
    names: BTreeMap<String, String>,
}

struct Package {
    name: String,
    member: bool,
    folder: PathBuf,
    /// Ids of what it needs to run; what only its tests or its build need is passed over.
    uses: Vec<String>,
}

impl Workspace {
    fn read() -> Self {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest])
            .output()
            .expect("cargo runs this test, so it can be run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata failed: {errors}");
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let members: BTreeSet<&str> = list(&metadata["workspace_members"]).map(text).collect();
        let mut uses: BTreeMap<&str, Vec<String>> = list(&metadata["resolve"]["nodes"])
            .map(|node| (text(&node["id"]), list(&node["deps"]).filter_map(normal).collect()))
            .collect();
        let packages = list(&metadata["packages"]).map(|package| {
            let id = text(&package["id"]);
            let folder = Path::new(text(&package["manifest_path"])).parent();
            let package = Package {
                name: text(&package["name"]).into(),
                member: members.contains(id),
                folder: folder.expect("a manifest lies in a folder").into(),
                uses: uses.remove(id).unwrap_or_default(),
            };
            (id.to_owned(), package)
        });
        let packages: BTreeMap<_, _> = packages.collect();
        let named = packages.iter().filter(|(_, package)| package.member);
        let names = named.map(|(id, package)| (package.name.clone(), id.clone())).collect();
        Self { root: text(&metadata["workspace_root"]).into(), packages, names }
    }

    fn member(&self, name: &str) -> &Package {
        &self.packages[&self.names[name]]
    }

    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.member)
    }

    fn uses<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a Package> {
        package.uses.iter().map(|id| &self.packages[id])
    }

    /// The way from a crate to a dependency, however far, if there is one.
    fn way(&self, from: &str, to: &str) -> Option<Vec<&str>> {
        let start = &self.names[from];
        let mut came_from = BTreeMap::from([(start, start)]);
        let mut next = vec![start];
        while let Some(id) = next.pop() {
            if self.packages[id].name == to {
                let mut way = vec![self.packages[id].name.as_str()];
                let mut at = id;
                while came_from[at] != at {
                    at = came_from[at];
                    way.insert(0, self.packages[at].name.as_str());
                }
                return Some(way);
            }
            for used in &self.packages[id].uses {
                came_from.entry(used).or_insert_with(|| {
                    next.push(used);
                    id
                });
            }
        }
        None
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo writes text here")
}

/// The id of a dependency that the crate needs to run.
fn normal(dependency: &Value) -> Option<String> {
    let is_normal = list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
    is_normal.then(|| text(&dependency["pkg"]).to_owned())
}

fn height(name: &str) -> u8 {
    let found = HEIGHTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("{name} has no place in the layers: give it one here")).1
}

#[test]
fn a_crate_uses_only_lower_ones() {
    let workspace = Workspace::read();
    for package in workspace.members() {
        for used in workspace.uses(package).filter(|used| used.member) {
            let (user, used) = (package.name.as_str(), used.name.as_str());
            assert!(height(used) < height(user), "{user} uses {used}, which is not lower");
        }
    }
}

#[test]
fn the_client_knows_nothing_of_the_daemon() {
    let workspace = Workspace::read();
    let client = workspace.member("vanctl");
    for used in workspace.uses(client).filter(|used| used.member) {
        assert!(CLIENT_USES.contains(&used.name.as_str()), "vanctl uses {}", used.name);
    }
}

#[test]
fn pure_crates_reach_no_runtime() {
    let workspace = Workspace::read();
    for name in PURE {
        for impure in IMPURE {
            if let Some(way) = workspace.way(name, impure) {
                panic!("{name} reaches {impure}: {}", way.join(" → "));
            }
        }
    }
}

#[test]
fn pure_crates_write_nothing_impure() {
    let workspace = Workspace::read();
    let mut found = Vec::new();
    for name in PURE {
        for file in sources(&workspace.member(name).folder.join("src")) {
            let shown = file.strip_prefix(&workspace.root).expect("it lies in the workspace");
            let source = fs::read_to_string(&file).expect("sources are text");
            for (number, line) in code(&source) {
                for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                    let allowed = |(f, w): &(&str, &str)| Path::new(f) == shown && w == word;
                    if !EXCEPTIONS.iter().any(allowed) {
                        found.push(format!("{}:{number}: {word}", shown.display()));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "pure crates know no runtime, file, clock …:\n{}", found.join("\n"));
}

/// The files of a crate but those that are only tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a crate has sources");
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The lines of a file with their numbers, without comments and without what follows
/// `#[cfg(test)]`, which the house keeps at a file's end.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines().zip(1..).take_while(|(line, _)| line.trim() != "#[cfg(test)]");
    lines.map(|(line, number)| (number, line.split("//").next().unwrap_or_default()))
}

#[test]
fn comments_and_tests_are_no_code() {
    let source = "use a;\n// std::fs\nlet b; // TcpStream\n#[cfg(test)]\nmod tests { std::fs }\n";
    let lines: Vec<_> = code(source).map(|(number, line)| (number, line.trim())).collect();
    assert_eq!(lines, [(1, "use a;"), (2, ""), (3, "let b;")]);
}
