//! Clients that do nothing for a while, by a clock that runs as fast as it can.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use van_http::{Client, Front, Opened, Routes, Routing, Version, Way, Ways};
use van_mux::ResetCode;
use van_net::{Meter, Tasks};

/// A site with a target that answers each request after `delay`.
#[derive(Debug)]
struct OneTarget {
    delay: Duration,
    tasks: Tasks,
    meter: Arc<Meter>,
}

impl Ways for OneTarget {
    fn choose(&self, _: Option<usize>, tried: &[u64]) -> Option<Way> {
        tried.is_empty().then(|| Way {
            key: 1,
            site: van_model::SiteId::from_bytes([7; 20]),
            address: "web".parse().unwrap(),
            hint: String::new(),
            targets: 1,
            meter: self.meter.clone(),
            service: self.meter.clone(),
        })
    }

    fn open(
        &self,
        _: &Way,
        _: Option<&str>,
        _: usize,
    ) -> BoxFuture<'static, Result<Opened, ResetCode>> {
        let (near, far) = duplex(4096);
        self.tasks.spawn("target", answer(far, self.delay));
        std::future::ready(Ok(Opened { io: Box::new(near), target: "one".into() })).boxed()
    }

    fn service(&self, _: Option<usize>) -> Option<Arc<Meter>> {
        None
    }

    fn failed(&self, _: &Way) {}
}

async fn answer(mut io: DuplexStream, delay: Duration) {
    let mut bytes = Vec::new();
    while io.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.drain(..end + 4);
            sleep(delay).await;
            io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    }
}

fn client(delay: Duration) -> DuplexStream {
    let tasks = Tasks::new(Handle::current(), CancellationToken::new());
    let meter = Arc::<Meter>::default();
    let ways = Arc::new(OneTarget { delay, tasks: tasks.clone(), meter: meter.clone() });
    let front = Front::new(
        Routing { routes: Routes::default(), ways },
        Version::Http1,
        "web".into(),
        meter,
        None,
    );
    let (near, far) = duplex(4096);
    let client = Client {
        io: Box::new(far),
        address: None,
        counted: Arc::default(),
        worker: 0,
        secure: false,
    };
    let leaving = tasks.child();
    tasks.clone().spawn("client", front.serve(client, tasks, leaving));
    near
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: web\r\n\r\n";

async fn read_answers(io: &mut DuplexStream, count: usize) {
    let mut text = String::new();
    while text.matches("\r\n\r\nok").count() < count {
        let mut room = [0; 1024];
        let read = io.read(&mut room).await.unwrap();
        assert!(read > 0, "the connection ended after {text}");
        text.push_str(std::str::from_utf8(&room[..read]).unwrap());
    }
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), count, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_it_rested() {
    let mut io = client(Duration::ZERO);
    for pause in [0, 1, 3, 60, 0, 70] {
        sleep(Duration::from_secs(pause)).await;
        io.write_all(REQUEST).await.unwrap();
        read_answers(&mut io, 1).await;
        sleep(Duration::from_secs(pause / 2)).await;
        // Several at once, and one that comes in pieces.
        io.write_all(&REQUEST.repeat(3)).await.unwrap();
        read_answers(&mut io, 3).await;
        for piece in REQUEST.chunks(5) {
            sleep(Duration::from_millis(1100)).await;
            io.write_all(piece).await.unwrap();
        }
        read_answers(&mut io, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_is_waited_for() {
    let mut io = client(Duration::from_secs(30));
    io.write_all(&REQUEST.repeat(2)).await.unwrap();
    let start = Instant::now();
    read_answers(&mut io, 2).await;
    assert!(start.elapsed() >= Duration::from_secs(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_long_is_closed_in_order() {
    let mut io = client(Duration::ZERO);
    io.write_all(REQUEST).await.unwrap();
    read_answers(&mut io, 1).await;
    let start = Instant::now();
    assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 0);
    let waited = start.elapsed().as_secs();
    assert!((75..=77).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_long_is_refused() {
    let mut io = client(Duration::ZERO);
    io.write_all(REQUEST).await.unwrap();
    read_answers(&mut io, 1).await;
    sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    let mut answer = [0; 512];
    let count = loop {
        io.write_all(b"G").await.unwrap();
        tokio::select! {
            count = io.read(&mut answer) => break count.unwrap(),
            () = sleep(Duration::from_secs(1)) => {}
        }
    };
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&answer[..count]));
    assert!(start.elapsed() <= Duration::from_secs(22), "{:?}", start.elapsed());
}
