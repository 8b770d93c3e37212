//! wrk as an HTTP client.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::host::Host;
use crate::process::{self, Launch};
use crate::program::Programs;

/// Prints what wrk's own report rounds away: requests, microseconds, quantiles, errors.
const SCRIPT: &str = "done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('figures %d %d %f %f %d\\n', summary.requests, summary.duration,
    latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
";

/// What wrk measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// Requests a second.
    pub rate: f64,
    /// The slowest hundredth, in milliseconds.
    pub p99_ms: f64,
    /// The slowest thousandth, in milliseconds.
    pub p999_ms: f64,
}

/// Asks for the small file over `connections` for `seconds`.
///
/// # Errors
/// Where wrk is missing, fails, hangs, or more than one request in a thousand fails.
pub fn run(
    programs: &Programs,
    dir: &Path,
    address: SocketAddr,
    connections: u32,
    seconds: u64,
) -> Result<Requests> {
    let wrk = programs.find("wrk").context("wrk is not installed")?;
    let script = dir.join("figures.lua");
    fs::write(&script, SCRIPT)?;
    let args = [
        "-t1".to_owned(),
        format!("-c{connections}"),
        format!("-d{seconds}s"),
        "-s".to_owned(),
        script.display().to_string(),
        format!("http://{address}/page"),
    ];
    let limit = Duration::from_secs(seconds + 15);
    parse(&process::run(&Launch::new("wrk", wrk, args), &Host::loopback(), dir, limit)?)
}

fn parse(text: &str) -> Result<Requests> {
    let line = text.lines().find_map(|line| line.strip_prefix("figures "));
    let fields: Vec<f64> =
        line.unwrap_or_default().split(' ').filter_map(|field| field.parse().ok()).collect();
    let [requests, micros, p99, p999, errors] = fields[..] else {
        bail!("wrk gave no figures");
    };
    if requests < 1.0 || errors > requests / 1000.0 {
        bail!("{errors} of {requests} requests failed");
    }
    Ok(Requests { rate: requests / micros * 1e6, p99_ms: p99 / 1e3, p999_ms: p999 / 1e3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures() {
        let text = "Running\nfigures 4000 2000000 1500.000000 2500.000000 0\n";
        let want = Requests { rate: 2000.0, p99_ms: 1.5, p999_ms: 2.5 };
        assert_eq!(parse(text).unwrap(), want);
    }

    #[test]
    fn failed_requests_are_a_failure() {
        assert!(parse("figures 4000 2000000 1.0 2.0 5\n").is_err());
        assert!(parse("figures 0 2000000 0.0 0.0 0\n").is_err());
        assert!(parse("").is_err());
    }
}
