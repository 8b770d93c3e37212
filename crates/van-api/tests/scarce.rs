//! A process that has no file descriptors left still answers on its API.
//!
//! Alone in its binary: it lowers the limit of the whole process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::File;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use van_api::fake::FakeSite;
use van_api::{ApiSocket, Server};

#[tokio::test]
async fn the_api_answers_without_free_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let socket = ApiSocket::bind(&path, "no-such-group-here").unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(Server::new(socket, FakeSite::new()).run(CancellationToken::new()));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();

    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    for round in 0..20 {
        // The client is of this process too: it gets the one file that is free.
        drop(taken.pop());
        let asked = async {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "round {round}: {answer}");
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
    }
}
