//! `vanctl delete`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::Session;
use crate::error::{Exit, Outcome, Problem};
use crate::host::{Found, Place, Remains, Service};
use crate::output::Output;

/// How `vanctl delete` is used.
pub(crate) const EXAMPLE: &str = "What is removed can't be had back: the site is a new one when it is made \
    again, and needs new links. Other sites of the host stay. As root it is the host's site, as another user \
    their own.\n\nExamples:\n  sudo vanctl delete\n  sudo vanctl delete --purge --yes";

/// The longest that the daemon may take to stop; its open flows have 10 seconds to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options of `vanctl delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Remove the configuration as well, with its drop-ins and tokens
    #[arg(long)]
    purge: bool,
    /// Remove the definitions of vand's resources from the whole cluster as well; in a cluster only
    #[arg(long)]
    definitions: bool,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        if let Some(cluster) = session.cluster().await? {
            let plan = format!(
                "the site of namespace {:?}, its links, listeners and connectors",
                cluster.namespace
            );
            self.confirm(output, &plan)?;
            return crate::kube::uninstall(output, cluster, self.definitions).await;
        }
        let place = Place::of(session.client.url(), session.chosen, "delete")?;
        place.may_change("delete")?;
        let service = Service::of(&place);
        let found = match &service {
            Some(service) => service.look(output).await?,
            None => None,
        };
        let remains = Remains::of(&place)?;
        let runs = found.as_ref().is_some_and(Found::present) || place.answers();
        let config_stays = !self.purge || remains.config.is_empty();
        if !runs && remains.state.is_empty() && config_stays {
            return Err(Problem::new(
                Exit::NotFound,
                format!("there is nothing of {}", place.words()),
            ));
        }
        let plan = self.plan(&place, &remains);
        self.confirm(output, &plan)?;
        if let Some((service, found)) = service.as_ref().zip(found) {
            for step in found.stopping() {
                service.run(&step, PATIENCE).await?;
                output.said(&step.done)?;
            }
        }
        if place.answers() {
            let why = format!("a daemon still runs at {}", place.socket.display());
            return Err(
                Problem::failed(why).hint("end it where it was started, then run this again")
            );
        }
        // Whatever the service wrote as it stopped is its remains too.
        let remains = Remains::of(&place)?;
        Remains::remove(&remains.state)?;
        output.said(&format!("{}: state removed", place.state.display()))?;
        if self.purge {
            Remains::remove(&remains.config)?;
            output.said(&format!("{}: configuration removed", place.config.display()))?;
        }
        Ok(())
    }

    /// What it is going to do, in words.
    fn plan(&self, place: &Place, remains: &Remains) -> String {
        let mut text = format!("This stops {} for good and removes", place.words());
        let listed = |paths: &[PathBuf]| {
            paths.iter().map(|path| format!("\n  {}", path.display())).collect::<String>()
        };
        text.push_str(&format!(
            " its identity, its peers and what was made with vanctl:{}",
            listed(&remains.state)
        ));
        match (remains.config.is_empty(), self.purge) {
            (true, _) => {}
            (false, true) => {
                text.push_str(&format!("\nand its configuration:{}", listed(&remains.config)));
            }
            (false, false) => text.push_str(&format!(
                "\nThe configuration stays: {} (--purge removes it)",
                place.file().display()
            )),
        }
        text
    }

    fn confirm(&self, output: Output, plan: &str) -> Outcome {
        if self.yes {
            return output.said(plan);
        }
        if !io::stdin().is_terminal() {
            return Err(Problem::usage("nobody can be asked whether to remove the site")
                .hint("--yes removes it without asking"));
        }
        let mut stderr = io::stderr();
        // A question that can't be seen gets no answer.
        let _unseen = write!(stderr, "{plan}\nGo on? [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map_err(|e| Problem::failed(format!("no answer: {e}")))?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Problem::failed("nothing was removed: the answer was no")),
        }
    }
}
