//! iperf3 as a client.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::host::Host;
use crate::process::{Launch, Tool};
use crate::program::Programs;

/// What a transfer should be like.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where to connect to.
    pub address: SocketAddr,
    /// How many streams at once.
    pub streams: u32,
    /// Whether the server sends.
    pub reverse: bool,
    /// How long, in whole seconds.
    pub seconds: u64,
    /// The congestion control that both ends ask for; `None`: the host's.
    pub congestion: Option<&'static str>,
}

/// A transfer that is under way.
#[derive(Debug)]
pub struct Ongoing {
    tool: Tool,
    limit: Duration,
}

/// What a transfer brought to its receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// Payload bits a second.
    pub bits_per_second: f64,
    /// Payload bytes.
    pub bytes: f64,
}

impl Transfer {
    /// Makes an ordinary transfer.
    pub fn new(address: SocketAddr, streams: u32, seconds: u64) -> Self {
        Self { address, streams, reverse: false, seconds, congestion: None }
    }

    /// Starts the transfer.
    ///
    /// # Errors
    /// Where iperf3 is missing or can't be started.
    pub fn start(&self, programs: &Programs, host: &Host, dir: &Path) -> Result<Ongoing> {
        let iperf = programs.find("iperf3").context("iperf3 is not installed")?;
        let mut args = vec![
            "-J".to_owned(),
            "--connect-timeout=5000".to_owned(),
            format!("-c{}", self.address.ip()),
            format!("-p{}", self.address.port()),
            format!("-P{}", self.streams),
            format!("-t{}", self.seconds),
        ];
        if self.reverse {
            args.push("-R".to_owned());
        }
        args.extend(self.congestion.map(|name| format!("-C{name}")));
        let tool = Tool::start(&Launch::new("iperf-client", iperf, args), host, dir)?;
        Ok(Ongoing { tool, limit: Duration::from_secs(self.seconds + 20) })
    }

    /// Runs the transfer to its end.
    ///
    /// # Errors
    /// As [`Transfer::start`] and [`Ongoing::finish`].
    pub fn run(&self, programs: &Programs, host: &Host, dir: &Path) -> Result<Moved> {
        self.start(programs, host, dir)?.finish()
    }
}

impl Ongoing {
    /// Waits for the end.
    ///
    /// # Errors
    /// Where iperf3 fails, or hangs 20 s longer than it should last.
    pub fn finish(self) -> Result<Moved> {
        parse(&self.tool.finish(self.limit)?)
    }
}

#[derive(Deserialize)]
struct Report {
    error: Option<String>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct End {
    sum_received: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    bytes: f64,
    bits_per_second: f64,
}

fn parse(text: &str) -> Result<Moved> {
    let report: Report = serde_json::from_str(text).context("reading iperf3's JSON failed")?;
    if let Some(error) = report.error {
        bail!("iperf3 failed: {error}");
    }
    let sum = report.end.and_then(|end| end.sum_received);
    let sum = sum.context("iperf3 gave no sum of what was received")?;
    Ok(Moved { bits_per_second: sum.bits_per_second, bytes: sum.bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_report() {
        let text = r#"{"end":{"sum_received":{"bytes":1000,"bits_per_second":8e3,"x":1}}}"#;
        assert_eq!(parse(text).unwrap(), Moved { bits_per_second: 8e3, bytes: 1000.0 });
    }

    #[test]
    fn says_what_went_wrong() {
        let error = parse(r#"{"error":"unable to connect","end":{}}"#).unwrap_err();
        assert!(error.to_string().contains("unable to connect"));
        assert!(parse(r#"{"end":{}}"#).is_err());
        assert!(parse("not json").is_err());
    }
}
