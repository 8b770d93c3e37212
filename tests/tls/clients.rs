//! Listeners that end their clients' TLS.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use van_testkit::{DEADLINE, program, wait_until};

use crate::{Lab, text};

/// A workload that sends everything back, and ends when its client does.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // Only a client that ended in order is answered.
                if stream.read_to_end(&mut bytes).is_ok() {
                    let _gone = stream.write_all(&bytes);
                }
            });
        }
    });
    port
}

/// A workload that answers each request with its own head.
fn mirror() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut bytes, mut room) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    bytes.extend_from_slice(&room[..count]);
                    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                        let head: Vec<u8> = bytes.drain(..end + 4).collect();
                        let line =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
                        let _gone = stream.write_all(&[line.as_bytes(), &head].concat());
                    }
                }
            });
        }
    });
    port
}

struct Ran {
    good: bool,
    out: String,
    err: String,
}

fn run(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that fails early does not read it.
    let _early = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { good: output.status.success(), out: words(&output.stdout), err: words(&output.stderr) }
}

fn curl(line: &str) -> Ran {
    let mut curl = program("curl", "curl");
    curl.args(["-sS", "--max-time", "20"]).args(line.split_whitespace());
    run(curl, b"")
}

/// A client's configuration that trusts an authority.
pub(crate) fn trusting(authority: &crate::Authority) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority.file()).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn streams_end_in_order_in_both_directions() {
    let lab = Lab::start();
    lab.offer(echo(), "");
    let port = lab.listen(&lab.ending_tls());
    let (ca, config) = (text(&lab.authority.file()), trusting(&lab.authority));
    for (count, versions) in [(0, ""), (1, ""), (3_000_000, ""), (100_000, "-tls1_2")] {
        let sent: Vec<u8> = (0..count).map(|n| b'a' + (n % 23) as u8).collect();
        let mut client = program("openssl", "openssl");
        client.args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-nocommands"]);
        client.args(["-servername", "localhost", "-verify_hostname", "localhost", "-CAfile", &ca]);
        client.args(["-connect", &format!("127.0.0.1:{port}")]).args(versions.split_whitespace());
        let ran = run(client, &sent);
        assert!(ran.err.contains("verify return:1"), "{count}: {}", ran.err);
        // s_client leaves with the end of its input; a client that waits gets all of it back.
        let mut tls = client_of(&config, "localhost");
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        // Without bytes to send nothing else would begin it.
        tls.complete_io(&mut tcp).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        stream.write_all(&sent).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == sent, "{count}: {} came back", back.len());
    }
}

fn client_of(config: &Arc<rustls::ClientConfig>, name: &'static str) -> rustls::ClientConnection {
    rustls::ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap()
}

#[test]
fn a_stream_that_is_cut_is_never_an_orderly_end() {
    let lab = Lab::start();
    let (told, heard) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    lab.offer(listener.local_addr().unwrap().port(), "--check none");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 10];
            stream.read_exact(&mut first).unwrap();
            told.send((Ok(0), first.to_vec())).unwrap();
            let mut rest = Vec::new();
            told.send((stream.read_to_end(&mut rest).map_err(|e| e.kind()), rest)).unwrap();
        }
    });
    let port = lab.listen(&lab.ending_tls());
    // TLS by hand: bytes, then the end of TCP without that of TLS.
    let config = trusting(&lab.authority);
    for in_order in [true, false] {
        let name = "localhost".try_into().unwrap();
        let mut tls = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        stream.write_all(b"half of it").unwrap();
        // Cut before, and the workload may never have heard of it.
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap().1, b"half of it");
        if in_order {
            stream.conn.send_close_notify();
            stream.conn.write_tls(&mut stream.sock).unwrap();
        }
        tcp.shutdown(Shutdown::Write).unwrap();
        let (end, bytes) = heard.recv_timeout(DEADLINE).unwrap();
        assert_eq!(end.is_ok(), in_order, "{end:?}");
        assert_eq!(bytes, b"");
    }
}

#[test]
fn who_cuts_at_once_is_never_an_empty_request() {
    let lab = Lab::start();
    let (told, heard) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    lab.offer(listener.local_addr().unwrap().port(), "--check none");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            told.send((stream.read_to_end(&mut bytes).is_ok(), bytes)).unwrap();
        }
    });
    let port = lab.listen(&lab.ending_tls());
    let config = trusting(&lab.authority);
    let say = |words: &[u8], in_order: bool| {
        let mut tls = client_of(&config, "localhost");
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tls.complete_io(&mut tcp).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        stream.write_all(words).unwrap();
        if in_order {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        tcp.shutdown(Shutdown::Write).unwrap();
        // Until then it might be accepted after the next one.
        let _end = tcp.read(&mut [0; 64]);
    };
    (0..40).for_each(|_| say(b"half of it", false));
    say(b"all of it", true);
    loop {
        let (ended, bytes) = heard.recv_timeout(DEADLINE).unwrap();
        if bytes == b"all of it" {
            break assert!(ended);
        }
        assert!(!ended, "{bytes:?} looks whole");
    }
}

#[test]
fn requests_over_tls_are_balanced_and_say_so() {
    let lab = Lab::start();
    lab.offer(mirror(), "--protocol http");
    let port = lab.listen(&format!("--protocol http {}", lab.ending_tls()));
    let ca = text(&lab.authority.file());
    for version in ["--http1.1", "--http2", "--tlsv1.2 --tls-max 1.2"] {
        let line = format!(
            "{version} --cacert {ca} -H X-Forwarded-Proto:http https://localhost:{port}/a \
             https://localhost:{port}/b -w %{{http_version}}"
        );
        let ran = curl(&line);
        assert!(ran.good, "{version}: {}", ran.err);
        let said = ran.out.to_ascii_lowercase();
        assert_eq!(said.matches("x-forwarded-proto: https\r\n").count(), 2, "{}", ran.out);
        assert_eq!(said.matches("proto=https").count(), 2, "{}", ran.out);
        let wanted = if version == "--http1.1" { "1.1" } else { "2" };
        assert!(said.ends_with(wanted), "{version}: {}", ran.out);
    }
    // Who does not speak TLS gets nothing.
    assert!(!curl(&format!("http://localhost:{port}/")).good);
    assert!(!curl(&format!("https://localhost:{port}/")).good, "an authority that nobody trusts");
}

#[test]
fn clients_show_certificates_where_they_must() {
    let lab = Lab::start();
    lab.offer(mirror(), "--protocol http");
    let ca = text(&lab.authority.file());
    let options = format!("--protocol http {} --tls-client-ca {ca}", lab.ending_tls());
    let port = lab.listen(&options);
    let others = crate::Authority::new("others");
    let shown = |(certificate, key): (std::path::PathBuf, std::path::PathBuf)| {
        format!("--cert {} --key {}", text(&certificate), text(&key))
    };
    let ask = |how: &str| curl(&format!("--cacert {ca} {how} https://localhost:{port}/"));
    assert!(ask(&shown(lab.authority.issue("client", &["a client"]))).good);
    assert!(!ask("").good, "no certificate");
    assert!(!ask(&shown(others.issue("client", &["a client"]))).good, "another authority");
    assert!(!ask(&shown(lab.authority.issue_until("old", &["a client"], 2002))).good, "expired");
}

#[test]
fn new_files_are_used_and_bad_ones_are_told() {
    let lab = Lab::start();
    lab.offer(mirror(), "--protocol http");
    let port = lab.listen(&format!("--protocol http {}", lab.ending_tls()));
    let ca = text(&lab.authority.file());
    let ask = || curl(&format!("--cacert {ca} https://localhost:{port}/"));
    assert!(ask().good);
    let problem = || {
        let (_, listener) = lab.sites.public.get("/v1/listeners/web").unwrap();
        listener["status"]["conditions"].to_string() + &listener["status"]["problem"].to_string()
    };
    let (certificate, key) = lab.authority.issue("other", &["localhost"]);
    let (now, _) = lab.authority.issue("spare", &["localhost"]);
    // A certificate with another's key: what was read before goes on.
    let served = certificate.with_file_name("server.crt");
    std::fs::copy(&now, &served).unwrap();
    wait_until(DEADLINE, "the mistake was told", || problem().contains("can't be used together"));
    assert!(ask().good);
    std::fs::copy(&certificate, &served).unwrap();
    std::fs::copy(&key, certificate.with_file_name("server.key")).unwrap();
    wait_until(DEADLINE, "the mistake was mended", || !problem().contains("can't be used"));
    let verbose = curl(&format!("-v --cacert {ca} https://localhost:{port}/"));
    assert!(verbose.good && verbose.err.contains("CN=other"), "{}", verbose.err);
}

#[test]
fn no_client_is_lost_while_files_are_replaced() {
    let lab = Lab::start();
    lab.offer(mirror(), "--protocol http");
    let options = lab.ending_tls();
    let port = lab.listen(&format!("--protocol http {options}"));
    let ca = text(&lab.authority.file());
    let served = lab.authority.file().with_file_name("server.crt");
    // Longer than two looks at the files, which are 5 s apart.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(12);
    let goes_on = || std::time::Instant::now() < end;
    let seen: std::collections::BTreeSet<String> = thread::scope(|scope| {
        scope.spawn(|| {
            for turn in (0..).take_while(|_| goes_on()) {
                let (certificate, key) =
                    lab.authority.issue(&format!("turn-{turn}"), &["localhost"]);
                // One after the other, so that a look may come between.
                for (new, old) in
                    [(certificate, served.clone()), (key, served.with_extension("key"))]
                {
                    std::fs::rename(new, old).unwrap();
                    thread::sleep(std::time::Duration::from_millis(5));
                }
            }
        });
        let client = || {
            let mut names = Vec::new();
            while goes_on() {
                let ran = curl(&format!("-v --cacert {ca} https://localhost:{port}/"));
                assert!(ran.good, "{}", ran.err);
                let name = ran.err.lines().find(|line| line.contains("subject:"));
                names.push(name.unwrap_or_default().to_owned());
            }
            names
        };
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(seen.len() > 1, "no new files were used: {seen:?}");
}

#[test]
fn a_client_that_speaks_no_tls_hears_an_alert() {
    let lab = Lab::start();
    lab.offer(mirror(), "--protocol http");
    let port = lab.listen(&format!("--protocol http {}", lab.ending_tls()));
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    // A record of alerts, and then an orderly end.
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    wait_until(DEADLINE, "the log told", || {
        lab.sites.public.log().contains("clients were refused")
    });
}
