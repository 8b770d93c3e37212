//! What tests do with vand on a host.

use serde_json::Value;
use van_testkit::{DEADLINE, Ran, wait_until};

use crate::host::Host;
use crate::lab::Lab;

impl Host {
    /// Installs the package as an administrator does; gives what apt printed.
    ///
    /// # Panics
    /// When it can't be installed.
    #[track_caller]
    pub fn install(&self) -> String {
        self.copy_in(&Lab::deb(false), "/srv/vand.deb");
        self.sh("apt-get install --yes /srv/vand.deb 2>&1").ok()
    }

    /// Installs the package of the commit before, which users may have.
    ///
    /// # Panics
    /// When apt fails.
    #[track_caller]
    pub fn install_before(&self) {
        self.copy_in(&Lab::deb_before(), "/srv/vand.deb");
        let _said = self.sh("apt-get install --yes /srv/vand.deb 2>&1").ok();
    }

    /// Installs it, and lets it accept links at the host's address.
    ///
    /// # Panics
    /// When it doesn't come up.
    #[track_caller]
    pub fn install_accepting(&self) {
        self.accept_links();
        let _said = self.install();
    }

    /// Says in the configuration where links are accepted.
    ///
    /// # Panics
    /// When the disk can't be written.
    #[track_caller]
    pub fn accept_links(&self) {
        let text = format!(
            "[accept]\nlisten = [\"0.0.0.0:8263\"]\nadvertise = [\"{}:8263\"]\n",
            self.address()
        );
        self.write("/etc/vand/conf.d/accept.toml", &text);
    }

    /// Runs one command of vanctl as root.
    ///
    /// # Panics
    /// When it doesn't end.
    #[track_caller]
    pub fn vanctl(&self, line: &str) -> Ran {
        self.sh(&format!("vanctl {line}"))
    }

    /// What vanctl says, as a document.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ask(&self, line: &str) -> Value {
        self.vanctl(&format!("-o json {line}")).json()
    }

    /// The id of its site.
    ///
    /// # Panics
    /// When the daemon doesn't answer.
    #[track_caller]
    pub fn site_id(&self) -> String {
        self.ask("status")["id"].as_str().expect("a site has an id").to_owned()
    }

    /// Links its site to that of another host, with a token that is carried over.
    ///
    /// # Panics
    /// When the link doesn't come up.
    #[track_caller]
    pub fn link_to(&self, other: &Self) {
        let token = other.vanctl("token create").ok();
        self.write("/srv/token", &token);
        let _done = self.vanctl("link create /srv/token").ok();
    }

    /// Waits until its site has this many links.
    ///
    /// # Panics
    /// When it doesn't get them.
    #[track_caller]
    pub fn wait_links(&self, count: u64) {
        let what = format!("{} had {count} links", self.name());
        wait_until(DEADLINE, &what, || {
            let status = self.vanctl("-o json status");
            serde_json::from_str::<Value>(&status.stdout).is_ok_and(|s| s["links_up"] == count)
        });
    }

    /// Waits until a service of another site has a place here, and gives it as `IP:PORT`.
    ///
    /// # Panics
    /// When it doesn't appear.
    #[track_caller]
    pub fn wait_import(&self, address: &str) -> String {
        let mut place = None;
        wait_until(DEADLINE, &format!("{address} appeared at {}", self.name()), || {
            let services = self.ask("service status");
            let items = services["items"].as_array().cloned().unwrap_or_default();
            let found = items.iter().find(|item| item["spec"]["address"] == address);
            place = found.and_then(|item| Some(item["status"]["import"].as_str()?.to_owned()));
            place.is_some()
        });
        place.expect("it appeared")
    }
}
