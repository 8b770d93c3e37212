//! Clients of HTTP/2 that send what costs them little and others much: the daemon stays small, and
//! serves the rest.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use van_testkit::DEADLINE;

use crate::Pair;
use crate::target::{Target, answer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Flags.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:method POST`, `:scheme http`, `:path /`, each out of HPACK's static table, and `:authority web`.
const POST: &[u8] = b"\x83\x86\x84\x41\x03web";

/// Bytes of a flood; a client that is cut off sends less.
const FLOOD: usize = 8 << 20;

/// What the daemon may grow by.
const MOST_MEMORY: u64 = 8 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// How a flood ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// All of it was sent, or the daemon took no more of it.
    Borne,
    /// The connection was ended.
    CutOff,
}

/// A client's connection that floods.
struct Flood {
    stream: TcpStream,
    /// The last kind of frame that came back, and whether any.
    heard: Arc<AtomicU8>,
}

impl Flood {
    /// Greets; hears what comes back, or leaves it all unread.
    fn start(port: u16, listens: bool) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(PREFACE).unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, b"")).unwrap();
        let heard = Arc::new(AtomicU8::new(u8::MAX));
        if listens {
            let (mut reading, told) = (stream.try_clone().unwrap(), heard.clone());
            std::thread::spawn(move || {
                let mut head = [0; 9];
                while reading.read_exact(&mut head).is_ok() {
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                    let mut payload = vec![0; length as usize];
                    if reading.read_exact(&mut payload).is_err() {
                        return;
                    }
                    if told.load(Ordering::SeqCst) != GOAWAY {
                        told.store(head[3], Ordering::SeqCst);
                    }
                }
            });
        }
        Self { stream, heard }
    }

    /// Sends the pieces of `next` until there were enough, or nobody takes them.
    fn pour(&mut self, mut next: impl FnMut(u32) -> Vec<u8>) -> End {
        let (mut sent, mut turn) = (0, 0);
        let start = Instant::now();
        while sent < FLOOD && start.elapsed() < DEADLINE {
            let mut bytes = Vec::new();
            while bytes.len() < 64 * 1024 {
                bytes.extend(next(turn));
                turn += 1;
            }
            match self.stream.write_all(&bytes) {
                Ok(()) => sent += bytes.len(),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return End::Borne;
                }
                Err(_) => return End::CutOff,
            }
        }
        if self.heard.load(Ordering::SeqCst) == GOAWAY { End::CutOff } else { End::Borne }
    }
}

fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Streams of odd numbers, as clients begin them.
fn stream(turn: u32) -> u32 {
    (turn * 2 + 1) & 0x7fff_ffff
}

/// What is sent: its name, what comes first, what is repeated, and how it may end.
type Kind = (&'static str, Vec<u8>, fn(u32) -> Vec<u8>, &'static [End]);

fn kinds() -> Vec<Kind> {
    const BOTH: &[End] = &[End::Borne, End::CutOff];
    const CUT_OFF: &[End] = &[End::CutOff];
    let begun = frame(HEADERS, END_HEADERS, 1, POST);
    vec![
        (
            "rapid reset",
            Vec::new(),
            |turn| {
                let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream(turn), POST);
                both.extend(frame(RST_STREAM, 0, stream(turn), &8u32.to_be_bytes()));
                both
            },
            CUT_OFF,
        ),
        (
            "streams beyond the limit",
            Vec::new(),
            |turn| frame(HEADERS, END_HEADERS, stream(turn), POST),
            CUT_OFF,
        ),
        (
            "CONTINUATION",
            frame(HEADERS, 0, 1, POST),
            |_| frame(CONTINUATION, 0, 1, b"\x40\x01a\x01b"),
            CUT_OFF,
        ),
        (
            "empty CONTINUATION",
            frame(HEADERS, 0, 1, POST),
            |_| frame(CONTINUATION, 0, 1, b""),
            CUT_OFF,
        ),
        ("SETTINGS", Vec::new(), |_| frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"), BOTH),
        ("PING", Vec::new(), |_| frame(PING, 0, 0, b"are you?"), BOTH),
        ("empty DATA", begun.clone(), |_| frame(DATA, 0, 1, b""), BOTH),
        ("PRIORITY", Vec::new(), |turn| frame(PRIORITY, 0, stream(turn), b"\0\0\0\0\x10"), BOTH),
        ("WINDOW_UPDATE", begun, |_| frame(WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes()), BOTH),
        ("an oversized frame", Vec::new(), |_| frame(DATA, 0, 1, &[0; 20_000]), CUT_OFF),
        (
            "a header list that unpacks to much",
            Vec::new(),
            |turn| {
                // One entry of 3 KiB goes into the dynamic table, then is named again and again.
                let mut block = POST.to_vec();
                block.extend(b"\x40\x01a\x7f\xb1\x16");
                block.extend(vec![b'z'; 3000 - 8]);
                block.extend(vec![0xbe; 2000]);
                frame(HEADERS, END_HEADERS | END_STREAM, stream(turn), &block)
            },
            BOTH,
        ),
    ]
}

#[test]
fn floods_are_borne_or_cut_off_and_others_are_served() {
    let target = Target::start(|asked, stream| {
        assert!(!asked.line().starts_with("POST") || asked.line().contains(" / "));
        answer(stream, "fine")
    });
    let mut pair = Pair::start(target.port);
    let pid = pair.sites.public.process().id();
    assert_eq!(pair.client().get("/").body, "fine");
    for listens in [true, false] {
        for (name, first, next, ends) in kinds() {
            let before = memory(pid);
            let mut flood = Flood::start(pair.port, listens);
            flood.stream.write_all(&first).unwrap();
            let end = flood.pour(next);
            let start = Instant::now();
            assert_eq!(pair.client().get("/").body, "fine", "{name}");
            assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?}", start.elapsed());
            let grown = memory(pid).saturating_sub(before);
            assert!(grown < MOST_MEMORY, "{name}: {grown} bytes more");
            // Who does not listen may be stopped by its own unread answers instead.
            assert!(!listens || ends.contains(&end), "{name}: {end:?}");
        }
    }
}
