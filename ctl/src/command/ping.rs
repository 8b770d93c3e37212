//! `vanctl ping`.

use std::time::Duration;

use clap::Args;
use van_model::api::{PingHop, PingReply, PingRequest};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Exit, Outcome, Problem, one_line};

/// How `vanctl ping` is used.
pub(crate) const EXAMPLE: &str = "Any site of the network answers, not only those that are linked.\n\n\
    Examples:\n  vanctl ping public\n  vanctl ping public -c 10 -i 200ms\n  \
    vanctl ping db-host --hops";

/// The options of `vanctl ping`.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// The site's name, its id, or at least 6 characters of the id
    site: String,
    /// How many echoes to send; 0 is without end
    #[arg(short, long, default_value_t = 4, value_name = "N")]
    count: u64,
    /// Time between two echoes, in seconds or as 200ms
    #[arg(short, long, default_value = "1s", value_parser = interval, value_name = "DURATION")]
    interval: Duration,
    /// Ask each site on the way, too
    #[arg(long, visible_alias = "verbose", short = 'v')]
    hops: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("{text:?} is not a time between echoes: write 1, 0.2 or 200ms")),
        Err(_) => van_model::parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Round-trip times so far.
#[derive(Default)]
struct Tally {
    sent: u64,
    times: Vec<f64>,
}

impl Tally {
    fn summary(&self) -> String {
        let mut text = format!("{} sent, {} answered", self.sent, self.times.len());
        if let Some(first) = self.times.first() {
            let least = self.times.iter().copied().fold(*first, f64::min);
            let most = self.times.iter().copied().fold(*first, f64::max);
            let mean = self.times.iter().sum::<f64>() / self.times.len() as f64;
            text.push_str(&format!("; min/avg/max {least:.2}/{mean:.2}/{most:.2} ms"));
        }
        text
    }
}

/// A line for each site on the way.
fn hops(hops: &[PingHop]) -> String {
    let line = |(at, hop): (usize, &PingHop)| {
        let time = hop.rtt_ms.map_or("no answer".into(), |ms| format!("time={ms:.2} ms"));
        format!("  hop {} {} ({}): {time}\n", at + 1, one_line(&hop.site), hop.id.short())
    };
    hops.iter().enumerate().map(line).collect()
}

impl Ping {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        let request = PingRequest { site: self.site.clone(), hops: self.hops };
        let (mut tally, mut replies, mut last) = (Tally::default(), Vec::new(), None);
        while self.count == 0 || tally.sent < self.count {
            if tally.sent > 0 {
                tokio::time::sleep(self.interval).await;
            }
            tally.sent += 1;
            match session.client.post("/v1/ping", &request).await {
                Ok(document) => {
                    let reply: PingReply = understood(document.clone())?;
                    tally.times.push(reply.rtt_ms);
                    if output.for_people() && !output.quiet {
                        let name = one_line(&reply.site);
                        let id = reply.id.short();
                        output.text(&format!(
                            "reply from {name} ({id}): time={:.2} ms\n",
                            reply.rtt_ms
                        ))?;
                        output.text(&hops(&reply.hops))?;
                    }
                    if self.count > 0 {
                        replies.push(document);
                    }
                }
                // A site that isn't there, or a daemon that isn't, won't answer the next one either.
                Err(problem) if !matches!(problem.exit, Exit::Failed | Exit::TimedOut) => {
                    return Err(problem);
                }
                Err(problem) => {
                    if output.for_people() && !output.quiet {
                        output.text(&format!("no reply: {}\n", one_line(&problem.why)))?;
                    }
                    last = Some(problem);
                }
            }
        }
        if output.for_people() {
            output.text(&format!("{}\n", tally.summary()))?;
        } else {
            let answered = tally.times.len();
            output.document(&serde_json::json!({
                "site": self.site, "sent": tally.sent, "answered": answered, "replies": replies,
            }))?;
        }
        match last {
            Some(problem) if tally.times.is_empty() => {
                Err(Problem { exit: Exit::Failed, ..problem })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["-1", "nan", "inf", "soon", ""] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn summaries() {
        let none = Tally { sent: 2, times: vec![] };
        assert_eq!(none.summary(), "2 sent, 0 answered");
        let some = Tally { sent: 3, times: vec![1.0, 3.0] };
        assert_eq!(some.summary(), "3 sent, 2 answered; min/avg/max 1.00/2.00/3.00 ms");
    }
}
