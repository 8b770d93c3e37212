//! The HTTP stacks of Python, Node and Go, each asked by each.

use std::path::{Path, PathBuf};
use std::process::Command;

use van_testkit::program;

use crate::far::Far;

/// A program that `make test` prepares beside the build.
pub(crate) fn prepared(name: &str) -> PathBuf {
    let mut dir = std::env::current_exe().unwrap();
    while dir.pop() {
        let path = dir.join("tools/software").join(name);
        if path.exists() {
            return path;
        }
    }
    panic!("no tools/software/{name} beside the build: scripts/test-software.sh makes it");
}

/// A file beside this one.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("software/stacks").join(name)
}

fn stack(language: &str) -> Command {
    match language {
        "python" => {
            let mut command = Command::new(prepared("python/bin/python"));
            command.arg(script("stack.py"));
            command
        }
        "node" => {
            let mut command = program("node", "nodejs");
            command.arg(script("stack.mjs"));
            command
        }
        _ => Command::new(prepared("bin/stack")),
    }
}

#[test]
fn python_node_and_go_understand_each_other() {
    const LANGUAGES: [&str; 3] = ["python", "node", "go"];
    for far in Far::both() {
        for (language, port) in LANGUAGES.into_iter().zip(8091..) {
            let mut server = stack(language);
            server.args(["serve", &port.to_string()]);
            let _server = far.serve(server, port);
            far.bring_as("http", language, port);
            for client in LANGUAGES {
                let told = far.client(stack(client), &format!("ask {port}"), b"");
                assert_eq!(told.trim(), "ok", "{client} asks {language}");
            }
        }
    }
}

#[test]
fn go_speaks_http2_from_end_to_end() {
    const PORT: u16 = 8094;
    for far in Far::both() {
        let mut server = stack("go");
        server.args(["serve", &PORT.to_string()]);
        let _server = far.serve(server, PORT);
        far.bring_as("http2", "go", PORT);
        let told = far.client(stack("go"), &format!("ask2 {PORT}"), b"");
        assert_eq!(told.trim(), "ok");
        // A client of HTTP/1.1 reaches targets of HTTP/2 as well.
        let told = far.client(stack("python"), &format!("ask {PORT}"), b"");
        assert_eq!(told.trim(), "ok");
    }
}
