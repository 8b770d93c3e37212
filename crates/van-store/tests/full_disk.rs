//! A full and a read-only file system, in a mount namespace of the test's own.
//!
//! Needs `unshare` and `mount` (util-linux), and root or unprivileged user namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;

use van_store::Store;

const PLACE: &str = "VAN_STORE_TEST_TMPFS";

/// Runs one of the ignored tests below with a tmpfs of 256 KiB mounted at a folder.
#[track_caller]
fn on_tmpfs(test: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = format!(
        "mount -t tmpfs -o size=256k van-store \"${PLACE}\" && exec \"$0\" --ignored --exact {test}"
    );
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("a running test has a file"))
        .env(PLACE, folder.path())
        .output()
        .expect("this test needs the program unshare of util-linux");
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "this test needs the right to mount (root or user namespaces):\n{told}{errors}"
    );
}

fn tmpfs() -> PathBuf {
    std::env::var_os(PLACE).expect("run by the test that mounts").into()
}

fn mount(arguments: &[&str], place: &Path) {
    let status = Command::new("mount").args(arguments).arg(place).status();
    assert!(status.expect("mount can be run").success());
}

#[test]
fn full() {
    on_tmpfs("inside_full");
}

#[test]
fn read_only() {
    on_tmpfs("inside_read_only");
}

#[test]
#[ignore = "run by `full` where a small file system is mounted"]
fn inside_full() {
    let place = tmpfs();
    let store = Store::open(&place.join("state")).unwrap();
    store.write_precious("identity", &1).unwrap();
    let filler = place.join("filler");
    std::fs::write(&filler, vec![0; 128 << 10]).unwrap();
    let large = "x".repeat(160 << 10);
    for _ in 0..3 {
        let error = store.write("identity", &large).unwrap_err();
        assert_eq!(error.code(), "state_disk_full");
        assert!(error.to_string().ends_with("the disk is full: free some space"), "{error}");
        assert_eq!(store.read_precious("identity").unwrap(), Some(1));
        let left = std::fs::read_dir(place.join("state")).unwrap().count();
        assert_eq!(left, 4, "the lock, the format and both copies, no leftovers");
    }
    std::fs::remove_file(filler).unwrap();
    store.write("identity", &large).unwrap();
    assert_eq!(store.read("identity").unwrap(), Some(large));
}

#[test]
#[ignore = "run by `read_only` where a small file system is mounted"]
fn inside_read_only() {
    let place = tmpfs();
    let store = Store::open(&place.join("state")).unwrap();
    store.write_precious("identity", &1).unwrap();
    // The store holds its lock open for writing, so only the mount, not the file system, can turn.
    mount(&["--bind", &place.display().to_string()], &place);
    mount(&["-o", "remount,bind,ro"], &place);
    let state = place.join("state");
    let again = Store::open(&state);
    assert_eq!(again.err().map(|error| error.code()), Some("state_read_only"));
    let error = store.write("identity", &2).unwrap_err();
    assert_eq!(error.code(), "state_read_only");
    assert_eq!(store.remove("identity").unwrap_err().code(), "state_read_only");
    assert_eq!(store.read_precious("identity").unwrap(), Some(1));
    mount(&["-o", "remount,bind,rw"], &place);
    store.write_precious("identity", &2).unwrap();
    assert_eq!(store.read_precious("identity").unwrap(), Some(2));
}
