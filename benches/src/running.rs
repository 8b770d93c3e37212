//! A peer that runs: both its ends, and where clients connect.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::host::{Host, Place};
use crate::layout::{Carried, Layout, Route, Setup};
use crate::peer::Peer;
use crate::process::{self, Launch, Process};
use crate::stop;
use crate::usage::{self, Usage};

/// How long a peer may take until a client's bytes come back.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long the short program between the two starts may take, and one try of it.
const BETWEEN_LIMIT: Duration = Duration::from_secs(15);

/// A peer with its processes; dropping it kills them.
#[derive(Debug)]
pub struct Running {
    peer: Peer,
    place: Place,
    dir: PathBuf,
    routes: Vec<Route>,
    ingress: Vec<Process>,
    transit: Vec<Process>,
    egress: Vec<Process>,
}

impl Running {
    /// Starts `peer` and waits until every service can be reached through it.
    ///
    /// `probe` names a service that echoes; without it only listening ports are looked at.
    ///
    /// # Errors
    /// Where a process ends or nothing gets through within 20 s.
    pub fn start(peer: Peer, layout: Layout<'_>, probe: Option<&str>) -> Result<Self> {
        let setup: Setup = peer.prepare(&layout)?;
        let Layout { dir, place, mut routes, .. } = layout;
        if peer.is_direct() {
            for route in &mut routes {
                route.entry = route.target;
            }
        }
        let mut running = Self {
            peer,
            place: place.clone(),
            dir,
            routes,
            ingress: Vec::new(),
            transit: Vec::new(),
            egress: Vec::new(),
        };
        for launch in &setup.ingress {
            running.ingress.push(Process::start(launch, &place.ingress, &running.dir)?);
        }
        if let Some(between) = &setup.between {
            running.insist(between)?;
        }
        if let Some((launch, after)) = &setup.transit {
            running.transit.push(Process::start(launch, &place.ingress, &running.dir)?);
            running.insist(after)?;
        }
        for launch in &setup.egress {
            running.egress.push(Process::start(launch, &place.egress, &running.dir)?);
        }
        let ready = running.wait_ready(probe);
        running.explain(ready)?;
        Ok(running)
    }

    /// Runs a short program again and again until it succeeds.
    fn insist(&mut self, launch: &Launch) -> Result<()> {
        let mut last = None;
        let done = stop::wait_until(BETWEEN_LIMIT, || {
            self.check_alive()?;
            let once = process::run(launch, &self.place.ingress, &self.dir, BETWEEN_LIMIT);
            last = once.err();
            Ok(last.is_none())
        })?;
        if done { Ok(()) } else { Err(last.context("nothing was tried")?) }
    }

    fn wait_ready(&mut self, probe: Option<&str>) -> Result<()> {
        let streams = self.routes.iter().filter(|route| route.carried != Carried::Datagrams);
        let entries: Vec<SocketAddr> = streams.map(|route| route.entry).collect();
        let echo = probe.map(|name| self.entry(name)).transpose()?;
        let ready = stop::wait_until(START_LIMIT, || {
            self.check_alive()?;
            let pids = self.ingress_pids();
            let open = pids.first().is_none_or(|&pid| usage::listening(pid, &entries));
            Ok(open && echo.is_none_or(|entry| echoes(entry).is_ok()))
        })?;
        if !ready {
            bail!("{} lets nothing through after {} s", self.peer.name(), START_LIMIT.as_secs());
        }
        Ok(())
    }

    /// Adds what the processes said last to a failure.
    ///
    /// # Errors
    /// The failure that was given.
    pub fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        let last = |process: &Process| {
            format!("{} said last: {}", process.launch().name, process.last_words())
        };
        outcome.map_err(|error| {
            let all = self.ingress.iter().chain(&self.transit).chain(&self.egress);
            let words: Vec<String> = all.map(last).collect();
            if words.is_empty() { error } else { anyhow!("{error:#} ({})", words.join("; ")) }
        })
    }

    fn check_alive(&mut self) -> Result<()> {
        let all = self.ingress.iter_mut().chain(&mut self.transit).chain(&mut self.egress);
        all.into_iter().try_for_each(Process::check_alive)
    }

    /// Gives where clients reach the service `name`.
    ///
    /// # Errors
    /// Where it was not laid out.
    pub fn entry(&self, name: &str) -> Result<SocketAddr> {
        let route = self.routes.iter().find(|route| route.name == name);
        route.map(|route| route.entry).with_context(|| format!("no service named {name}"))
    }

    /// Gives the host of the clients.
    pub fn client_host(&self) -> &Host {
        &self.place.ingress
    }

    /// Gives the folder for logs.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    fn ingress_pids(&self) -> Vec<u32> {
        self.ingress.iter().map(Process::pid).collect()
    }

    /// Reads the usage of the ingress side.
    pub fn ingress_usage(&self) -> Usage {
        Usage::of(&self.ingress_pids())
    }

    /// Reads the usage of what runs between both ends; nothing where nothing does.
    pub fn transit_usage(&self) -> Usage {
        Usage::of(&self.transit.iter().map(Process::pid).collect::<Vec<_>>())
    }

    /// Reads the usage of the egress side.
    pub fn egress_usage(&self) -> Usage {
        Usage::of(&self.egress.iter().map(Process::pid).collect::<Vec<_>>())
    }

    /// Kills the egress side at once, as SIGKILL does.
    pub fn kill_egress(&mut self) {
        self.egress.iter_mut().for_each(Process::kill);
    }

    /// Starts the egress side again, just as before.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn restart_egress(&mut self) -> Result<()> {
        let launches: Vec<_> = self.egress.iter().map(|old| old.launch().clone()).collect();
        self.egress.clear();
        for launch in &launches {
            self.egress.push(Process::start(launch, &self.place.egress, &self.dir)?);
        }
        Ok(())
    }
}

/// Sends a few bytes and waits for the same back.
fn echoes(entry: SocketAddr) -> Result<()> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&entry, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"are you there")?;
    let mut answer = [0; 13];
    stream.read_exact(&mut answer)?;
    if &answer != b"are you there" {
        bail!("the echo differs");
    }
    Ok(())
}
