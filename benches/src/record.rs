//! The record of a run: one JSON line for each figure or failure, kept for later comparison.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::metric::Metric;
use crate::peer::Peer;
use crate::workload::{Figure, Workload};

/// The file that every run appends to.
#[derive(Debug)]
pub struct Record {
    file: File,
    run: String,
    quick: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    time: String,
    quick: bool,
    round: u32,
    peer: &'a str,
    workload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    others: f64,
    load: f64,
}

/// The circumstances of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The round, from 1.
    pub round: u32,
    /// The share of the machine that other processes took, 0 to 1.
    pub others: f64,
    /// The load average at the end.
    pub load: f64,
}

impl Record {
    /// Opens `results.jsonl` in the folder `dir`.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn open(dir: &Path, quick: bool) -> Result<Self> {
        create_dir_all(dir)?;
        let path = dir.join("results.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("opening {} failed", path.display()))?;
        let run = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        Ok(Self { file, run, quick })
    }

    /// Appends the outcome of a measurement.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn append(
        &mut self,
        peer: Peer,
        workload: Workload,
        outcome: &Result<Vec<Figure>>,
        circumstances: Circumstances,
    ) -> Result<()> {
        let Circumstances { round, others, load } = circumstances;
        let line = Line {
            run: &self.run,
            time: jiff::Timestamp::now().to_string(),
            quick: self.quick,
            round,
            peer: peer.name(),
            workload: workload.letter(),
            metric: None,
            value: None,
            unit: None,
            error: None,
            others,
            load,
        };
        let lines: Vec<Line<'_>> = match outcome {
            Ok(figures) => figures
                .iter()
                .map(|&(metric, value)| Line {
                    metric: Some(metric),
                    value: Some(value),
                    unit: Some(metric.label().1),
                    time: line.time.clone(),
                    error: None,
                    ..line
                })
                .collect(),
            Err(error) => vec![Line { error: Some(format!("{error:#}")), ..line }],
        };
        for line in lines {
            writeln!(self.file, "{}", serde_json::to_string(&line)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_appended() {
        let dir = tempfile::tempdir().unwrap();
        let at = Circumstances { round: 1, others: 0.25, load: 2.0 };
        for _ in 0..2 {
            let mut record = Record::open(dir.path(), true).unwrap();
            let good = Ok(vec![(Metric::Stream, 5.5), (Metric::Reverse, 6.5)]);
            record.append(Peer::Vand, Workload::Stream, &good, at).unwrap();
            let bad = Err(anyhow::anyhow!("it hangs"));
            record.append(Peer::Frp, Workload::Stream, &bad, at).unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join("results.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 6);
        assert_eq!((&lines[0]["metric"], &lines[0]["value"]), (&"stream".into(), &5.5.into()));
        assert_eq!(lines[5]["error"], "it hangs");
    }
}
