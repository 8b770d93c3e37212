//! What a peer is told before it starts: folders, addresses, certificates.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::certificate::Certificates;
use crate::host::Place;
use crate::process::Launch;
use crate::program::Programs;

/// What a peer knows of the bytes that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A stream of bytes.
    Stream,
    /// HTTP/1.1, each request for itself.
    Requests,
    /// HTTP/2 by prior knowledge, each stream for itself.
    Multiplexed,
    /// Datagrams.
    Datagrams,
}

/// A service to be laid out.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The service's name.
    pub name: &'static str,
    /// The back-end.
    pub target: SocketAddr,
    /// What is carried.
    pub carried: Carried,
}

impl Service {
    /// Gives a service of plain streams.
    pub fn stream(name: &'static str, target: SocketAddr) -> Self {
        Self { name, target, carried: Carried::Stream }
    }
}

/// One service on its way through a peer.
#[derive(Clone, Debug)]
pub struct Route {
    /// The service's name.
    pub name: &'static str,
    /// What is carried.
    pub carried: Carried,
    /// Where clients connect to: the ingress process listens there.
    pub entry: SocketAddr,
    /// Where the egress process listens, for peers with a port for each service between the two.
    pub link: SocketAddr,
    /// The back-end.
    pub target: SocketAddr,
}

/// Everything that a peer's configuration is written from.
#[derive(Debug)]
pub struct Layout<'a> {
    /// A folder of the peer's own, empty at first.
    pub dir: PathBuf,
    /// Where both ends run.
    pub place: &'a Place,
    /// The run's certificates.
    pub certificates: &'a Certificates,
    /// The run's programs.
    pub programs: &'a Programs,
    /// The services.
    pub routes: Vec<Route>,
    /// Where the ingress process listens for its link, for peers whose egress dials.
    pub uplink: SocketAddr,
}

impl<'a> Layout<'a> {
    /// Lays out `services`.
    ///
    /// # Errors
    /// Where no port is free or the folder can't be made.
    pub fn new(
        dir: PathBuf,
        place: &'a Place,
        certificates: &'a Certificates,
        programs: &'a Programs,
        services: &[Service],
    ) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let routes = services.iter().map(|&Service { name, target, carried }| {
            let entry = place.ingress.free_port()?;
            Ok(Route { name, carried, entry, link: place.egress.free_port()?, target })
        });
        let routes = routes.collect::<Result<_>>()?;
        let uplink = place.ingress.free_port()?;
        Ok(Self { dir, place, certificates, programs, routes, uplink })
    }

    /// Writes `text` to the file `name` of the peer's folder and gives its path as a string.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// The processes of a peer, in the order of their start.
#[derive(Debug, Default)]
pub struct Setup {
    /// What runs beside the clients.
    pub ingress: Vec<Launch>,
    /// A short program run once the ingress is up, tried again until it succeeds.
    pub between: Option<Launch>,
    /// What runs between both ends, with a short program run once it is up.
    pub transit: Option<(Launch, Launch)>,
    /// What runs beside the back-end.
    pub egress: Vec<Launch>,
}
