//! Workloads that speak HTTP/1.1, each connection in a thread of its own.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use van_testkit::DEADLINE;

/// A request as the workload saw it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The head as it came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// A field's values, joined.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// A field's values in a head, joined.
pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let values: Vec<_> = fields
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// A workload.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Target {
    /// Answers each request by `serve`, which says whether the connection goes on.
    pub(crate) fn start(
        serve: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::<AtomicUsize>::default();
        let counted = requests.clone();
        let target = Self::raw(move |stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            while let Some(asked) = read_request(&mut reader) {
                counted.fetch_add(1, Ordering::SeqCst);
                if !serve(&asked, &mut stream) {
                    return;
                }
            }
        });
        Self { requests, ..target }
    }

    /// Serves each connection by `serve`.
    pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, connections) = (Arc::default(), Arc::<AtomicUsize>::default());
        let (serve, counted) = (Arc::new(serve), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serve, counted) = (stream.unwrap(), serve.clone(), counted.clone());
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                thread::spawn(move || {
                    // A check connects and says nothing.
                    if stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
                        counted.fetch_add(1, Ordering::SeqCst);
                        serve(stream);
                    }
                });
            }
        });
        Self { port, requests, connections }
    }

    /// Answers each request with this word.
    pub(crate) fn saying(word: &'static str) -> Self {
        Self::start(move |_, stream| answer(stream, word))
    }

    /// Answers each request with the head and the body as they came.
    pub(crate) fn echo() -> Self {
        Self::start(|asked, stream| {
            let text = format!("{}\n{}", asked.head, String::from_utf8_lossy(&asked.body));
            answer(stream, &text)
        })
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Connections so far that said something.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Sends an answer with this body; the connection goes on.
pub(crate) fn answer(stream: &mut TcpStream, body: &str) -> bool {
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).is_ok()
}

/// Reads a head, the empty line left out; `None`: the connection is over.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) if line == "\r\n" => return Some(head),
            Ok(_) => head.push_str(&line),
            Err(error) => {
                let expected = [
                    ErrorKind::ConnectionReset,
                    ErrorKind::WouldBlock,
                    ErrorKind::TimedOut,
                    ErrorKind::InvalidData,
                ];
                assert!(expected.contains(&error.kind()), "{error}");
                return None;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let head = read_head(reader)?;
    if let Some(wanted) = field(&head, "expect") {
        assert_eq!(wanted, "100-continue");
        return Some(Asked { head, body: Vec::new() });
    }
    let body = read_body(reader, &head)?;
    Some(Asked { head, body })
}

/// Reads the body that a head announces; `None`: it is cut short.
pub(crate) fn read_body(reader: &mut impl BufRead, head: &str) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = field(head, "content-length") {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body).ok()?;
    } else if field(head, "transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            if size == 0 {
                // Trailers belong to what was said.
                body.extend_from_slice(read_head(reader)?.as_bytes());
                return Some(body);
            }
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Some(body)
}

/// How long something that must not happen is waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
