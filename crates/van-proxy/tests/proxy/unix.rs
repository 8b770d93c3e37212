use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use van_proxy::ListenerError;

use crate::site::{DEADLINE, Site, client, pattern, until};

fn unix_client(path: &std::path::Path) -> io::Result<UnixStream> {
    let client = UnixStream::connect(path)?;
    client.set_read_timeout(Some(DEADLINE))?;
    Ok(client)
}

/// Sends back what came once all of it has come.
fn unix_workload(path: &std::path::Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    });
}

#[test]
fn unix_sockets_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (target, bind) = (folder.path().join("target"), folder.path().join("bind"));
    unix_workload(&target);
    let site = Site::new();
    site.connect("echo", "echo", &format!("unix:{}", target.display()));
    let text = format!("unix:{}", bind.display());
    let listener = site.try_listen("echo", &text).unwrap();
    assert_eq!(listener.state().bound.unwrap(), text);
    for round in 0..3 {
        let refused = unix_client(&bind).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "round {round}");
        site.publish("echo", 1);
        until("it accepts", || listener.state().accepting);
        let mut client = unix_client(&bind).unwrap();
        let sent = pattern(300_000);
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        assert!(back == sent, "{} bytes came back", back.len());
        fs::set_permissions(&bind, fs::Permissions::from_mode(0o660)).unwrap();
        site.publish("echo", 0);
        until("it refuses", || !listener.state().accepting);
        assert_eq!(fs::metadata(&bind).unwrap().permissions().mode() & 0o777, 0o660);
    }
    listener.stop();
    assert!(!bind.exists(), "the file goes with the listener");
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["target"], "no temporary file is left");
}

#[test]
fn a_lost_folder_refuses_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (home, away) = (folder.path().join("home"), folder.path().join("away"));
    fs::create_dir(&home).unwrap();
    let site = Site::new();
    let listener = site.try_listen("echo", &format!("unix:{}", home.join("s").display())).unwrap();
    site.publish("echo", 1);
    until("it accepts", || listener.state().accepting);
    fs::rename(&home, &away).unwrap();
    site.publish("echo", 0);
    until("it says why", || listener.state().problem.is_some());
    let refused = unix_client(&away.join("s")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    fs::rename(&away, &home).unwrap();
    site.publish("echo", 1);
    until("it accepts again", || listener.state().accepting);
    assert!(listener.state().problem.is_none());
    unix_client(&home.join("s")).unwrap();
}

#[test]
fn tcp_client_and_unix_workload() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    unix_workload(&target);
    let site = Site::new();
    site.connect("echo", "echo", &format!("unix:{}", target.display()));
    site.publish("echo", 1);
    let (_listener, place) = site.listen("echo");
    let mut client = client(place).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"hello");
}

#[test]
fn what_stands_at_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new();
    let bind = |name: &str| format!("unix:{}", folder.path().join(name).display());

    fs::write(folder.path().join("file"), "precious").unwrap();
    let error = site.try_listen("echo", &bind("file")).unwrap_err();
    assert!(matches!(error, ListenerError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"precious");

    let error = site.try_listen("echo", &bind("missing/socket")).unwrap_err();
    assert!(matches!(error, ListenerError::NoFolder { .. }), "{error}");

    let live = UnixListener::bind(folder.path().join("live")).unwrap();
    let error = site.try_listen("echo", &bind("live")).unwrap_err();
    assert!(matches!(error, ListenerError::AddrInUse { .. }), "{error}");
    drop(live);
    let stale = site.try_listen("echo", &bind("live")).unwrap();

    // Whoever takes the path over keeps it.
    fs::remove_file(folder.path().join("live")).unwrap();
    fs::write(folder.path().join("live"), "somebody else's").unwrap();
    stale.stop();
    assert_eq!(fs::read(folder.path().join("live")).unwrap(), b"somebody else's");
}

#[test]
fn a_long_path_needs_no_temporary_name() {
    let folder = tempfile::tempdir().unwrap();
    let room = 107 - folder.path().as_os_str().len() - 3;
    let deep = folder.path().join("d".repeat(room));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("s");
    assert_eq!(path.as_os_str().len(), 107);
    let (site, target) = (Site::new(), folder.path().join("t"));
    unix_workload(&target);
    site.connect("echo", "echo", &format!("unix:{}", target.display()));
    let listener = site.try_listen("echo", &format!("unix:{}", path.display())).unwrap();
    site.publish("echo", 1);
    until("it accepts", || listener.state().accepting);
    unix_client(&path).unwrap();
    site.publish("echo", 0);
    until("it refuses", || !listener.state().accepting);
    assert!(unix_client(&path).is_err());
}
