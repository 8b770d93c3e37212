//! What a pod's probes hear before there is a site: it is alive, and not ready because of something.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::warn;

/// Time for one question.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers probes until it ends.
pub(super) struct Probes {
    waits_for: Arc<Mutex<String>>,
    task: JoinSet<()>,
}

impl Probes {
    /// Answers here. Where that can't be had, the probes fail, and say so themselves.
    pub(super) async fn start(listen: SocketAddr) -> Self {
        let waits_for = Arc::new(Mutex::new("the API server".to_owned()));
        let told = waits_for.clone();
        let mut task = JoinSet::new();
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                task.spawn(answer_all(listener, told));
            }
            Err(error) => warn!(%listen, %error, "probes are not answered until the site starts"),
        }
        Self { waits_for, task }
    }

    /// Says what the site waits for.
    pub(super) fn waits_for(&self, why: &str) {
        why.clone_into(&mut self.waits_for.lock());
    }

    /// Ends, so that the port is free.
    pub(super) async fn end(mut self) {
        self.task.shutdown().await;
    }
}

async fn answer_all(listener: TcpListener, waits_for: Arc<Mutex<String>>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let why = waits_for.lock().clone();
            // One that is slow keeps others waiting for no longer than this.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &why)).await;
        }
    }
}

async fn answer(mut stream: TcpStream, why: &str) -> std::io::Result<()> {
    let mut head = [0; 1024];
    let read = stream.read(&mut head).await?;
    let (code, text) = match head[..read].starts_with(b"GET /livez") {
        true => ("200 OK", "alive\n".to_owned()),
        false => ("503 Service Unavailable", format!("not ready: waits for {why}\n")),
    };
    let answer = format!(
        "HTTP/1.1 {code}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
