//! Token files of links, on a site whose links reach nobody.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use van_config::{File, Input};
use van_model::SiteId;
use van_net::Workers;
use van_pki::{Secret, Token};
use van_store::Store;

use super::*;
use crate::{Environment, Start};

struct Bed {
    dir: TempDir,
    site: Arc<Site>,
}

impl Bed {
    /// A site without links, its state on the disk.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workers = Arc::new(Workers::start(Some(1)).unwrap());
        // Kept for the whole process: its thread is the control runtime.
        let tasks = Box::leak(Box::new(Workers::start(Some(1)).unwrap())).get(0).clone();
        let environment = Environment {
            podman: "/run/no-podman.sock".into(),
            runtime_dir: None,
            recent_log: Box::new(String::new),
            handed: van_net::Handed::default(),
            credentials: None,
            version: "0".into(),
            namespace: None,
            replica: None,
            ephemeral: false,
            name_prefix: None,
            proxy: None,
            reload: None,
            set_log: Box::new(|_| Ok(())),
        };
        let store = Store::open(&dir.path().join("state")).unwrap();
        let start = Start { loaded: loaded(""), store, workers, tasks, environment };
        let site = Site::start(start).unwrap();
        Self { dir, site }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn with_links(&self, names: &[&str]) -> Loaded {
        let link = |name: &&str| {
            format!("[[link]]\nname = \"{name}\"\ntoken = \"{}\"\n", self.file(name).display())
        };
        loaded(&names.iter().map(link).collect::<String>())
    }

    fn apply(&self, names: &[&str]) -> Vec<String> {
        self.site.apply(self.with_links(names)).unwrap()
    }

    fn reasons(&self) -> Vec<String> {
        self.site.events_after(0).into_iter().map(|event| event.reason).collect()
    }
}

fn loaded(text: &str) -> Loaded {
    let file = File { path: "vand.toml".into(), bytes: text.into() };
    van_config::load(&Input { files: vec![file], ..Input::default() }).unwrap()
}

/// Writes a token of a site that nobody reaches.
fn write_token(path: &Path, issuer: u8) -> Token {
    let token = Token {
        issuer: SiteId::from_bytes([issuer; 20]),
        endpoints: vec!["127.0.0.1:1".parse().unwrap()],
        secret: Secret::generate(),
        expires: "2100-01-01T00:00:00Z".parse().unwrap(),
        uses: 1,
        name: "t".parse().unwrap(),
        cost: None,
    };
    std::fs::write(path, token.encode()).unwrap();
    token
}

#[test]
fn a_new_token_in_the_same_file_is_used_at_the_next_reload() {
    let bed = Bed::start();
    let up = bed.file("up");
    write_token(&up, 1);
    assert_eq!(bed.apply(&["up"]), ["link/up"]);
    assert!(bed.apply(&["up"]).is_empty());

    let fresh = write_token(&up, 2);
    assert!(bed.site.reconcile().unwrap().is_empty(), "only a reload reads files");
    assert_eq!(bed.apply(&["up"]), ["link/up"]);
    assert_eq!(bed.site.running.lock().links["up"].dial.token, Some(fresh.clone()));
    assert_eq!(bed.site.link_peers.get()["up"].peer, fresh.issuer);
    assert!(bed.apply(&["up"]).is_empty());

    // One that is gone is no new one; nonsense is refused.
    std::fs::remove_file(&up).unwrap();
    assert!(bed.apply(&["up"]).is_empty());
    std::fs::write(&up, "nonsense").unwrap();
    assert!(matches!(
        bed.site.apply(bed.with_links(&["up"])),
        Err(SiteError::Token { link, .. }) if link == "up"
    ));
    assert_eq!(bed.site.running.lock().links["up"].dial.token, Some(fresh));
}

#[test]
fn a_refused_reload_keeps_no_peer() {
    let bed = Bed::start();
    write_token(&bed.file("good"), 1);
    assert!(bed.site.apply(bed.with_links(&["good", "missing"])).is_err());
    assert!(bed.site.link_peers.get().is_empty());
    assert!(bed.site.running.lock().links.is_empty());
}

#[test]
fn a_link_is_dialled_though_its_peer_can_not_be_kept() {
    let bed = Bed::start();
    write_token(&bed.file("up"), 1);
    let state = bed.file("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    assert_eq!(bed.apply(&["up"]), ["link/up"]);
    assert!(bed.site.running.lock().links.contains_key("up"));
    assert!(bed.reasons().contains(&"StateNotWritten".into()));
}

#[test]
fn the_peer_of_a_removed_link_is_forgotten() {
    let bed = Bed::start();
    for name in ["one", "two"] {
        write_token(&bed.file(name), 1);
    }
    bed.apply(&["one", "two"]);
    assert_eq!(bed.apply(&["two"]), ["link/one"]);
    assert!(bed.site.link_peers.get().keys().eq(["two"]));
}
