//! What a site wants of the host's name services, and the carrying out of it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The file of the daemon's wishes, in its runtime directory.
const FILE: &str = "names.json";

/// The file that says that there is something new. It is there until the helper takes it, so that what
/// changes while that works is not missed.
const NEWS: &str = "names.changed";

/// The file's greatest size: it holds one domain and one place.
const MAX_BYTES: u64 = 4096;

/// The port at which name servers are asked; containers know no other.
const DNS_PORT: u16 = 53;

/// The most servers that a resolver looks at (resolv.conf(5)), beside the host's own.
const MAX_UPSTREAM: usize = 2;

/// The line with which each file that is written begins.
const HEADER: &str = "# Written by vand; goes away when it stops.\n";

/// Where names of one domain are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The domain, without a final dot.
    pub domain: String,
    /// The name server's address.
    pub server: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The network whose reverse names it answers.
    pub network: Ipv4Net,
}

/// The host's files that are read and written.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where systemd-resolved reads drop-ins.
    pub resolved: PathBuf,
    /// Where podman reads drop-ins; left alone where its parent is missing.
    pub containers: PathBuf,
    /// Where systemd-resolved tells which servers it asks.
    pub upstream: PathBuf,
}

/// What carrying out a wish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Whether systemd-resolved has to read its files again.
    pub changed: bool,
    /// Whether containers find the names, too.
    pub containers: bool,
}

/// Why a wish is not carried out.
#[derive(Debug, Error)]
pub enum RegistrationError {
    /// A file can't be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The wish is none that may be carried out.
    #[error("{}: {why}", path.display())]
    Refused {
        /// The file of the wish.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Default for Places {
    fn default() -> Self {
        Self {
            resolved: "/run/systemd/resolved.conf.d/vand.conf".into(),
            containers: "/etc/containers/containers.conf.d/50-vand.conf".into(),
            upstream: "/run/systemd/resolve/resolv.conf".into(),
        }
    }
}

impl Registration {
    /// Writes the wish into the daemon's runtime directory, for the helper to see.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn write(&self, runtime_dir: &Path) -> Result<(), RegistrationError> {
        let path = runtime_dir.join(FILE);
        let text = serde_json::to_string(self).expect("plain fields can be written");
        replace(&path, &text, 0o644)?;
        announce(runtime_dir)
    }

    /// Takes the wish back.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn withdraw(runtime_dir: &Path) -> Result<(), RegistrationError> {
        remove(&runtime_dir.join(FILE))?;
        announce(runtime_dir)
    }

    /// Takes the word that there is something new, before what is wanted is read.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn take_news(runtime_dir: &Path) -> Result<(), RegistrationError> {
        remove(&runtime_dir.join(NEWS)).map(drop)
    }

    /// The wish in a runtime directory. It is read with more rights than it was written with, so
    /// everything in it is checked.
    ///
    /// # Errors
    /// The file is no plain file, or says what no site may want.
    pub fn read(runtime_dir: &Path) -> Result<Option<Self>, RegistrationError> {
        let path = runtime_dir.join(FILE);
        let file = |error| RegistrationError::File { path: path.clone(), error };
        let refused = |why: String| RegistrationError::Refused { path: path.clone(), why };
        let opened = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(file)?,
        };
        let meta = opened.metadata().map_err(file)?;
        if !meta.is_file() || meta.len() > MAX_BYTES {
            return Err(refused(format!("no file of at most {MAX_BYTES} bytes")));
        }
        let text = io::read_to_string(opened).map_err(file)?;
        let wish: Self = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
        match wish.problem() {
            None => Ok(Some(wish)),
            Some(why) => Err(refused(why)),
        }
    }

    fn problem(&self) -> Option<String> {
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if self.domain.len() > 253 || !self.domain.split('.').all(label) {
            return Some(format!("{:?} is no domain", self.domain));
        }
        let own = self.server.is_loopback() || self.network.contains(&self.server);
        if !own || self.port == 0 {
            return Some(format!("{}:{} is no place of a site", self.server, self.port));
        }
        None
    }

    /// Makes the host's files say what is wanted; `None` takes everything away. `resolved` is whether
    /// systemd-resolved runs: without it containers are left as they are, since they would ask this
    /// name server for everything, and it answers for one domain.
    ///
    /// # Errors
    /// A file can't be written; what comes after it is done all the same.
    pub fn apply(
        wish: Option<&Self>,
        places: &Places,
        resolved: bool,
    ) -> Result<Applied, RegistrationError> {
        let config = places.containers.parent().and_then(Path::parent);
        let podman = config.is_some_and(Path::is_dir);
        let stub = wish.filter(|_| podman).and_then(Self::stub);
        let changed = match wish {
            Some(wish) => write_new(&places.resolved, &wish.for_resolved(stub)),
            None => remove(&places.resolved),
        };
        let stub = stub.filter(|_| resolved);
        match (wish, stub) {
            (Some(wish), Some(stub)) => {
                write_new(&places.containers, &wish.for_containers(stub, places))?
            }
            _ => remove(&places.containers)?,
        };
        Ok(Applied { changed: changed?, containers: stub.is_some() })
    }

    /// Where systemd-resolved answers containers: the network's last address, which is no service's.
    /// The network's own server can't be theirs: what it refuses, podman's server for networks that
    /// users make asks nobody else. `None` where containers reach no address of the network.
    fn stub(&self) -> Option<Ipv4Addr> {
        let reached = !self.server.is_loopback() && self.port == DNS_PORT;
        let last = self.network.broadcast();
        (reached && last != self.server).then_some(last)
    }

    fn for_resolved(&self, stub: Option<Ipv4Addr>) -> String {
        let port = if self.port == DNS_PORT { String::new() } else { format!(":{}", self.port) };
        let mut domains = format!("~{}", self.domain);
        for zone in reverse_zones(self.network) {
            domains.push_str(&format!(" ~{zone}"));
        }
        let stub = stub.map(|stub| format!("DNSStubListenerExtra={stub}\n")).unwrap_or_default();
        format!("{HEADER}[Resolve]\nDNS={}{port}\nDomains={domains}\n{stub}", self.server)
    }

    /// Those whom the host asks are asked when this daemon has ended before a container.
    fn for_containers(&self, stub: Ipv4Addr, places: &Places) -> String {
        let ours = |address: &IpAddr| match address {
            IpAddr::V4(address) => self.network.contains(address),
            IpAddr::V6(_) => false,
        };
        let upstream = upstream(&places.upstream).into_iter().filter(|a| !ours(a));
        let all = std::iter::once(IpAddr::V4(stub)).chain(upstream.take(MAX_UPSTREAM));
        let list: Vec<String> = all.map(|address| format!("\"{address}\"")).collect();
        format!("{HEADER}[containers]\ndns_servers = [{}]\n", list.join(", "))
    }
}

fn announce(runtime_dir: &Path) -> Result<(), RegistrationError> {
    replace(&runtime_dir.join(NEWS), "", 0o644)
}

/// The zones in which a network's reverse names stand: those of whole labels.
fn reverse_zones(network: Ipv4Net) -> Vec<String> {
    let whole = (network.prefix_len() / 8).max(1);
    let [a, b, c, _] = network.network().octets();
    vec![match whole {
        1 => format!("{a}.in-addr.arpa"),
        2 => format!("{b}.{a}.in-addr.arpa"),
        _ => format!("{c}.{b}.{a}.in-addr.arpa"),
    }]
}

/// The host's own name servers that containers can reach.
fn upstream(path: &Path) -> Vec<IpAddr> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let words = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let addresses = words.filter_map(|word| word.trim().parse::<IpAddr>().ok());
    addresses.filter(|address| !address.is_loopback()).collect()
}

/// Opens without following a link in the last place.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Writes a file unless it says the same already.
fn write_new(path: &Path, text: &str) -> Result<bool, RegistrationError> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        let file = |error| RegistrationError::File { path: folder.into(), error };
        fs::create_dir_all(folder).map_err(file)?;
    }
    replace(path, text, 0o644).map(|()| true)
}

/// Puts a whole file in place of another.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), RegistrationError> {
    use std::io::Write as _;
    let file = |error| RegistrationError::File { path: path.into(), error };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    remove(&fresh)?;
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)
        .map_err(file)?;
    out.write_all(text.as_bytes()).map_err(file)?;
    fs::rename(&fresh, path).map_err(file)
}

/// Returns whether there was one.
fn remove(path: &Path) -> Result<bool, RegistrationError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RegistrationError::File { path: path.into(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Registration {
        Registration {
            domain: "van.internal".into(),
            server: Ipv4Addr::new(198, 18, 0, 1),
            port: 53,
            network: "198.18.0.0/16".parse().unwrap(),
        }
    }

    fn places(root: &Path) -> Places {
        Places {
            resolved: root.join("run/resolved.conf.d/vand.conf"),
            containers: root.join("etc/containers/containers.conf.d/50-vand.conf"),
            upstream: root.join("resolv.conf"),
        }
    }

    #[test]
    fn the_hosts_files_say_what_is_wanted_and_nothing_stays_behind() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        fs::create_dir_all(dir.path().join("etc/containers")).unwrap();
        // Its own server is among those that systemd-resolved asks, once it knows it.
        let own = "search x\nnameserver 198.18.0.1\nnameserver 192.0.2.53\nnameserver bad\n\
                   nameserver 127.0.0.1\nnameserver 2001:db8::1\nnameserver 192.0.2.54\n";
        fs::write(dir.path().join("resolv.conf"), own).unwrap();
        let apply = |wish: Option<&Registration>| {
            let applied = Registration::apply(wish, &places, true).unwrap();
            (applied.changed, applied.containers)
        };

        assert_eq!(apply(Some(&wish())), (true, true));
        let resolved = fs::read_to_string(&places.resolved).unwrap();
        let lines = "DNS=198.18.0.1\nDomains=~van.internal ~18.198.in-addr.arpa\n\
                     DNSStubListenerExtra=198.18.255.255\n";
        assert!(resolved.ends_with(lines), "{resolved}");
        let containers = fs::read_to_string(&places.containers).unwrap();
        let list = r#"dns_servers = ["198.18.255.255", "192.0.2.53", "2001:db8::1"]"#;
        assert!(containers.contains(list), "{containers}");
        assert_eq!(apply(Some(&wish())), (false, true), "nothing is new");

        let local = Registration { server: Ipv4Addr::new(127, 77, 0, 1), port: 5300, ..wish() };
        assert_eq!(apply(Some(&local)), (true, false));
        let resolved = fs::read_to_string(&places.resolved).unwrap();
        assert!(
            resolved.ends_with("DNS=127.77.0.1:5300\nDomains=~van.internal ~18.198.in-addr.arpa\n")
        );
        assert!(!places.containers.exists(), "containers can't reach a loopback address");

        assert_eq!(apply(None), (true, false));
        assert!(!places.resolved.exists());
        assert_eq!(apply(None), (false, false));
    }

    #[test]
    fn without_resolved_containers_are_left_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        fs::create_dir_all(dir.path().join("etc/containers")).unwrap();
        let applied = |resolved| Registration::apply(Some(&wish()), &places, resolved).unwrap();
        assert!(applied(true).containers && places.containers.exists());
        assert!(!applied(false).containers && !places.containers.exists());
        assert!(places.resolved.exists(), "it may start later");
    }

    #[test]
    fn without_podman_nothing_of_it_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let applied = Registration::apply(Some(&wish()), &places, true).unwrap();
        assert_eq!(applied, Applied { changed: true, containers: false });
        assert!(!fs::read_to_string(&places.resolved).unwrap().contains("Stub"));
        assert!(!dir.path().join("etc").exists());
    }

    #[test]
    fn a_wish_comes_through_and_only_a_sane_one_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(Registration::read(dir.path()).unwrap(), None);
        wish().write(dir.path()).unwrap();
        assert_eq!(Registration::read(dir.path()).unwrap(), Some(wish()));
        Registration::take_news(dir.path()).unwrap();
        assert!(!dir.path().join(NEWS).exists());
        Registration::withdraw(dir.path()).unwrap();
        Registration::withdraw(dir.path()).unwrap();
        assert!(dir.path().join(NEWS).exists(), "also of its end");
        assert_eq!(Registration::read(dir.path()).unwrap(), None);

        let refused = |text: &str| {
            fs::write(&path, text).unwrap();
            Registration::read(dir.path()).unwrap_err().to_string()
        };
        let json = |wish: Registration| serde_json::to_string(&wish).unwrap();
        assert!(refused("").contains(FILE));
        assert!(refused(&"x".repeat(5000)).contains("4096"));
        for domain in ["", ".", "a..b", "van.internal\nDNS=192.0.2.1", "a b", "ä", &"x".repeat(64)]
        {
            let text = refused(&json(Registration { domain: domain.into(), ..wish() }));
            assert!(text.contains("is no domain"), "{text}");
        }
        for (server, port) in [(Ipv4Addr::new(192, 0, 2, 1), 53), (Ipv4Addr::LOCALHOST, 0)] {
            let text = refused(&json(Registration { server, port, ..wish() }));
            assert!(text.contains("no place"), "{text}");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(Registration::read(dir.path()).is_err(), "links are not followed");
    }
}
