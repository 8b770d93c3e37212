//! Questions to the daemon's name server, at an even pace.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use van_testkit::{DEADLINE, Echo, Sites, wait_until};

use crate::cli::Names;

/// How long answers may be late after the last question.
const LATE: Duration = Duration::from_secs(2);

/// The name of the imported service, as the daemon's defaults make it.
const NAME: &str = "echo.van.internal";

/// What came of the questions.
#[derive(Debug)]
struct Asked {
    questions: usize,
    /// Round-trip times in milliseconds, sorted.
    took: Vec<f64>,
}

impl Asked {
    fn quantile(&self, share: f64) -> f64 {
        let last = self.took.len().saturating_sub(1);
        self.took.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

/// Starts two linked daemons, asks the one for a service of the other, and prints how that went.
///
/// # Errors
/// Where a socket fails or nothing is answered.
///
/// # Panics
/// When a daemon doesn't start.
pub fn run(options: &Names) -> Result<()> {
    let questions = options.rate as usize * options.seconds as usize;
    ensure!(questions <= usize::from(u16::MAX), "rate × seconds is to be 65535 at most");
    let echo = Echo::start();
    let sites = Sites::start("");
    let offering = sites.linked("offering", "");
    offering.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    let mut server = None;
    wait_until(DEADLINE, "the name was known", || {
        server = place(&sites.public.dir().join("run/names.json")).filter(|at| knows(*at));
        server.is_some()
    });
    let server = server.context("there is no name server")?;
    let asked = ask(server, questions, f64::from(options.rate))?;
    ensure!(!asked.took.is_empty(), "nothing was answered");
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| asked.quantile(share));
    let (answered, rate) = (asked.took.len(), options.rate);
    writeln!(
        std::io::stdout(),
        "names at {rate} questions/s: {answered} of {} answered, p50 {p50:.2} ms, p99 {p99:.2} ms, \
         longest {most:.2} ms",
        asked.questions
    )?;
    Ok(())
}

/// Where the daemon says that its name server is.
fn place(file: &Path) -> Option<SocketAddr> {
    let wish: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let server: Ipv4Addr = wish["server"].as_str()?.parse().ok()?;
    Some((server, u16::try_from(wish["port"].as_u64()?).ok()?).into())
}

fn knows(server: SocketAddr) -> bool {
    let asked = ask(server, 1, 1.0);
    asked.is_ok_and(|asked| !asked.took.is_empty())
}

/// Asks so many questions, so many a second.
fn ask(server: SocketAddr, questions: usize, rate: f64) -> Result<Asked> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(LATE))?;
    let receiver = socket.try_clone()?;
    let began = Instant::now();
    let reader = thread::spawn(move || {
        let mut arrived = vec![None; questions];
        let (mut left, mut answer) = (questions, [0; 512]);
        while left > 0
            && let Ok(length) = receiver.recv(&mut answer)
        {
            let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
            // One record, and no error.
            let good = length > 12 && answer[7] == 1 && answer[3] & 0xf == 0;
            if let Some(at) = arrived.get_mut(id).filter(|at| good && at.is_none()) {
                *at = Some(began.elapsed());
                left -= 1;
            }
        }
        arrived
    });
    let mut sent = Vec::with_capacity(questions);
    for id in 0..questions {
        let due = Duration::from_secs_f64(id as f64 / rate);
        if let Some(wait) = due.checked_sub(began.elapsed()) {
            thread::sleep(wait);
        }
        sent.push(began.elapsed());
        socket.send(&question(u16::try_from(id)?))?;
    }
    let arrived = reader.join().map_err(|_| anyhow::anyhow!("the reader failed"))?;
    let pairs = arrived.iter().zip(&sent);
    let mut took: Vec<f64> = pairs
        .filter_map(|(at, sent)| Some((*at)?.saturating_sub(*sent).as_secs_f64() * 1e3))
        .collect();
    took.sort_by(f64::total_cmp);
    Ok(Asked { questions, took })
}

/// A question for the service's address (RFC 1035, 4.1).
fn question(id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in NAME.split('.') {
        // Labels of a constant name are short.
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_answered() {
        let asked = Asked { questions: 5, took: vec![1.0, 2.0, 3.0, 4.0] };
        assert_eq!([0.0, 0.5, 1.0].map(|share| asked.quantile(share)), [1.0, 3.0, 4.0]);
        assert!(Asked { questions: 1, took: vec![] }.quantile(0.5).is_nan());
    }

    #[test]
    fn a_question_is_well_formed() {
        let packet = question(0x0102);
        assert_eq!(packet[..6], [1, 2, 1, 0, 0, 1]);
        assert_eq!(packet.len(), 12 + NAME.len() + 2 + 4);
    }
}
