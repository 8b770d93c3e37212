//! Faults: what dies, what is full, what never answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use van_testkit::{
    DEADLINE, Echo, Limits, Silent, Sites, TempDir, Vand, echo_lines, echoes, free_port,
    is_refused, temp_dir, wait_until,
};

#[test]
fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = temp_dir();
    let accept = format!("[site]\nname = \"x\"\n[accept]\nlisten = [\"127.0.0.1:{port}\"]\n");
    let vand = Vand::start(dir.path(), &accept);
    let status = vand.ctl("status").ok();
    assert!(status.contains(&port.to_string()) && status.contains("in use"), "{status}");

    let dir = temp_dir();
    let vand = Vand::start(dir.path(), "[site]\nname = \"x\"\n");
    let ran = vand.ctl(&format!("listener create l 127.0.0.1:{port} --wait 1s"));
    assert!([1, 6].contains(&ran.status), "{ran:?}");
    assert!(ran.stderr.contains("in use"), "{ran:?}");

    // Whoever has it gives it back: both go on by themselves.
    drop(taken);
    wait_until(DEADLINE, "links were accepted", || !is_refused(port));
}

#[test]
fn out_of_descriptors_accepting_pauses_and_recovers() {
    let (dir, echo, port) = (temp_dir(), Echo::start(), free_port());
    let toml = format!(
        "[site]\nname = \"x\"\n[[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:{port}\"\n\
         [[connector]]\nname = \"echo\"\ntarget = \"127.0.0.1:{}\"\n",
        echo.port()
    );
    let limits = Limits { descriptors: Some(128), ..Limits::default() };
    let vand = Vand::start_limited(dir.path(), &toml, limits);
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let open = || {
        let (_, listener) = vand.get("/v1/listeners/echo").unwrap();
        listener["status"]["flows_open"].as_u64().unwrap()
    };
    let clients: Vec<_> =
        (0..200).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    wait_until(DEADLINE, "many flows were open", || open() >= 20);
    for _ in 0..20 {
        let _answers = vand.ctl("status").ok();
    }
    drop(clients);
    wait_until(DEADLINE, "the service was there again", || echoes(port));
    wait_until(DEADLINE, "the flows were gone", || open() == 0);
    for _ in 0..50 {
        echo_lines(port, 2).unwrap();
    }
    let lines = vand.log().lines().filter(|line| line.contains("descriptor")).count();
    assert!(lines < 60, "{lines} lines in the log about one shortage");
}

#[test]
fn a_workload_that_never_answers_holds_nobody_up() {
    let (silent, echo) = (Silent::start(), Echo::start());
    let sites = Sites::start("");
    let (mut laptop, port) = sites.service(silent.port());
    let other = free_port();
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{other}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(other));

    let _standing: Vec<_> = (0..4).map(|_| stalled_client(port)).collect();
    wait_until(DEADLINE, "the workload held them", || silent.held() >= 4);
    for _ in 0..20 {
        echo_lines(other, 20).unwrap();
    }

    assert!(laptop.terminate(DEADLINE).success());
}

#[test]
fn a_client_that_vanishes_is_seen_while_its_flow_stands() {
    let silent = Silent::start();
    let sites = Sites::start("");
    let (laptop, port) = sites.service(silent.port());
    vanish(vec![stalled_client(port)]);
    for vand in [&sites.public, &laptop] {
        wait_until_idle(vand);
    }
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let silent = Silent::start();
    let sites = Sites::start("");
    let (laptop, port) = sites.service(silent.port());
    let clients: Vec<_> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for mut client in &clients {
        client.write_all(b"hello?").unwrap();
    }
    wait_until(DEADLINE, "the workload held them", || silent.held() >= 50);
    vanish(clients);
    for vand in [&sites.public, &laptop] {
        wait_until_idle(vand);
    }
}

#[test]
fn a_client_that_vanishes_after_its_own_end_is_seen() {
    let workload = TcpListener::bind("127.0.0.1:0").unwrap();
    let sites = Sites::start("");
    let (laptop, port) = sites.service(workload.local_addr().unwrap().port());
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"that is all").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // Checks of the target come and say nothing.
    let held = workload.incoming().map(Result::unwrap).find_map(|mut flow| {
        let mut said = String::new();
        flow.read_to_string(&mut said).unwrap();
        (said == "that is all").then_some(flow)
    });
    vanish(vec![client]);
    for vand in [&sites.public, &laptop] {
        wait_until_idle(vand);
    }
    let mut held = held.unwrap();
    held.set_read_timeout(Some(DEADLINE)).unwrap();
    wait_until(DEADLINE, "the workload was told", || held.write_all(b"x").is_err());
}

#[test]
fn a_second_signal_ends_the_drain_and_resets_what_is_open() {
    let (dir, silent, port) = (temp_dir(), Silent::start(), free_port());
    let toml = format!(
        "[site]\nname = \"x\"\n[[listener]]\nname = \"s\"\nbind = \"127.0.0.1:{port}\"\n\
         [[connector]]\nname = \"s\"\ntarget = \"127.0.0.1:{}\"\n",
        silent.port()
    );
    let mut vand = Vand::start(dir.path(), &toml);
    wait_until(DEADLINE, "the service was there", || !is_refused(port));
    let held = silent.held();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    wait_until(DEADLINE, "the workload held it", || silent.held() > held);
    vand.process().signal(Signal::SIGTERM);
    wait_until(DEADLINE, "no client was taken any more", || is_refused(port));
    let start = Instant::now();
    assert!(vand.terminate(DEADLINE).success());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// A client that has sent all that the kernels and the daemons take while the workload reads
/// nothing: for half a second, nothing more has gone.
fn stalled_client(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let chunk = [7; 64 * 1024];
    while stream.write(&chunk).is_ok() {}
    stream
}

/// Ends connections by a reset, as when a client's machine goes away and comes back.
fn vanish(clients: Vec<TcpStream>) {
    for client in &clients {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(client, Linger, &linger).unwrap();
    }
    drop(clients);
}

#[track_caller]
fn wait_until_idle(vand: &Vand) {
    let status = || vand.get("/v1/status").unwrap().1;
    let what = format!("no flow was left at site {}", status()["name"]);
    wait_until(DEADLINE, &what, || status()["flows_open"] == 0);
}

#[test]
fn asked_to_end_it_lets_flows_finish() {
    let echo = Echo::start();
    let mut sites = Sites::start("");
    let (_laptop, port) = sites.service(echo.port());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut says = |word: &[u8]| {
        stream.write_all(word).unwrap();
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, word);
    };
    says(b"before");
    sites.public.process().signal(Signal::SIGTERM);
    wait_until(DEADLINE, "new clients were refused", || is_refused(port));
    says(b"while it drains");
    assert!(sites.public.process().status().is_none(), "{}", sites.public.log());
    drop(stream);
    let ended = sites.public.process().wait(DEADLINE);
    assert!(ended.success(), "{ended}");
}

/// A site with a service of its own, whose state folder is a small file system.
fn confined(port: u16, echo: &Echo) -> (TempDir, Vand) {
    let dir = temp_dir();
    let toml = format!(
        "[site]\nname = \"x\"\n[accept]\nlisten = [\"127.0.0.1:0\"]\n\
         advertise = [\"127.0.0.1:1\"]\n\
         [[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:{port}\"\n\
         [[connector]]\nname = \"echo\"\ntarget = \"127.0.0.1:{}\"\n",
        echo.port()
    );
    let limits = Limits { state_bytes: Some(256 * 1024), ..Limits::default() };
    let vand = Vand::start_limited(dir.path(), &toml, limits);
    wait_until(DEADLINE, "the service was there", || echoes(port));
    vand.ctl("token create --name before").ok();
    (dir, vand)
}

/// While the state can't be written: changes are refused in these words, and flows go on.
#[track_caller]
fn refuses_changes(vand: &Vand, port: u16, words: &str) {
    let ran = vand.ctl("token create --name during");
    let status = ran.status;
    assert_ne!(status, 0);
    let errors = ran.fails(status);
    assert!(errors.contains(words), "{errors}");
    echo_lines(port, 100).unwrap();
    let listed = vand.ctl("token list").ok();
    assert!(listed.contains("before") && !listed.contains("during"), "{listed}");
}

#[test]
fn a_full_disk_stops_changes_and_no_flow() {
    let (echo, port) = (Echo::start(), free_port());
    let (_dir, mut vand) = confined(port, &echo);
    let filler = vand.state_dir().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write(&[0; 1024]).is_ok() {}
    drop(file);
    refuses_changes(&vand, port, "full");
    std::fs::remove_file(&filler).unwrap();
    vand.ctl("token create --name after").ok();
    assert!(vand.process().status().is_none());
}

#[test]
fn a_read_only_state_stops_changes_and_no_flow() {
    let (echo, port) = (Echo::start(), free_port());
    let (_dir, vand) = confined(port, &echo);
    vand.set_state_writable(false);
    refuses_changes(&vand, port, "read-only");
    vand.set_state_writable(true);
    vand.ctl("token create --name after").ok();
}

#[test]
fn a_dead_workload_is_told_and_found_again() {
    let port = free_port();
    let echo = Echo::start_at(port);
    let sites = Sites::start("");
    let (laptop, at) = sites.service(port);
    wait_until(DEADLINE, "the service was there", || echoes(at));
    drop(echo);
    wait_until(DEADLINE, "the port refused", || is_refused(at));
    let status = laptop.ctl("connector status").ok();
    assert!(status.contains("failed: ") && status.contains("refused"), "{status}");
    let _echo = Echo::start_at(port);
    wait_until(DEADLINE, "the service was there again", || echoes(at));
}

#[test]
fn a_clouds_metadata_service_is_not_offered_over_the_api() {
    let dir = temp_dir();
    let vand = Vand::start(&dir.path().join("site"), "[site]\nname = \"site\"\n");
    for target in ["169.254.169.254:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80"] {
        let error = vand.ctl(&format!("connector create x {target} --wait 0")).fails(5);
        assert!(error.contains("metadata service"), "{error}");
    }
}

#[test]
fn a_runtime_directory_that_is_a_link_and_the_state_of_a_newer_version_stop_the_start() {
    let dir = temp_dir();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("run")).unwrap();
    let (status, said) = Vand::refused(dir.path(), "");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("run: it is a symbolic link: remove it"), "{said}");

    let dir = temp_dir();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let format = dir.path().join("state/format.json");
    std::fs::write(&format, "{\"format\": 1000}\n").unwrap();
    let (status, said) = Vand::refused(dir.path(), "");
    assert!(!status.success(), "{said}");
    assert!(said.contains("is of a newer vand (format 1000"), "{said}");
    std::fs::remove_file(format).unwrap();
    let _vand = Vand::start(dir.path(), "");
}
