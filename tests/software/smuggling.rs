//! What could be read in two ways, sent to vand, nginx and haproxy alike, each in front of the same
//! target: vand passes on nothing that one of them refuses.

#[path = "../../crates/van-framing/tests/vectors/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use table::{CHUNKED, CHUNKS, FIELDS, LENGTHS, LINES};
use van_testkit::program;

use crate::far::Far;

const TARGET: u16 = 8300;
const NGINX: u16 = 8301;
const HAPROXY: u16 = 8302;

/// How long an answer may take that maybe never comes: some wait for more bytes.
const PATIENCE: Duration = Duration::from_millis(700);

/// What vand takes though one of the others does not, and why.
const LENIENT: [(&str, &str); 2] = [
    ("absolute", "the target's host counts, and Host is written anew from it (RFC 9112, 3.2.2)"),
    ("asterisk", "OPTIONS * is a request for the server (RFC 9112, 3.2.4)"),
];

#[test]
fn vand_is_as_strict_as_nginx_and_haproxy() {
    let far = Far::side_by_side();
    let target = far.far().within(|| TcpListener::bind(("127.0.0.1", TARGET)).unwrap());
    thread::spawn(move || target.incoming().flatten().for_each(serve));
    let dir = far.folder("proxies", "www-data");
    let _servers = [nginx(&far, &dir), haproxy(&far, &dir)];
    far.bring_as("http", "vand", TARGET);

    let mut all: Vec<(String, String)> = [&LINES[..], &FIELDS, &LENGTHS]
        .concat()
        .into_iter()
        .map(|(name, text, _)| (name.to_owned(), text.to_owned()))
        .collect();
    all.extend(
        CHUNKS
            .iter()
            .map(|(name, text, _)| (format!("chunks: {name}"), format!("{CHUNKED}{text}"))),
    );
    let mut table = String::new();
    let mut differing = Vec::new();
    let mut counts = BTreeMap::<&str, usize>::new();
    for (name, text) in &all {
        let verdict = |at_near: bool, port: u16| {
            let host = if at_near { far.near() } else { far.far() };
            takes(host.within(|| TcpStream::connect(("127.0.0.1", port)).unwrap()), text)
        };
        let vand = verdict(true, TARGET);
        let (nginx, haproxy) = (verdict(false, NGINX), verdict(false, HAPROXY));
        for (who, takes) in [("vand", vand), ("nginx", nginx), ("haproxy", haproxy)] {
            *counts.entry(who).or_default() += usize::from(!takes);
        }
        let word = |takes| if takes { "takes" } else { "refuses" };
        if (vand, vand) != (nginx, haproxy) {
            let row = [vand, nginx, haproxy].map(word).join(" | ");
            writeln!(table, "| {name} | {row} |").unwrap();
        }
        let excused = LENIENT.iter().any(|(lenient, _)| lenient == name);
        if vand && !(nginx && haproxy) && !excused {
            differing.push(name);
        }
    }
    assert!(all.len() >= 60, "{}", all.len());
    // For whoever keeps the page on it: what differs between the three.
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("smuggling.md");
    fs::write(file, format!("{counts:?}\n{table}")).unwrap();
    assert!(differing.is_empty(), "taken by vand alone: {differing:?}\n{table}");
}

/// Answers each request, read as leniently as can be, and closes: nothing hides behind another.
fn serve(mut stream: TcpStream) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 2) {
            line.clear();
        }
        let _gone = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let _gone = stream.shutdown(Shutdown::Write);
        let _rest = reader.read_to_end(&mut line);
    });
}

/// Whether this is taken for a request: the answer is the target's.
fn takes(mut stream: TcpStream, text: &str) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let (mut answer, mut room) = (Vec::new(), [0; 4096]);
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut room) {
            Ok(count @ 1..) => answer.extend_from_slice(&room[..count]),
            _ => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200")
}

fn nginx(far: &Far, dir: &std::path::Path) -> van_testkit::Process {
    let folder = dir.display();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/log;\nuser root;\n\
         events {{ }}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{NGINX}; location / {{\n\
         proxy_pass http://127.0.0.1:{TARGET}; proxy_http_version 1.1; proxy_request_buffering off;\n\
         }} }} }}\n"
    );
    start(far, program("nginx", "nginx-light"), "-c", &dir.join("nginx.conf"), &text, NGINX)
}

fn haproxy(far: &Far, dir: &std::path::Path) -> van_testkit::Process {
    let text = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
         listen web\n  bind 127.0.0.1:{HAPROXY}\n  server target 127.0.0.1:{TARGET}\n"
    );
    start(far, program("haproxy", "haproxy"), "-f", &dir.join("haproxy.cfg"), &text, HAPROXY)
}

fn start(
    far: &Far,
    mut server: Command,
    option: &str,
    file: &std::path::Path,
    text: &str,
    port: u16,
) -> van_testkit::Process {
    fs::write(file, text).unwrap();
    server.arg(option).arg(file);
    far.serve(server, port)
}
