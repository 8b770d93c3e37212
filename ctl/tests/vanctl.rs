//! The real `vanctl` against a real socket with a fake site behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use van_api::fake::FakeSite;
use van_api::{ApiSocket, Server};

/// A site that answers for as long as this lives.
struct Daemon {
    dir: tempfile::TempDir,
    site: Arc<FakeSite>,
    runtime: Runtime,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Checks the whole of standard error and the exit code.
    #[track_caller]
    fn fails(self, code: i32, err: &str) {
        assert_eq!((self.code, &*self.err), (code, err), "{}", self.out);
    }
}

impl Daemon {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (site, stop, mut tasks) = (FakeSite::new(), CancellationToken::new(), JoinSet::new());
        {
            let _in_runtime = runtime.enter();
            let socket = ApiSocket::bind(&dir.path().join("vand.sock"), "no-such-group").unwrap();
            tasks.spawn(Server::new(socket, site.clone()).run(stop.clone()));
        }
        Self { dir, site, runtime, tasks, stop }
    }

    fn url(&self) -> String {
        format!("unix://{}/vand.sock", self.dir.path().display())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, line: &str) -> Command {
        let mut command = plain();
        command.env("VANCTL_URL", self.url()).args(line.split_whitespace());
        command.current_dir(self.dir.path());
        command
    }

    fn run(&self, line: &str) -> Ended {
        end(&mut self.command(line), b"")
    }
}

fn plain() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vanctl"));
    for name in ["VANCTL_URL", "VANCTL_SSH", "VANCTL_PLATFORM", "XDG_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    command
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = piped(command);
    // A program that reads nothing may be gone already.
    let _unread = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it ended by itself");
    Ended { code, out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn status_begins_with_two_sentences() {
    let daemon = Daemon::start();
    let text = daemon.run("status").ok();
    assert!(
        text.starts_with(
            "vand is enabled for site \"laptop\" in interior mode.\n\
             It is connected to 0 other sites.\n\n\
             warning: site/laptop: this is a fake\nhint: use a real one\n\nNAME       laptop\n"
        ),
        "{text}"
    );
    assert!(text.contains("UPTIME     1h 2m 5s\n"), "{text}");
    let token = daemon.file("t", "van1.good");
    end(daemon.command("link create").arg(token), b"").ok();
    assert!(daemon.run("status").ok().contains("\nIt is connected to 1 other sites.\n"));
    assert_eq!(daemon.run("status -o json").json()["sites_reached"], 1);
    assert_eq!(daemon.run("status -o name").ok(), "site/laptop\n");
}

#[test]
fn links() {
    let daemon = Daemon::start();
    let good = daemon.file("good", "van1.good\n");
    assert_eq!(daemon.run("link create good").ok(), "link/link1 created\n");
    let from_input = end(&mut daemon.command("link create - --cost 7 -o json"), b"van1.good");
    assert_eq!(from_input.json()["name"], "link2");
    daemon
        .run("link create good --name link1")
        .fails(1, "vanctl: link create failed: a link named \"link1\" exists already\n");

    let text = daemon.run("link status link1").ok();
    let (sentence, table) = text.split_once("\n\n").unwrap();
    assert_eq!(sentence, "Link link1 is connected");
    assert_eq!(
        table,
        "NAME   STATUS     PEER    DIRECTION  COST  RTT      SINCE\n\
         link1  connected  public  outgoing   1     0.31 ms  2026-09-21T14:13:20Z\n"
    );
    let all = daemon.run("link status").ok();
    let (sentences, table) = all.split_once("\n\n").unwrap();
    assert_eq!(sentences, "Link link1 is connected\nLink link2 is connected");
    assert!(table.starts_with("NAME ") && table.lines().count() == 3, "{all}");
    let verbose = daemon.run("link status --verbose").ok();
    for word in ["TLS_AES_128_GCM_SHA256", "X25519MLKEM768", "1.0 KiB", "192.0.2.2:8263"] {
        assert!(verbose.contains(word), "{verbose}");
    }
    assert_eq!(daemon.run("link status -o name").ok(), "link/link1\nlink/link2\n");
    assert_eq!(daemon.run("link status -q").ok(), "link1\nlink2\n");
    assert_eq!(daemon.run("link status -o json").json()["items"][1]["spec"]["cost"], 7);
    assert_eq!(daemon.run("link status link2 -o json").json()["name"], "link2");
    assert!(daemon.run("link status link2 -o yaml").ok().contains("state: connected\n"));

    assert_eq!(daemon.run("link delete link1").ok(), "link/link1 deleted\n");
    daemon
        .run("link status link1")
        .fails(4, "vanctl: link status failed: no link named \"link1\"\n");
    daemon.run("link delete a/b").fails(4, "vanctl: link delete failed: no link named \"a/b\"\n");
    assert_eq!(daemon.run("link create good").ok(), "link/link1 created\n");
    drop(good);
}

#[test]
fn waiting() {
    let daemon = Daemon::start();
    daemon.file("slow", "van1.slow");
    daemon.file("refused", "van1.refused");
    daemon.run("link create slow --wait 150ms").fails(
        6,
        "vanctl: link create failed: link link1 is not ready after 150ms: connecting\n\
         hint: it stays, and may still become ready; --wait DURATION waits longer\n",
    );
    assert!(daemon.run("link status link1").ok().starts_with("Link link1 is connecting\n"));
    assert_eq!(daemon.run("link create slow --wait 0").ok(), "link/link2 created\n");
    daemon
        .run("link create refused --name no")
        .fails(1, "vanctl: link create failed: the token was refused\nhint: ask for a new token\n");
    assert!(
        daemon
            .run("link status no")
            .ok()
            .starts_with("Link no has failed: the token was refused\n")
    );
    assert!(daemon.run("link status").ok().contains("failed: the token was refused"));

    let none = daemon.run("listener create web 127.0.0.1:8080 --address web");
    assert_eq!((none.code, &*none.err), (0, "note: no target yet\n"));
    assert_eq!(none.out, "listener/web created\n");
    let taken = daemon.run("listener create low 127.0.0.1:1 --wait 1ms");
    assert_eq!(taken.code, 6);
    assert!(taken.err.contains("after 1ms: the port is taken"), "{}", taken.err);
    let down = daemon.run("expose 127.0.0.1:1 --address down --wait 1ms");
    assert_eq!(down.code, 6);
    assert!(down.err.contains("connector down is not ready after 1ms: connection refused"));
}

#[test]
fn tokens() {
    let daemon = Daemon::start();
    let made = daemon.run("token create public.token --expires 1h --uses 2 --name first");
    assert_eq!((made.code, &*made.out), (0, ""));
    assert_eq!(
        made.err,
        "token first written to public.token: 2 uses, expires 2026-09-21T15:13:20Z\n"
    );
    let file = daemon.dir.path().join("public.token");
    assert_eq!(fs::read_to_string(&file).unwrap(), "van1.first\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    daemon.run("token create public.token -o yaml --name second").ok();
    assert!(fs::read_to_string(&file).unwrap().starts_with("kind: AccessToken\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(daemon.run("token create").ok(), "van1.token3\n");
    assert_eq!(daemon.run("token create -").ok(), "van1.token4\n");
    assert_eq!(daemon.run("token create -o json").json()["token"], "van1.token5");
    daemon.run("token create none/x.token").fails(
        1,
        "vanctl: token create failed: can't write none/x.token: no such file or directory\n",
    );
    assert_eq!(daemon.run("token list -o name").ok().lines().count(), 5);
    let list = daemon.run("token list").ok();
    assert!(list.contains("first   ready   0/2   2026-09-21T15:13:20Z\n"), "{list}");
    assert!(!list.contains("van1"));
    assert_eq!(daemon.run("token revoke first").ok(), "token/first revoked\n");
    daemon
        .run("token revoke first")
        .fails(4, "vanctl: token revoke failed: no token named \"first\"\n");
    let left: Vec<_> = fs::read_dir(daemon.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("token"))
        .collect();
    assert_eq!(left, ["public.token"]);
}

#[test]
fn secrets_are_not_taken_from_the_arguments() {
    let daemon = Daemon::start();
    daemon.run("link create van1.secret").fails(
        2,
        "vanctl: link create failed: a token is not taken from the command line\n\
         hint: write it to a file, or pipe it: vanctl link create -\n",
    );
    daemon
        .run("link create missing")
        .fails(1, "vanctl: link create failed: can't read missing: no such file or directory\n");
}

#[test]
fn exposing() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.run("expose 127.0.0.1:2000 --address echo --port 7").ok(),
        "connector/echo created\n"
    );
    assert_eq!(daemon.run("expose 127.0.0.1:2000 --address echo").ok(), "connector/echo created\n");
    assert_eq!(
        daemon.run("expose 127.0.0.1:2001 --address echo").ok(),
        "connector/echo-2 created\n"
    );
    assert_eq!(
        daemon.run("expose unix:/run/x --address from-file").ok(),
        "connector/from-file-2 created\n"
    );
    daemon.run("expose 127.0.0.1:3000").fails(
        2,
        "vanctl: expose failed: the service needs a name in the network\n\
         hint: vanctl expose 127.0.0.1:3000 --address NAME\n",
    );
    assert_eq!(daemon.run("expose deployment/shop --address shop").code, 1);
    assert_eq!(daemon.run("expose nowhere --address shop").code, 2);

    let text = daemon.run("service status").ok();
    assert!(text.starts_with("NAME       ADDRESS    PROTOCOL  TARGETS\n"), "{text}");
    assert!(text.contains("echo       echo       tcp       laptop: 1, public: 2\n"), "{text}");
    assert!(daemon.run("service status echo -v").ok().contains("1.50 ms"));
    daemon.run("connector create db 127.0.0.1:5432 --service-port 5432").ok();
    assert!(daemon.run("service status db").ok().contains("db    db:5432  tcp "));
    assert!(daemon.run("connector status db").ok().contains("healthy"));

    assert_eq!(daemon.run("unexpose 127.0.0.1:2001").ok(), "connector/echo-2 deleted\n");
    assert_eq!(daemon.run("unexpose --address echo").ok(), "connector/echo deleted\n");
    daemon.run("unexpose --address echo").fails(
        4,
        "vanctl: unexpose failed: echo is not exposed here\n\
         hint: vanctl connector status lists what is\n",
    );
    daemon.run("unexpose unix:/run/fake.sock").fails(
        1,
        "vanctl: unexpose failed: it comes from /etc/vand/vand.toml\n\
         hint: change the file and run: vanctl reload\n",
    );
}

#[test]
fn peers_site_config_and_the_daemon_itself() {
    let daemon = Daemon::start();
    daemon.file("t", "van1.good");
    daemon.run("link create t").ok();
    assert!(daemon.run("peer list").ok().contains("connected"));
    assert_eq!(daemon.run("peer revoke public").ok(), "peer/public revoked\n");
    assert!(daemon.run("peer list -o wide").ok().contains("revoked"));
    assert_eq!(daemon.run("peer revoke nobody").code, 4);
    let site = daemon.run("site show").ok();
    assert!(site.contains("labels.region  eu\n") && site.contains("mode           interior\n"));
    // A field of a newer daemon is kept in documents and passed over elsewhere.
    assert_eq!(daemon.run("site show -o json").json()["later"]["field"], 1);
    let config = daemon.run("config show").ok();
    assert!(config.contains("site.name  laptop  /etc/vand/vand.toml:2\n"), "{config}");
    assert_eq!(daemon.run("reload").ok(), "listener/web changed\n");
    assert_eq!(daemon.run("log level debug").ok(), "");
    assert_eq!(daemon.site.level(), "debug");
    daemon.run("log level loudest").fails(
        1,
        "vanctl: log level failed: \"loudest\" is no log level\n\
         hint: use error, warn, info, debug or trace\n",
    );
    assert_eq!(daemon.run("version").ok().lines().count(), 2);
    assert_eq!(daemon.run("version -o json").json()["daemon"]["site"], "laptop");
}

#[test]
fn pings() {
    let daemon = Daemon::start();
    let text = daemon.run("ping public -c 2 -i 1ms").ok();
    let mut lines = text.lines();
    let reply = lines.next().unwrap();
    assert!(reply.starts_with("reply from public (") && reply.ends_with("): time=0.31 ms"));
    assert_eq!(lines.nth(1), Some("2 sent, 2 answered; min/avg/max 0.31/0.31/0.31 ms"));
    let silent = daemon.run("ping silent -c 2 -i 1ms");
    assert_eq!(silent.code, 1);
    assert!(silent.out.ends_with("2 sent, 0 answered\n"), "{}", silent.out);
    assert_eq!(silent.err, "vanctl: ping failed: no answer from silent in 5 s\n");
    daemon.run("ping nobody").fails(4, "vanctl: ping failed: no site named \"nobody\"\n");
    assert_eq!(daemon.run("ping public -c 1 -o json").json()["answered"], 1);
}

#[test]
fn events_are_listed_and_followed() {
    let mut daemon = Daemon::start();
    daemon.site.happen("LinkUp", "link/a", "link a is up");
    let list = daemon.run("events").ok();
    assert!(list.contains("info      LinkUp  link/a   link a is up\n"), "{list}");
    assert_eq!(daemon.run("events -o json").json()["items"][0]["sequence"], 1);
    let mut child = piped(&mut daemon.command("events --follow -o json"));
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!(next()["reason"], "LinkUp");
    daemon.site.happen("LinkDown", "link/a", "link a is down");
    assert_eq!(next()["reason"], "LinkDown");
    daemon.stop.cancel();
    daemon.runtime.block_on(daemon.tasks.join_next());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_daemon_that_cannot_be_reached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let run = |line: &str| {
        let url = format!("unix://{}", path.display());
        end(plain().args(["--url", &url]).args(line.split(' ')), b"")
    };
    let at = path.display();
    run("status").fails(
        3,
        &format!(
            "vanctl: status failed: can't reach the daemon at {at}: no such file or directory\n\
             hint: is vand running? systemctl status vand\n"
        ),
    );
    assert_eq!(run("version").code, 0);
    assert_eq!(run("api-proxy").code, 3);
    // A socket on which nobody listens, and one whose owner closes without an answer.
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // It is asked twice, in case that it was just ending.
    let closing = std::thread::spawn(move || {
        for _ in 0..2 {
            drop(listener.accept().unwrap());
        }
    });
    let closed = run("status");
    assert_eq!(closed.code, 3, "{}", closed.err);
    assert!(closed.err.contains("no answer from the daemon"), "{}", closed.err);
    closing.join().unwrap();
    assert!(run("link status").err.contains("connection refused"));
}

#[test]
fn a_daemon_that_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let url = format!("unix://{}", path.display());
    end(plain().args(["--url", &url, "--timeout", "50ms", "status"]), b"").fails(
        6,
        "vanctl: status failed: no answer from the daemon within 50ms\n\
         hint: --timeout DURATION waits longer\n",
    );
}

#[test]
fn a_daemon_that_answers_nonsense() {
    for (answer, code) in [
        (&b"\x16\x03\x01 not http\r\n\r\n"[..], 3),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{", 3),
        (b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", 5),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vand.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let liar = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0);
            stream.write_all(answer).unwrap();
        });
        let url = format!("unix://{}", path.display());
        let ended = end(plain().args(["--url", &url, "status"]), b"");
        liar.join().unwrap();
        assert_eq!(ended.code, code, "{}", ended.err);
        assert!(ended.err.starts_with("vanctl: status failed: "), "{}", ended.err);
        assert!(!ended.err.contains("panicked") && ended.err.lines().count() <= 2);
    }
}

#[test]
fn usage() {
    let daemon = Daemon::start();
    for line in [
        "--bogus",
        "bogus",
        "link",
        "link bogus",
        "link create",
        "link create x --cost 0",
        "link create x --wait soon",
        "listener create A_b 127.0.0.1:1",
        "listener create web nowhere",
        "status -o xml",
        "--url ftp://x status",
        "--url ssh://-oProxyCommand=x status",
        "completion tcsh",
        "unexpose",
    ] {
        let ended = daemon.run(line);
        assert_eq!(ended.code, 2, "{line}: {}{}", ended.out, ended.err);
        for word in ["NonZero", "u16", "panicked", "::"] {
            assert!(!ended.err.contains(word), "{line}: {}", ended.err);
        }
    }
    let bad = daemon.run("listener create web nowhere");
    assert!(bad.err.starts_with("vanctl: listener create failed: "), "{}", bad.err);
    assert_eq!(end(&mut plain(), b"").code, 2);
    let no_cluster = |command: &mut Command| end(command.env("KUBECONFIG", "/nonexistent"), b"");
    for ended in [
        no_cluster(plain().args(["--url", "kube:///shop", "status"])),
        no_cluster(plain().args(["-n", "shop", "status"])),
        no_cluster(plain().env("VANCTL_PLATFORM", "kubernetes").arg("status")),
    ] {
        assert_eq!(ended.code, 3, "{}", ended.err);
        assert!(ended.err.contains("no cluster is found") && ended.err.contains("\nhint: "));
    }
}

#[test]
fn a_daemon_that_just_ends_is_asked_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let url = format!("unix://{}", path.display());
    // Closes each connection; tells how many came by the one that `last` makes.
    let count = |line: &str| {
        let listener = listener.try_clone().unwrap();
        let asked = std::thread::spawn(move || {
            let mut lengths = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 4096];
                lengths.push(stream.read(&mut head).unwrap());
                if lengths.last() == Some(&0) {
                    return lengths.len() - 1;
                }
            }
        });
        let ended = end(plain().env("VANCTL_URL", &url).args(line.split(' ')), b"");
        assert_eq!(ended.code, 3, "{}", ended.err);
        assert!(ended.err.contains("it closed the connection"), "{}", ended.err);
        drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
        asked.join().unwrap()
    };
    assert_eq!(count("status"), 2);
    // What changes something may have been done.
    assert_eq!(count("reload"), 1);
}

#[test]
fn help_teaches() {
    let help = end(plain().arg("--help"), b"").ok();
    for word in ["init", "status", "network", "flows", "trace", "check", "Examples:", "Exit codes:"]
    {
        assert!(help.contains(word), "{help}");
    }
    assert!(!help.contains("\n  console "), "{help}");
    assert!(end(plain().args(["help", "link", "create"]), b"").ok().contains("vanctl link create"));
    assert!(end(plain().arg("--version"), b"").ok().starts_with("vanctl 0."));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let daemon = Daemon::start();
    for line in ["completion bash", "status", "link status -o json", "--help"] {
        let mut child = piped(&mut daemon.command(line));
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{line}");
    }
}

#[test]
fn the_proxy_joins_both_ways_and_hands_on_the_end() {
    let daemon = Daemon::start();
    let request = b"GET /v1/status HTTP/1.1\r\nhost: v\r\nconnection: close\r\n\r\n";
    let whole = end(&mut daemon.command("api-proxy"), request).ok();
    assert!(whole.starts_with("HTTP/1.1 200") && whole.contains("\"laptop\""), "{whole}");
    // The end of the input is not the end of the answer.
    let open = b"GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n";
    assert!(end(&mut daemon.command("api-proxy"), open).ok().contains("\"laptop\""));
    // The daemon's end is the proxy's end, also while its input stays open.
    let mut child = piped(&mut daemon.command("api-proxy"));
    let mut input = child.stdin.take().unwrap();
    input.write_all(request).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("\"laptop\""));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
}

fn stub(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("ssh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn over_ssh() {
    let daemon = Daemon::start();
    let dir = daemon.dir.path();
    let over = |ssh: &Path, line: &str| {
        let mut command = plain();
        command.env("VANCTL_SSH", ssh).args(["--url", "ssh://anna@db-host:2222"]);
        end(command.args(line.split(' ')), b"")
    };
    let there = stub(
        dir,
        &format!(
            "echo \"$@\" > {}/args\nVANCTL_URL={} exec {} api-proxy",
            dir.display(),
            daemon.url(),
            env!("CARGO_BIN_EXE_vanctl")
        ),
    );
    assert!(over(&there, "status").ok().contains("\"laptop\""));
    assert_eq!(
        fs::read_to_string(dir.join("args")).unwrap(),
        "-T -o BatchMode=yes -p 2222 -- anna@db-host vanctl api-proxy\n"
    );
    assert_eq!(over(&there, "ping public -c 2 -i 1ms -o json").json()["answered"], 2);
    assert_eq!(over(&there, "link status none").code, 4);

    let refusing =
        stub(dir, "echo 'ssh: connect to host db-host port 2222: refused' >&2; exit 255");
    over(&refusing, "status").fails(
        3,
        "vanctl: status failed: can't reach the daemon over ssh at anna@db-host: \
         ssh: connect to host db-host port 2222: refused\n\
         hint: try: ssh anna@db-host vanctl status\n",
    );
    let denied = stub(
        dir,
        "echo 'vanctl: api-proxy failed: permission denied' >&2; echo 'hint: join' >&2; exit 5",
    );
    over(&denied, "status").fails(
        5,
        "vanctl: status failed: can't reach the daemon over ssh at anna@db-host: permission denied\n\
         hint: join\n",
    );
    assert_eq!(over(&dir.join("no-such-ssh"), "status").code, 3);
}

#[test]
fn the_network_is_a_table() {
    let daemon = Daemon::start();
    let (here, public) = (
        van_model::SiteId::from_bytes(*b"laptop-laptop-laptop"),
        van_model::SiteId::from_bytes(*b"public-public-public"),
    );
    let text = daemon.run("network status").ok();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").collect()).collect();
    let cells = |at: usize| -> Vec<&str> {
        rows[at].iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect()
    };
    assert_eq!(cells(0), ["NAME", "ID", "MODE", "VERSION", "LINKS", "COST", "SERVICES"]);
    assert_eq!(cells(1)[4..], ["db-host (9, one way)", "unreachable", "-"]);
    assert_eq!(cells(2)[4..], ["public (10)", "11", "db:5432"]);
    let own = ["laptop", &here.to_string(), "interior", "0.1.0", "public (1)", "0", "-"];
    assert_eq!(cells(3), own);
    assert_eq!(cells(4)[4], "db-host (10), laptop (1)");
    let wide = daemon.run("network status -o wide").ok();
    assert!(wide.lines().nth(2).unwrap().ends_with("2     public  1         region=eu"), "{wide}");
    assert_eq!(
        daemon.run("network status -o name").ok(),
        "site/cut-off\nsite/db-host\nsite/laptop\nsite/public\n"
    );
    let document = daemon.run("network status -o json").json();
    assert_eq!(document["items"][3]["id"], public.to_string());
    let graph = daemon.run("network status --dot").ok();
    assert!(graph.starts_with("graph van {\n") && graph.ends_with("}\n"), "{graph}");
}

#[test]
fn flows_are_listed_and_followed() {
    let daemon = Daemon::start();
    daemon.site.flow(1, None);
    daemon.site.flow(2, Some(van_model::api::FlowEnd::LinkLost));
    let text = daemon.run("flows -o wide").ok();
    let mut lines = text.lines();
    let heading = lines.next().unwrap().split_whitespace().collect::<Vec<_>>();
    let columns = "ADDRESS CLIENT SITE TARGET STATE AGE DURATION SENT RECEIVED REQUEST ID SIDE";
    assert_eq!(heading[..12].join(" "), columns);
    assert!(lines.next().unwrap().starts_with("db       127.0.0.1:50000  public  pg      open "));
    let ended = lines.next().unwrap();
    assert!(ended.contains("  link lost  ") && ended.contains("  1.5s "), "{ended}");
    assert!(ended.ends_with("10 B  2.0 KiB   -        2   ingress  db        0.50 ms"), "{ended}");
    assert_eq!(daemon.run("flows --address web -o json").json()["items"], serde_json::json!([]));
    assert_eq!(daemon.run("flows --limit 1 -o name").ok(), "flow/1\n");
    assert_eq!(daemon.run("flows --limit 0").code, 2);
    daemon
        .run("flows --site nowhere")
        .fails(4, "vanctl: flows failed: no site named \"nowhere\"\n");
    let mut child = piped(&mut daemon.command("flows --follow -o json --site public"));
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!((next()["id"].clone(), next()["id"].clone()), (1.into(), 2.into()));
    daemon.site.flow(1, Some(van_model::api::FlowEnd::Closed));
    assert_eq!(next()["end"], "closed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn pings_tell_the_hops_and_why_there_is_no_way() {
    let daemon = Daemon::start();
    let hops = daemon.run("ping public -c 1 --hops").ok();
    assert!(hops.lines().nth(1).unwrap().starts_with("  hop 1 public ("), "{hops}");
    assert!(!daemon.run("ping public -c 1").ok().contains("hop"));
    let cut = daemon.run("ping cut-off -c 1");
    cut.fails(1, "vanctl: ping failed: there is no way to site cut-off\n");
}

#[test]
fn traces() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.run("trace db").ok(),
        "db (balanced): laptop - public - db-host\n\
         why: it is the only site that offers it\n\n\
         CANDIDATE  TARGETS  COST  FLOWS  PENALTY  SCORE   STATE\n\
         db-host    2        11    1      -        11.500  chosen\n\n\
         HOP  SITE     LINK       COST  RTT\n\
         0    laptop   -          -     -\n\
         1    public   to-public  1     0.31 ms\n\
         2    db-host  -          10    -\n"
    );
    let by = daemon.run("trace db --listener web").ok();
    assert!(by.starts_with("db (listener web, balanced): "), "{by}");
    assert_eq!(daemon.run("trace db -o name").ok(), "site/laptop\nsite/public\nsite/db-host\n");
    assert_eq!(daemon.run("trace db -o json").json()["candidates"][0]["score"], 11.5);
    let err = "vanctl: trace failed: no service named \"web\"\nhint: did you mean \"db\"?\n";
    daemon.run("trace web").fails(4, err);
}

#[test]
fn checks() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.run("check").ok(),
        "passed   config: it is as on the disk\n\
         warning  version: sites run 2 versions\n         hint: update the older ones\n"
    );
    assert!(daemon.run("check -q").ok().starts_with("warning  version: "));
    daemon.file("bad", "van1.refused");
    assert_eq!(daemon.run("link create bad").code, 1);
    let failed = daemon.run("check");
    assert!(failed.out.ends_with("failed   link/link1: the token was refused\n"));
    failed.fails(1, "vanctl: check failed: 1 of 3 checks failed\n");
    assert_eq!(daemon.run("check -o json").code, 1);
}

#[test]
fn events_are_chosen() {
    let daemon = Daemon::start();
    daemon.site.happen("LinkUp", "link/a", "up");
    daemon.site.happen("LinkUp", "link/ab", "up");
    let chosen = daemon.run("events --subject link/a -o name").ok();
    assert_eq!(chosen, "link/a\n");
    assert_eq!(daemon.run("events --subject link -o name").ok().lines().count(), 2);
    assert_eq!(daemon.run("events --severity error -o name").ok(), "");
    assert_eq!(daemon.run("events --severity loud").code, 2);
}
