//! `vanctl init`.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use van_model::api::{ConfigValue, List};
use van_model::status::SiteStatus;
use van_model::{ConditionStatus, Mode, Name};

use crate::cli::Session;
use crate::client::Client;
use crate::error::{Exit, Outcome, Problem};
use crate::host::{ConfigFile, Draft, Place, Service, Step, Wanted};
use crate::kube::{Install, dry_run, install as install_into, with_present};
use crate::output::{Format, Output, plain};
use crate::wait::{Verdict, until};

/// How `vanctl init` is used.
pub(crate) const EXAMPLE: &str = "As root it makes the host's site (/etc/vand/vand.toml), as another user \
    a site of their own (~/.config/vand/vand.toml). It may be run again: what is there stays, but for what \
    the options say otherwise. In a cluster (--context, -n, VANCTL_PLATFORM=kubernetes) it installs the \
    definitions of vand's resources, the daemon and a Site into the namespace.\n\nExamples:\n  sudo vanctl init\n  sudo vanctl init --site-name db-host\n  \
    vanctl init --site-name laptop --mode edge --dry-run\n  vanctl --context prod -n shop init --site-name shop --access LoadBalancer";

/// How long one look at the daemon may take.
const LOOK: Duration = Duration::from_secs(2);

/// The options of `vanctl init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The site's name in the network [default: what the configuration says, else the host's name]
    #[arg(long, alias = "id", value_name = "NAME")]
    site_name: Option<Name>,
    /// interior, or edge: links up to interior sites only, and carries nobody else's traffic
    #[arg(long)]
    mode: Option<Mode>,
    /// Print what would be written and run, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep a record of flows; a host's site does so always
    #[arg(long)]
    enable_flow_collector: bool,
    #[command(flatten)]
    console: Console,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    wait: super::Wait,
}

/// What comes with the console.
#[derive(Debug, Args)]
struct Console {
    /// Serve the console; not in this version yet
    #[arg(long)]
    enable_console: bool,
    /// How users of the console log in; not in this version yet
    #[arg(long, value_name = "HOW")]
    console_auth: Option<String>,
    /// The console's user; not in this version yet
    #[arg(long, value_name = "USER")]
    console_user: Option<String>,
    /// The console's password; not in this version yet
    #[arg(long, value_name = "PASSWORD")]
    console_password: Option<String>,
}

/// What means something in a cluster only.
#[derive(Debug, Args)]
struct Cluster {
    /// The daemon's image; in a cluster only
    #[arg(long)]
    image: Option<String>,
    /// How other sites reach this one: LoadBalancer, NodePort=HOST (one that reaches the nodes),
    /// Ingress=HOST, Route or Route=HOST, Gateway=HOST; repeat it for several; in a cluster only
    #[arg(long, value_name = "TYPE[=HOST]")]
    access: Vec<Way>,
    /// How many pods; two or more carry flows together, and one may end without loss; in a cluster only
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=16))]
    replicas: Option<u16>,
}

/// `TYPE` or `TYPE=HOST`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    kind: String,
    host: Option<String>,
}

impl std::str::FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, host) = match text.split_once('=') {
            Some((kind, host)) => (kind, Some(host.to_owned()).filter(|host| !host.is_empty())),
            None => (text, None),
        };
        let kinds = ["LoadBalancer", "NodePort", "Ingress", "Route", "Gateway"];
        let known = kinds.into_iter().find(|known| known.eq_ignore_ascii_case(kind));
        let kind = known.ok_or_else(|| format!("use one of {}", kinds.join(", ")))?;
        if host.is_none() && !matches!(kind, "LoadBalancer" | "Route") {
            return Err(format!("{kind} needs a host: {kind}=HOST"));
        }
        Ok(Self { kind: kind.into(), host })
    }
}

impl Init {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        if let Some(cluster) = session.cluster().await? {
            return self.in_cluster(session.output, cluster).await;
        }
        self.refuse_what_is_for_later()?;
        let place = Place::of(session.client.url(), session.chosen, "init")?;
        let file = ConfigFile::new(place.file());
        let wanted = Wanted { name: self.site_name.clone(), mode: self.mode };
        let old = file.read()?;
        let draft = Draft::new(old.as_deref(), &wanted).map_err(|why| {
            Problem::failed(format!("{} is not good: {why}", file.path().display()))
                .hint("'vand check' says where; mend it, then run this again")
        })?;
        let service = Service::of(&place);
        let found = match &service {
            Some(service) => service.look(session.output).await?,
            None => None,
        };
        let steps = found.map(|found| found.starting(draft.differs()));
        let planned = service.as_ref().zip(steps.as_deref());
        if self.dry_run {
            return tell_plan(session.output, &file, &draft, planned);
        }
        place.may_change("init")?;
        file.check(&draft.text)?;
        let say = |line: &str| session.output.said(line);
        if draft.differs() {
            file.replace(&draft.text)?;
            say(&written(&file, &draft))?;
        }
        let Some((service, steps)) = planned else {
            return self.without_service(session.output, &place, &draft).await;
        };
        if !draft.differs() && steps.is_empty() {
            say("nothing to do: it is as wanted, and runs")?;
        }
        for step in steps {
            service.run(step, self.wait.wait).await?;
            say(&step.done)?;
        }
        if place.own && !lingers().await {
            session.output.note(
                "note: this site ends with your session; 'loginctl enable-linger' lets it run without one",
            );
        }
        self.ready(session.output, &place).await
    }

    /// Installs the site into a namespace, or changes what is there.
    async fn in_cluster(&self, output: Output, cluster: &crate::kube::Cluster) -> Outcome {
        let access = self.cluster.access.iter().map(|Way { kind, host }| van_crd::Access {
            kind: kind.clone(),
            host: host.clone(),
            ..Default::default()
        });
        let install = Install {
            name: self.site_name.as_ref().map(ToString::to_string),
            site: van_crd::SiteSpec {
                mode: self.mode.map(|mode| mode.to_string()),
                access: access.collect(),
                ..Default::default()
            },
            image: self.cluster.image.clone(),
            replicas: self.cluster.replicas,
        };
        let install = match with_present(cluster, install.clone()).await {
            // What would be applied can be told without a cluster that answers.
            Err(_) if self.dry_run => install,
            present => present?,
        };
        if self.dry_run {
            let objects = dry_run(cluster, &install)?;
            return match output.format {
                Format::Json => output.document(&json!({
                    "apiVersion": "v1", "kind": "List", "items": objects,
                })),
                _ => {
                    let texts: Result<Vec<_>, _> =
                        objects.iter().map(serde_saphyr::to_string).collect();
                    let texts = texts.map_err(|error| Problem::failed(error.to_string()))?;
                    output.text(&texts.join("---\n"))
                }
            };
        }
        install_into(output, cluster, &install, self.wait.wait).await?;
        let Console { enable_console, console_auth, console_user, console_password } =
            &self.console;
        if *enable_console
            || console_auth.is_some()
            || console_user.is_some()
            || console_password.is_some()
        {
            output
                .note("note: the console is not in this version yet; everything else is installed");
        }
        Ok(())
    }

    fn refuse_what_is_for_later(&self) -> Outcome {
        let Console { enable_console, console_auth, console_user, console_password } =
            &self.console;
        let console = [
            ("--enable-console", *enable_console),
            ("--console-auth", console_auth.is_some()),
            ("--console-user", console_user.is_some()),
            ("--console-password", console_password.is_some()),
        ];
        if let Some((option, _)) = console.iter().find(|(_, given)| *given) {
            return Err(Problem::usage(format!("{option} comes with the console"))
                .hint("the console is not in this version yet; leave it out"));
        }
        let cluster = [
            ("--image", self.cluster.image.is_some()),
            ("--replicas", self.cluster.replicas.is_some()),
            ("--access", !self.cluster.access.is_empty()),
        ];
        if let Some((option, _)) = cluster.iter().find(|(_, given)| *given) {
            return Err(Problem::usage(format!("{option} means something in a cluster only"))
                .hint("leave it out: this makes a site of this host"));
        }
        Ok(())
    }

    /// There is no systemd, or the unit is not installed: what runs is told, the rest is for the caller.
    async fn without_service(&self, output: Output, place: &Place, draft: &Draft) -> Outcome {
        if !place.answers() {
            return output
                .said("there is no vand.service here to start; start the site yourself: vand run");
        }
        if draft.differs() {
            let mut client = Client::new(place.url(), LOOK);
            client.post("/v1/reload", &json!({})).await?;
            output.said("the daemon that runs has read it")?;
        } else {
            output.said("nothing to do: it is as wanted, and runs")?;
        }
        self.ready(output, place).await
    }

    /// Waits until the site is as wanted, and shows it.
    async fn ready(&self, output: Output, place: &Place) -> Outcome {
        if self.wait.wait.is_zero() {
            return Ok(());
        }
        let document = until(output, "the site", self.wait.wait, async || {
            let mut client = Client::new(place.url(), LOOK);
            let document = match client.get("/v1/status").await {
                Ok(document) => document,
                Err(problem) if problem.exit == Exit::NotAllowed => return Err(problem),
                Err(problem) => return Ok(Verdict::Pending(problem.why)),
            };
            let status: SiteStatus = crate::client::understood(document.clone())?;
            if let Some(problem) = self.overruled(&mut client, &status).await? {
                return Ok(Verdict::Failed(problem));
            }
            let ready = status
                .conditions
                .get("Ready")
                .is_some_and(|ready| ready.status == ConditionStatus::True);
            Ok(if ready { Verdict::Done(document) } else { Verdict::Pending("starting".into()) })
        })
        .await?;
        super::status::show(output, document)?;
        let vanctl = place.vanctl();
        output.said(&format!(
                "\nGo on with one of these:\n  {vanctl} token create --accept   let other sites link to this one\n  \
             {vanctl} link create TOKENFILE   link to another site\n  \
             {vanctl} expose HOST:PORT --address NAME   offer a workload to the network"
            ),
        )
    }

    /// Whether something else, as a drop-in, says otherwise than the file.
    async fn overruled(
        &self,
        client: &mut Client,
        status: &SiteStatus,
    ) -> Outcome<Option<Problem>> {
        let name = self.site_name.as_ref().filter(|name| name.as_str() != status.name);
        let mode = self.mode.filter(|mode| *mode != status.mode);
        let (key, is) = match (name, mode) {
            (Some(_), _) => ("site.name", status.name.clone()),
            (None, Some(_)) => ("site.mode", status.mode.to_string()),
            (None, None) => return Ok(None),
        };
        let values: List<ConfigValue> = client.read("/v1/config").await?;
        let value = values.items.iter().find(|value| value.key == key);
        let by = value.map_or("something else", |value| &value.origin);
        let is = value.map_or(is, |value| plain(&value.value));
        Ok(Some(
            Problem::failed(format!("{key} is {is:?} all the same: {by} says so"))
                .hint("'vanctl config show' tells where each value comes from"),
        ))
    }
}

fn written(file: &ConfigFile, draft: &Draft) -> String {
    let word = if draft.fresh { "written" } else { "changed" };
    match draft.changes.as_slice() {
        [] => format!("{} {word}", file.path().display()),
        changes => format!("{} {word}: {}", file.path().display(), changes.join("; ")),
    }
}

fn tell_plan(
    output: Output,
    file: &ConfigFile,
    draft: &Draft,
    planned: Option<(&Service, &[Step])>,
) -> Outcome {
    let (path, commands) = (file.path().display().to_string(), commands(planned));
    if !output.for_people() {
        let text = draft.differs().then_some(&draft.text);
        let config = json!({ "path": path, "text": text, "changes": draft.changes });
        return output.document(&json!({ "config": config, "commands": commands }));
    }
    let mut text = match draft.differs() {
        true => format!("# {}\n{}", written(file, draft), draft.text),
        false => format!("# {path} stays as it is\n"),
    };
    text.push_str(if commands.is_empty() { "# nothing is run\n" } else { "# then this is run\n" });
    commands.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    output.text(&text)
}

fn commands(planned: Option<(&Service, &[Step])>) -> Vec<String> {
    planned
        .map_or_else(Vec::new, |(service, steps)| steps.iter().map(|s| service.line(s)).collect())
}

/// Whether the user's services run without a session.
async fn lingers() -> bool {
    let user = nix::unistd::geteuid().to_string();
    let mut command = tokio::process::Command::new("loginctl");
    command.args(["show-user", &user, "--property=Linger", "--value"]).kill_on_drop(true);
    let told = tokio::time::timeout(LOOK, command.output()).await;
    told.is_ok_and(|told| told.is_ok_and(|told| told.stdout.starts_with(b"yes")))
}
