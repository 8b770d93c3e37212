//! A peer who is neither root, nor the daemon's user, nor in the group.
//!
//! Alone in its binary: as root it changes the user of the whole process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, geteuid, setegid, seteuid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use van_api::fake::FakeSite;
use van_api::{ApiSocket, Policy, Server};

async fn call(path: &Path, method: &str, route: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("{method} {route} HTTP/1.1\r\nhost: v\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn strangers_may_only_read_the_status() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let policy = Policy { own_uid: u32::MAX - 9, group: None, group_name: "vand".into() };
    let socket = ApiSocket::bind(&path, "no-such-group-here").unwrap().with_policy(policy);
    let mut tasks = JoinSet::new();
    tasks.spawn(Server::new(socket, FakeSite::new()).run(CancellationToken::new()));
    if geteuid().is_root() {
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        setegid(Gid::from_raw(65534)).unwrap();
        seteuid(Uid::from_raw(65534)).unwrap();
    }
    for route in ["/v1/status", "/v1/site", "/v1/links", "/v1/services", "/v1/events"] {
        let answer = call(&path, "GET", route).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{route}: {answer}");
    }
    for (method, route) in [
        ("GET", "/v1/tokens"),
        ("GET", "/v1/tokens/x"),
        ("GET", "/v1/config"),
        ("GET", "/v1/config?watch=1"),
        ("DELETE", "/v1/links/x"),
        ("PUT", "/v1/connectors/x"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/log"),
    ] {
        let answer = call(&path, method, route).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{method} {route}: {answer}");
        assert!(answer.contains("usermod -aG vand"), "{answer}");
        assert!(answer.contains("\"not_allowed\""), "{answer}");
    }
    if Uid::current().is_root() {
        seteuid(Uid::from_raw(0)).unwrap();
        setegid(Gid::from_raw(0)).unwrap();
    }
}
