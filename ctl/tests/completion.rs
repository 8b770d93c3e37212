//! Completion by a real shell, with a fake site behind the socket.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use van_api::fake::FakeSite;
use van_api::{ApiSocket, Server};

/// The candidates of bash for a line that ends with the word to complete.
fn bash(url: &str, line: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_vanctl")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = "source <(vanctl completion bash); IFS=' ' read -ra COMP_WORDS <<<\"$1\"; \
        [[ $1 == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9; \
        _clap_complete_vanctl vanctl \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\" 2>/dev/null; \
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", line])
        .env_clear()
        .envs([("PATH", &*path), ("VANCTL_URL", url)])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_commands_options_and_live_names() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let (site, stop, mut tasks) = (FakeSite::new(), CancellationToken::new(), JoinSet::new());
    {
        let _in_runtime = runtime.enter();
        let socket = ApiSocket::bind(&dir.path().join("vand.sock"), "no-such-group").unwrap();
        tasks.spawn(Server::new(socket, site).run(stop.clone()));
    }
    let url = format!("unix://{}/vand.sock", dir.path().display());
    let create = ["listener", "create", "front", "127.0.0.1:8080", "--wait", "0"];
    let made = Command::new(env!("CARGO_BIN_EXE_vanctl"))
        .args(create)
        .env("VANCTL_URL", &url)
        .status()
        .unwrap();
    assert!(made.success());

    assert_eq!(bash(&url, "vanctl expo"), ["expose"]);
    assert!(bash(&url, "vanctl token create --exp").contains(&"--expires".to_owned()));
    assert!(bash(&url, "vanctl listener delete ").contains(&"front".to_owned()));
    assert_eq!(bash(&url, "vanctl listener delete fr"), ["front"]);
    assert_eq!(bash(&url, "vanctl --url u listener delete fr"), ["front"]);

    // Without a daemon there are no names, and nothing is said into the reader's line.
    stop.cancel();
    drop(runtime);
    assert!(!bash(&url, "vanctl listener delete ").contains(&"front".to_owned()));
    assert_eq!(bash(&url, "vanctl expo"), ["expose"]);
}

#[test]
fn scripts_ask_the_program() {
    for shell in ["bash", "zsh", "fish"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_vanctl")).args(["completion", shell]).output();
        let script = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(script.contains("vanctl") && script.contains("VANCTL_COMPLETE"), "{script}");
    }
}
