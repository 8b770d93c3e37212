//! h2load, nghttp2's load generator for HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::host::Host;
use crate::process::{self, Launch};
use crate::program::Programs;

/// Asks for the small file over `connections` with `streams` each for `seconds`; gives requests a
/// second.
///
/// # Errors
/// Where h2load is missing, fails, hangs, or more than one request in a thousand fails.
pub fn run(
    programs: &Programs,
    dir: &Path,
    address: SocketAddr,
    [connections, streams]: [u32; 2],
    seconds: u64,
) -> Result<f64> {
    let h2load = programs.find("h2load").context("h2load is not installed")?;
    let args = [
        format!("-c{connections}"),
        format!("-m{streams}"),
        format!("-D{seconds}"),
        "-t1".to_owned(),
        format!("http://{address}/page"),
    ];
    let limit = Duration::from_secs(seconds + 15);
    parse(&process::run(&Launch::new("h2load", h2load, args), &Host::loopback(), dir, limit)?)
}

fn parse(text: &str) -> Result<f64> {
    let rate = text.lines().find_map(|line| {
        let rest = line.strip_prefix("finished in ")?;
        rest.split(", ").find_map(|part| part.strip_suffix(" req/s"))?.parse::<f64>().ok()
    });
    let codes = text.lines().find_map(|line| line.strip_prefix("status codes: "));
    let code = |class: &str| {
        let mut parts = codes?.split(", ");
        parts.find_map(|part| part.strip_suffix(class))?.trim().parse::<f64>().ok()
    };
    let (Some(rate), Some(good)) = (rate, code("2xx")) else { bail!("h2load gave no figures") };
    let bad: f64 = ["3xx", "4xx", "5xx"].into_iter().filter_map(code).sum();
    if good < 1.0 || bad > good / 1000.0 {
        bail!("{bad} of {good} requests failed");
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "starting benchmark...\n\n\
        finished in 2.00s, 41235.50 req/s, 43.97MB/s\n\
        requests: 82471 total, 82535 started, 82471 done, 82471 succeeded, 0 failed\n\
        status codes: 82471 2xx, 0 3xx, 0 4xx, 0 5xx\n";

    #[test]
    fn reads_the_figures() {
        assert_eq!(parse(REPORT).unwrap(), 41235.5);
    }

    #[test]
    fn failed_requests_are_a_failure() {
        assert!(parse(&REPORT.replace("0 5xx", "900 5xx")).is_err());
        assert!(parse("").is_err());
    }
}
