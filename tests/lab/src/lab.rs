//! What a test of hosts has.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::host::Host;
use crate::network::{Router, Segment};

/// Where everything of a laboratory lies: in memory, and away with the capsule.
const PLACE: &str = "/run/van-lab";

/// A laboratory. Its hosts are switched off with it.
#[derive(Debug)]
pub struct Lab {
    number: u32,
    world: Segment,
}

impl Lab {
    /// Opens one, with a segment that stands for the Internet.
    ///
    /// # Panics
    /// Outside the capsule; the message says how to get there.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it is no plain value")]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        assert!(
            Path::new(PLACE).is_dir() && std::env::var_os("VAN_LAB_ROOT").is_some(),
            "the laboratory needs its capsule and its root: run `make test-lab`"
        );
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { number, world: Segment::new(&format!("w{number}")) }
    }

    /// The Debian root that hosts share.
    pub(crate) fn root() -> PathBuf {
        std::env::var_os("VAN_LAB_ROOT").expect("a laboratory was opened").into()
    }

    /// The Debian package just built: the first, or the later one of the same version.
    ///
    /// # Panics
    /// When it was not built.
    #[track_caller]
    pub fn deb(later: bool) -> PathBuf {
        package("vand_", ".deb", later)
    }

    /// The Debian package of the commit before, of which no version is higher than that of
    /// [`Lab::deb`]. Where the clone has no such commit: the package just built.
    ///
    /// # Panics
    /// When neither was built.
    #[track_caller]
    pub fn deb_before() -> PathBuf {
        match packages().join("before").is_dir() {
            true => find("before", "vand_", ".deb"),
            false => Self::deb(false),
        }
    }

    /// The RPM package just built: the first, or the later one of the same version.
    ///
    /// # Panics
    /// When it was not built.
    #[track_caller]
    pub fn rpm(later: bool) -> PathBuf {
        package("vand-0", ".rpm", later)
    }

    /// The folder of which podman builds an image of vand.
    pub fn container() -> PathBuf {
        packages().join("container")
    }

    /// Boots a host that can be reached by everybody, at 203.0.113.N.
    ///
    /// # Panics
    /// When it doesn't boot.
    #[track_caller]
    pub fn public(&self, name: &str, n: u8) -> Host {
        let address = format!("203.0.113.{n}");
        self.host(name, &self.world, &address, None)
    }

    /// Boots a host at 10.N.0.10 behind a router of its own, which lets nothing in.
    ///
    /// # Panics
    /// When it doesn't boot.
    #[track_caller]
    pub fn private(&self, name: &str, n: u8) -> (Host, Router) {
        let inner = Segment::new(&format!("l{}-{n}", self.number));
        let gateway = format!("10.{n}.0.1");
        let router = Router::new(
            &format!("r{}-{n}", self.number),
            (&self.world, &format!("203.0.113.{}/24", 100 + n)),
            (&inner, &format!("{gateway}/24")),
        );
        (self.host(name, &inner, &format!("10.{n}.0.10"), Some(&gateway)), router)
    }

    fn host(&self, name: &str, segment: &Segment, address: &str, gateway: Option<&str>) -> Host {
        let folder = PathBuf::from(PLACE).join(self.number.to_string()).join(name);
        let mut host = Host::new(name, &format!("h{}-{name}", self.number), folder, address);
        host.plug(segment, &format!("{address}/24"), gateway);
        host.boot();
        host
    }
}

fn packages() -> PathBuf {
    std::env::var_os("VAN_LAB_PACKAGES").map(PathBuf::from).unwrap_or_default()
}

#[track_caller]
fn package(start: &str, end: &str, later: bool) -> PathBuf {
    find(if later { "later" } else { "first" }, start, end)
}

/// Finds a package in a folder of `VAN_LAB_PACKAGES`.
#[track_caller]
fn find(folder: &str, start: &str, end: &str) -> PathBuf {
    let folder = packages().join(folder);
    let names = |name: &str| name.starts_with(start) && name.ends_with(end);
    let mut files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let found = files.find(|file| file.file_name().to_str().is_some_and(names));
    let found = found.unwrap_or_else(|| {
        panic!("there is no {start}*{end} in {}: run `make test-lab`", folder.display())
    });
    found.path()
}
