//! A site that accepts links, and others that dial it.

use std::path::Path;

use tempfile::TempDir;

use crate::daemon::Vand;
use crate::net::free_port;
use crate::wait::{DEADLINE, temp_dir, wait_until};

/// A site `public` that accepts links, in a folder in which others may be started.
#[derive(Debug)]
pub struct Sites {
    /// The site that accepts links.
    pub public: Vand,
    link_port: u16,
    dir: TempDir,
}

impl Sites {
    /// Starts `public` with these sections in its configuration beside `[site]` and `[accept]`.
    ///
    /// # Panics
    /// When it doesn't start.
    #[track_caller]
    pub fn start(sections: &str) -> Self {
        let (dir, port) = (temp_dir(), free_port());
        let toml = format!(
            "[site]\nname = \"public\"\n[accept]\nlisten = [\"127.0.0.1:{port}\"]\n\
             advertise = [\"127.0.0.1:{port}\"]\n{sections}"
        );
        let public = Vand::start(&dir.path().join("public"), &toml);
        Self { public, link_port: port, dir }
    }

    /// Starts a site that only dials, and links it to `public` as `link1`.
    ///
    /// # Panics
    /// When it doesn't start or link.
    #[track_caller]
    pub fn linked(&self, name: &str, sections: &str) -> Vand {
        let vand = self.other(name, sections);
        let token = self.public.token(name, "");
        vand.ctl(&format!("link create {}", token.display())).ok();
        vand
    }

    /// Starts a site that only dials, and links it to nobody.
    ///
    /// # Panics
    /// When it doesn't start.
    #[track_caller]
    pub fn other(&self, name: &str, sections: &str) -> Vand {
        let toml = format!("[site]\nname = \"{name}\"\n{sections}");
        Vand::start(&self.dir.path().join(name), &toml)
    }

    /// Starts a linked site `laptop` whose workload at this loopback port clients find at `public`,
    /// at the port that is returned; everything is made with the client.
    ///
    /// # Panics
    /// When they don't start, or the service doesn't come up.
    #[track_caller]
    pub fn service(&self, target: u16) -> (Vand, u16) {
        let (laptop, port) = (self.linked("laptop", ""), free_port());
        laptop.ctl(&format!("expose 127.0.0.1:{target} --address service")).ok();
        self.public.ctl(&format!("listener create service 127.0.0.1:{port}")).ok();
        // No connection is made to see it: that would be a flow, which some workloads keep.
        wait_until(DEADLINE, "the service was there", || {
            let listener = self.public.get("/v1/listeners/service");
            listener.is_some_and(|(_, listener)| listener["status"]["accepting"] == true)
        });
        (laptop, port)
    }

    /// The port at which `public` accepts links.
    pub fn link_port(&self) -> u16 {
        self.link_port
    }

    /// The folder that holds the sites' own.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
