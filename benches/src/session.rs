//! A run from its first round to its report.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::backend::Backends;
use crate::certificate::Certificates;
use crate::cli::Run;
use crate::peer::Peer;
use crate::program::Programs;
use crate::record::{Circumstances, Record};
use crate::report::Findings;
use crate::usage::{OtherLoad, load_average};
use crate::workload::{Bench, Figure, Pace, Workload, transit};
use crate::{stop, wan};

/// Descriptors that 5,000 idle flows need in a proxy: two each, and some.
const DESCRIPTORS: u64 = 20_000;

/// After so many failures in a row a peer is left out of the rest of the run.
const PATIENCE: u32 = 3;

/// A run under way.
#[derive(Debug)]
pub struct Session {
    options: Run,
    bench: Bench,
    record: Record,
    findings: Findings,
    failures: BTreeMap<Peer, u32>,
}

impl Session {
    /// Prepares a run: certificates, back-ends, limits.
    ///
    /// # Errors
    /// Where something of that can't be had.
    pub fn prepare(options: Run, runtime: Runtime, dir: &std::path::Path) -> Result<Self> {
        raise_limits(&options)?;
        let programs = Programs {
            vand: std::path::absolute(&options.vand)?,
            vanctl: std::path::absolute(&options.vanctl)?,
            peers: std::path::absolute(&options.peers_dir)?,
        };
        let certificates = Certificates::make(&dir.join("certificates"))?;
        let backends = Backends::start(&programs, &dir.join("backends"))?;
        let pace = if options.quick { Pace::QUICK } else { Pace::FULL };
        let dir = dir.to_owned();
        let bench = Bench { runtime, programs, certificates, backends, dir, pace };
        let record = Record::open(&options.out, options.quick)?;
        let (findings, failures) = (Findings::default(), BTreeMap::new());
        Ok(Self { options, bench, record, findings, failures })
    }

    /// Does all rounds, prints the report and writes it as Markdown.
    ///
    /// # Errors
    /// Where the run is interrupted or a result can't be written; a peer's failure is a finding.
    pub fn run(mut self) -> Result<()> {
        let peers = self.present_peers();
        let rounds = self.options.rounds.unwrap_or(if self.options.quick { 1 } else { 3 });
        let begin = jiff::Zoned::now();
        for round in 1..=rounds {
            for workload in Workload::ALL {
                if !self.options.only.is_empty() && !self.options.only.contains(&workload) {
                    continue;
                }
                for peer in self.turn(workload, &peers, round) {
                    self.measure(workload, peer, round, rounds)?;
                }
            }
        }
        let minutes = (jiff::Zoned::now().timestamp() - begin.timestamp()).get_seconds() / 60;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let head = format!(
            "{}, {rounds} rounds, {minutes} min, {cores} processors{}. Clients, both processes and \
             the back-end share the machine; OTHERS is the greatest share that other processes \
             took meanwhile.",
            begin.strftime("%Y-%m-%d %H:%M"),
            if self.options.quick { ", quick" } else { "" },
        );
        let path = self.options.out.join("table.md");
        fs::write(&path, self.findings.markdown(&head))?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{head}\n\n{}\nwritten to {}", self.findings.text(), path.display())?;
        Ok(())
    }

    fn present_peers(&mut self) -> Vec<Peer> {
        let wanted =
            |peer: &Peer| self.options.peers.is_empty() || self.options.peers.contains(peer);
        let (mut present, mut missing) = (Vec::new(), Vec::new());
        for peer in Peer::ALL.into_iter().filter(wanted) {
            match peer.missing(&self.bench.programs) {
                Some(why) => missing.push(format!("{}: {why}", peer.name())),
                None => present.push(peer),
            }
        }
        self.findings.missing = missing;
        present
    }

    /// Gives the peers of a workload in this round; each round starts with another one.
    fn turn(&mut self, workload: Workload, peers: &[Peer], round: u32) -> Vec<Peer> {
        let mut turn: Vec<Peer> = if workload == Workload::Wan {
            match wan::missing(&self.bench.programs) {
                Some(why) if round == 1 => {
                    self.findings.missing.push(format!("WAN: {why}"));
                    Vec::new()
                }
                Some(_) => Vec::new(),
                None => {
                    let both = peers.contains(&Peer::Direct);
                    let all = wan::PEERS.into_iter();
                    all.filter(|p| peers.contains(p) || (both && p.is_direct())).collect()
                }
            }
        } else if workload == Workload::Transit {
            let own = peers.contains(&Peer::Vand);
            transit::PEERS.into_iter().filter(|_| own).collect()
        } else {
            peers.iter().copied().filter(|&peer| workload.fits(peer)).collect()
        };
        if workload.is_rare() {
            let (quick, later) = (self.options.quick, round > 1);
            turn.retain(|&peer| match peer {
                Peer::Vand => true,
                Peer::HaproxyPlain => !later,
                _ => !later && !quick,
            });
        }
        if !turn.is_empty() {
            let by = (round as usize - 1) * 3 % turn.len();
            turn.rotate_left(by);
        }
        turn
    }

    fn measure(&mut self, workload: Workload, peer: Peer, round: u32, rounds: u32) -> Result<()> {
        if self.failures.get(&peer).is_some_and(|&failures| failures >= PATIENCE) {
            return Ok(());
        }
        let others = OtherLoad::start();
        let outcome = if workload == Workload::Wan {
            self.bench.wan(peer, round)
        } else {
            self.bench.measure(workload, peer, round)
        };
        stop::check()?;
        let circumstances = Circumstances { round, others: others.share(), load: load_average() };
        self.record.append(peer, workload, &outcome, circumstances)?;
        let words = self.note(workload, peer, outcome, circumstances.others);
        let mut progress = std::io::stderr().lock();
        writeln!(
            progress,
            "round {round}/{rounds}  {}  {:<14} {words}  (others {:.0} %)",
            workload.letter(),
            peer.name(),
            circumstances.others * 100.0
        )?;
        Ok(())
    }

    /// Keeps an outcome among the findings and gives it in words.
    fn note(
        &mut self,
        workload: Workload,
        peer: Peer,
        outcome: Result<Vec<Figure>>,
        others: f64,
    ) -> String {
        match outcome {
            Ok(figures) => {
                self.failures.remove(&peer);
                for &(metric, value) in &figures {
                    self.findings.statistics.add(peer, metric, value, others);
                }
                let words: Vec<String> = figures.iter().map(words).collect();
                words.join(", ")
            }
            Err(error) => {
                let failures = self.failures.entry(peer).or_default();
                *failures += 1;
                let out = if *failures == PATIENCE { "; left out from here on" } else { "" };
                let text = format!("{error:#}{out}");
                let letter = workload.letter();
                self.findings.failures.push(format!("{}, {letter}: {text}", peer.name()));
                format!("FAILED: {text}")
            }
        }
    }
}

fn words(&(metric, value): &Figure) -> String {
    let (label, unit, digits) = metric.label();
    format!("{label} {value:.digits$} {unit}").trim_end().to_owned()
}

fn raise_limits(options: &Run) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < DESCRIPTORS {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)?;
    }
    if hard < DESCRIPTORS {
        bail!("the run needs {DESCRIPTORS} descriptors, `ulimit -Hn` allows {hard}");
    }
    if options.raise {
        fs::write("/proc/self/autogroup", "-10").context("raising the session's group failed")?;
    }
    Ok(())
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.options.raise {
            // The session belongs to the caller's terminal, which goes on.
            let _ = fs::write("/proc/self/autogroup", "0");
        }
    }
}
