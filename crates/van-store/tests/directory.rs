//! The state directory on a real file system: modes, lock, atomic writes, torn files.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use van_store::{Store, StoreError};

type Document = BTreeMap<String, u64>;

fn document(value: u64) -> Document {
    Document::from([("value".into(), value), ("same".into(), value)])
}

fn opened() -> (TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let store = Store::open(&dir.path().join("state")).expect("the folder is ours");
    (dir, store)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

fn files(store: &Store) -> Vec<String> {
    let entries = fs::read_dir(store.location().expect("it is on disk")).expect("it is a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("ASCII"))
        .collect();
    names.sort();
    names
}

#[test]
fn only_the_owner_can_read() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write_precious("identity", &document(1)).unwrap();
    assert_eq!(mode(&state), 0o700);
    assert_eq!(files(&store), ["format.json", "identity.backup.json", "identity.json", "lock"]);
    assert!(files(&store).iter().all(|file| mode(&state.join(file)) == 0o600));
}

#[test]
fn what_is_open_to_others_is_closed() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write("peers", &document(1)).unwrap();
    drop(store);
    fs::set_permissions(&state, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(state.join("peers.json"), Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&state).unwrap();
    assert_eq!((mode(&state), mode(&state.join("peers.json"))), (0o700, 0o600));
    assert_eq!(store.read("peers").unwrap(), Some(document(1)));
}

#[test]
fn documents_come_back_listed_and_go() {
    for store in [Store::in_memory(), opened().1] {
        assert_eq!(store.read::<Document>("peers").unwrap(), None);
        store.write("link-b", &document(1)).unwrap();
        store.write("link-a", &document(2)).unwrap();
        store.write("link-a", &document(3)).unwrap();
        store.write_precious("identity", &document(4)).unwrap();
        assert_eq!(store.read("link-a").unwrap(), Some(document(3)));
        assert_eq!(store.read_precious("identity").unwrap(), Some(document(4)));
        assert_eq!(store.list("link-").unwrap(), ["link-a", "link-b"]);
        assert_eq!(store.list("").unwrap(), ["identity", "link-a", "link-b"]);
        store.remove("link-a").unwrap();
        store.remove("link-a").unwrap();
        store.remove("identity").unwrap();
        assert_eq!(store.list("").unwrap(), ["link-b"]);
        assert_eq!(store.read_precious::<Document>("identity").unwrap(), None);
        assert!(store.set_aside().is_empty());
    }
    assert_eq!(Store::in_memory().location(), None);
}

#[test]
fn a_document_is_json_for_people_too() {
    let (_dir, store) = opened();
    store.write("peers", &document(1)).unwrap();
    let text = fs::read_to_string(store.location().unwrap().join("peers.json")).unwrap();
    assert_eq!(text, "{\n  \"same\": 1,\n  \"value\": 1\n}\n");
}

#[test]
fn the_second_to_open_is_told_who_holds_it() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    let Err(error) = Store::open(&state) else { unreachable!("the lock is held") };
    let pid = std::process::id();
    assert_eq!(
        error.to_string(),
        format!(
            "state directory {} is in use by vand (pid {pid}): stop that one, or choose another \
             with --state-dir",
            state.display()
        )
    );
    assert_eq!(error.code(), "state_locked");
    drop(store);
    assert!(Store::open(&state).is_ok());
}

#[test]
fn leftovers_of_a_killed_writer_go() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write("peers", &document(1)).unwrap();
    drop(store);
    fs::write(state.join(".peers.json.tmp"), "{\n  \"va").unwrap();
    let store = Store::open(&state).unwrap();
    assert_eq!(files(&store), ["format.json", "lock", "peers.json"]);
    assert_eq!(store.read("peers").unwrap(), Some(document(1)));
    // One that appears later is in nobody's way either.
    fs::write(state.join(".peers.json.tmp"), "x").unwrap();
    store.write("peers", &document(2)).unwrap();
    assert_eq!(files(&store), ["format.json", "lock", "peers.json"]);
}

#[test]
fn a_reader_sees_the_old_or_the_new() {
    let (_dir, store) = opened();
    let path = store.location().unwrap().join("peers.json");
    store.write("peers", &document(0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let found: Document = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                assert_eq!(found["same"], found["value"]);
                assert!(found["value"] >= last);
                last = found["value"];
            }
        });
        // The reader ends also where a write fails.
        let written = (1..=200).try_for_each(|value| store.write("peers", &document(value)));
        done.store(true, Ordering::Release);
        reader.join().unwrap();
        written.unwrap();
    });
}

#[test]
fn a_file_torn_at_any_byte_is_set_aside() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write("tokens", &document(7)).unwrap();
    let whole = fs::read(state.join("tokens.json")).unwrap();
    for length in 0..whole.len() {
        fs::write(state.join("tokens.json"), &whole[..length]).unwrap();
        assert_eq!(store.read::<Document>("tokens").unwrap(), None, "cut at {length}");
        let told = store.set_aside();
        let aside = state.join(format!("tokens.torn-{}", length + 1));
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0].path, told[0].repaired), (&aside, false));
        assert_eq!(fs::read(&aside).unwrap(), &whole[..length]);
        assert!(!state.join("tokens.json").exists());
    }
    assert!(store.set_aside().is_empty());
    store.write("tokens", &document(8)).unwrap();
    assert_eq!(store.read("tokens").unwrap(), Some(document(8)));
}

#[test]
fn torn_files_do_not_fill_the_disk() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    for _ in 0..120 {
        fs::write(state.join("tokens.json"), "{").unwrap();
        assert_eq!(store.read::<Document>("tokens").unwrap(), None);
    }
    assert_eq!(files(&store).len(), 102);
    assert_eq!(store.list("").unwrap(), Vec::<String>::new());
}

#[test]
fn rubbish_is_set_aside_without_repeating_it() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    for rubbish in
        ["\"secret\"\n", "{\"value\": \"secret\"}\n", "secret\n", "\u{0}\u{0}\n", "{}{}\n"]
    {
        fs::write(state.join("peers.json"), rubbish).unwrap();
        assert_eq!(store.read::<Document>("peers").unwrap(), None, "{rubbish:?}");
        let told = store.set_aside().remove(0).to_string();
        assert!(told.contains("peers.torn-") && !told.contains("secret"), "{told}");
    }
    fs::write(state.join("peers.json"), b"\xff\xfe\n").unwrap();
    assert_eq!(store.read::<Document>("peers").unwrap(), None);
}

#[test]
fn the_second_copy_mends_the_first_torn_at_any_byte() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write_precious("identity", &document(7)).unwrap();
    let whole = fs::read(state.join("identity.json")).unwrap();
    for file in ["identity.json", "identity.backup.json"] {
        for length in 0..whole.len() {
            fs::write(state.join(file), &whole[..length]).unwrap();
            assert_eq!(store.read_precious("identity").unwrap(), Some(document(7)));
            let told = store.set_aside();
            assert!(told.len() == 1 && told[0].repaired, "{file} cut at {length}");
            assert_eq!(fs::read(state.join(file)).unwrap(), whole);
        }
        fs::remove_file(state.join(file)).unwrap();
        assert_eq!(store.read_precious("identity").unwrap(), Some(document(7)));
        assert_eq!(fs::read(state.join(file)).unwrap(), whole);
    }
    // A write that was interrupted between both: the first is the newer.
    store.write("identity", &document(8)).unwrap();
    assert_eq!(store.read_precious("identity").unwrap(), Some(document(8)));
    fs::write(state.join("identity.json"), "").unwrap();
    assert_eq!(store.read_precious("identity").unwrap(), Some(document(8)));
}

#[test]
fn both_copies_torn_is_told_twice() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    fs::write(state.join("identity.json"), "{").unwrap();
    fs::write(state.join("identity.backup.json"), "").unwrap();
    assert_eq!(store.read_precious::<Document>("identity").unwrap(), None);
    let told = store.set_aside();
    assert!(told.len() == 2 && told.iter().all(|torn| !torn.repaired));
    assert_eq!(files(&store), ["format.json", "identity.backup.torn-1", "identity.torn-1", "lock"]);
}

#[test]
fn links_and_folders_are_refused() {
    let (dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    let outside = dir.path().join("outside");
    fs::write(&outside, "{}\n").unwrap();
    symlink(&outside, state.join("peers.json")).unwrap();
    let error = store.read::<Document>("peers").unwrap_err();
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
    // A write replaces the link itself, never what it points to.
    store.write("peers", &document(1)).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "{}\n");
    assert_eq!(store.read("peers").unwrap(), Some(document(1)));

    fs::create_dir(state.join("tokens.json")).unwrap();
    assert!(matches!(store.read::<Document>("tokens"), Err(StoreError::NotAFile { .. })));
    let error = store.write("tokens", &document(1)).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && error.is_retryable(), "{error}");
    assert!(!files(&store).contains(&".tokens.json.tmp".into()));
    drop(store);

    fs::remove_file(state.join("lock")).unwrap();
    symlink(&outside, state.join("lock")).unwrap();
    assert!(matches!(Store::open(&state), Err(StoreError::NotAFile { .. })));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "{}\n");
}

#[test]
fn the_directory_may_be_reached_by_a_link() {
    let (dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    drop(store);
    let link = dir.path().join("link");
    symlink(&state, &link).unwrap();
    let store = Store::open(&link).unwrap();
    store.write("peers", &document(1)).unwrap();
    assert!(matches!(Store::open(&state), Err(StoreError::Locked { .. })));
}

#[test]
fn a_place_that_can_not_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below")] {
        let Err(error) = Store::open(&place) else { unreachable!("{place:?} is no folder") };
        assert_eq!(error.code(), "state_io");
        assert!(error.to_string().starts_with("create state directory "), "{error}");
    }
}

#[test]
fn a_failed_write_leaves_the_old_document() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    store.write_precious("identity", &document(1)).unwrap();
    // Something that can't be replaced stands where the new bytes are to be written.
    fs::create_dir(state.join(".identity.json.tmp")).unwrap();
    assert!(store.write_precious("identity", &document(2)).is_err());
    assert_eq!(store.read_precious("identity").unwrap(), Some(document(1)));
    fs::remove_dir(state.join(".identity.json.tmp")).unwrap();
    store.write_precious("identity", &document(2)).unwrap();
    assert_eq!(store.read_precious("identity").unwrap(), Some(document(2)));
}

#[test]
fn files_are_read_up_to_a_limit() {
    let (_dir, store) = opened();
    let state = store.location().unwrap().to_owned();
    let file = fs::File::create(state.join("peers.json")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    assert!(matches!(store.read::<Document>("peers"), Err(StoreError::TooLarge { .. })));
}

#[test]
fn names_are_never_paths() {
    for store in [Store::in_memory(), opened().1] {
        for bad in ["../x", "/etc/passwd", "", "a.b"] {
            assert!(matches!(store.read::<Document>(bad), Err(StoreError::Name { .. })));
            assert!(matches!(store.write(bad, &1), Err(StoreError::Name { .. })));
            assert!(matches!(store.remove(bad), Err(StoreError::Name { .. })));
        }
    }
}

#[test]
fn the_state_of_a_newer_version_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    drop(Store::open(&state).unwrap());
    let format = state.join("format.json");
    let noted = fs::read_to_string(&format).unwrap();
    assert!(noted.contains("\"format\": 1"), "{noted}");
    fs::write(&format, "{\"format\": 2, \"more\": true}\n").unwrap();
    fs::write(state.join("identity.json"), "{\"of\": \"the future\"}\n").unwrap();
    let error = Store::open(&state).err().unwrap();
    assert_eq!(error.code(), "state_newer");
    assert!(error.to_string().contains("install that version again"), "{error}");
    assert!(state.join("identity.json").exists(), "nothing is set aside");
    // With the version that wrote it, or without the note, it opens again.
    fs::write(&format, "{\"format\": 1}\n").unwrap();
    Store::open(&state).unwrap();
}
