//! Containers and pods as targets, with a real podman on a host of its own. They need root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod engine;
mod faults;
mod follow;
mod labels;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use van_testkit::{Host, Lab, Vand};

use crate::engine::Engine;

/// Where clients of the service `web` come.
pub(crate) const LISTENER: u16 = 7001;

/// A host with podman and a daemon that offers and uses `web`.
pub(crate) struct Site {
    pub(crate) vand: Vand,
    pub(crate) engine: Engine,
    _lab: Lab,
}

impl Site {
    /// Starts both; `podman`: more of the section `[podman]`.
    pub(crate) fn start(podman: &str) -> Self {
        let mut site = Self::without_service(podman);
        site.engine.start_service();
        site
    }

    /// The same while podman's API is not served.
    pub(crate) fn without_service(podman: &str) -> Self {
        let lab = Lab::new();
        let host = lab.host("box");
        let engine = Engine::new(&lab, &host);
        let dir = lab.dir().join("vand");
        let vand = host.within(|| Vand::start(&dir, &toml(&engine, podman)));
        Self { vand, engine, _lab: lab }
    }

    /// The connector of this name.
    pub(crate) fn connector(&self, name: &str) -> Option<Value> {
        let (status, found) = self.vand.get(&format!("/v1/connectors/{name}"))?;
        (status == 200).then_some(found)
    }

    /// Why a connector is unhealthy; empty where it is not.
    pub(crate) fn reason(&self, name: &str) -> String {
        let connector = self.connector(name);
        let status = connector.map(|found| found["status"].clone()).unwrap_or_default();
        match status["healthy"].as_bool() {
            Some(true) => String::new(),
            _ => status["reason"].as_str().unwrap_or("unknown").to_owned(),
        }
    }

    pub(crate) fn is_healthy(&self, name: &str) -> bool {
        self.connector(name).is_some_and(|found| found["status"]["healthy"] == true)
    }

    /// Who answers a client of `web`.
    pub(crate) fn ask(&self) -> Result<String, String> {
        ask(&self.engine.host, LISTENER)
    }

    /// Whether an event of this reason tells this.
    pub(crate) fn told(&self, reason: &str, text: &str) -> bool {
        let events = self.vand.get("/v1/events").map(|(_, found)| found).unwrap_or_default();
        let items = events["items"].as_array().cloned().unwrap_or_default();
        let of = |event: &Value| {
            event["reason"] == reason && event["message"].as_str().unwrap_or("").contains(text)
        };
        items.iter().any(of)
    }
}

/// The daemon's configuration.
pub(crate) fn toml(engine: &Engine, podman: &str) -> String {
    let socket = engine.socket();
    format!(
        "[podman]\nsockets = [{:?}]\n{podman}\n[services]\nimport = []\n\
         [[listener]]\nname = \"web\"\nbind = \"127.0.0.1:{LISTENER}\"\n",
        socket.display().to_string()
    )
}

/// Who answers at a port of a host.
pub(crate) fn ask(host: &Host, port: u16) -> Result<String, String> {
    let asked = host.within(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    });
    let answer = asked.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.contains(" 200 ") {
        return Err(head.into());
    }
    Ok(body.trim().into())
}

/// Tells a measured figure, also of a test that passes.
pub(crate) fn tell(figure: &str) {
    // The harness keeps what is printed; a closed standard error can't be helped.
    let _unheard = writeln!(std::io::stderr(), "measured: {figure}");
}
