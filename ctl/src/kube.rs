//! A site in a cluster: its objects are written with the caller's own rights, and what runs is asked over
//! an exec of `vanctl api-proxy` in its pod.

mod exec;
mod install;
mod objects;
mod pod;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use tokio::sync::OnceCell;

use crate::error::{Exit, Outcome, Problem};

pub(crate) use exec::connect;
pub(crate) use install::{Install, dry_run, install, uninstall, with_present};
pub(crate) use objects::{
    MANAGER, Manifest, apply, default_name, delete, list, read, secret, wait_ready,
};

/// The label of vand's pods.
const POD_LABEL: &str = "application=vand-router";

/// Which namespace of which cluster is meant; `None` is the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// A context of the kubeconfig.
    pub(crate) context: Option<String>,
    /// A namespace; default: the context's.
    pub(crate) namespace: Option<String>,
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        write!(f, "kube://{}/{}", part(&self.context), part(&self.namespace))
    }
}

/// A cluster that answers to the caller's kubeconfig.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The namespace that is meant.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig; in a pod, its service account is taken where there is none.
    ///
    /// # Errors
    /// There is no cluster to be found, or no such context.
    pub(crate) async fn open(meant: &Namespace) -> Outcome<Self> {
        let options = KubeConfigOptions { context: meant.context.clone(), ..Default::default() };
        let unusable = |why: String| {
            Problem::new(Exit::Unreachable, format!("no cluster is found: {why}"))
                .hint("'kubectl config get-contexts' lists them; KUBECONFIG names another file")
        };
        let config = match Kubeconfig::read() {
            Ok(file) => Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| unusable(error.to_string()))?,
            Err(_) if meant.context.is_none() => {
                Config::infer().await.map_err(|error| unusable(error.to_string()))?
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        let namespace = meant.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { client, namespace })
    }
}

/// A cluster that is looked for once, when it is first needed.
#[derive(Default)]
pub(crate) struct Lazy(OnceCell<Cluster>);

impl Lazy {
    pub(crate) async fn get(&self, meant: &Namespace) -> Outcome<&Cluster> {
        self.0.get_or_try_init(|| Cluster::open(meant)).await
    }
}

/// What a cluster refused, in words that say what to do.
pub(crate) fn problem(what: &str, error: Error) -> Problem {
    let why = |text: &str| format!("{what}: {text}");
    match error {
        Error::Api(status) => match status.code {
            401 => Problem::new(Exit::NotAllowed, why("the cluster does not know the caller"))
                .hint("log in to the cluster again; 'kubectl auth whoami' tells who you are"),
            403 => Problem::new(Exit::NotAllowed, why(&status.message))
                .hint("ask who runs the cluster for this right; 'kubectl auth can-i --list' tells what you have"),
            404 if is_unknown_kind(&status.message) => {
                Problem::new(Exit::NotFound, why("the cluster does not know vand's resources"))
                    .hint("'vanctl init' installs them")
            }
            404 => Problem::new(Exit::NotFound, why(&status.message)),
            _ => Problem::failed(why(&status.message)),
        },
        other => Problem::new(Exit::Unreachable, why(&causes(&other)))
            .hint("does 'kubectl get namespaces' work?"),
    }
}

/// An error and what caused it, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// What an API server says of a kind that it has not.
fn is_unknown_kind(message: &str) -> bool {
    message.contains("the server could not find the requested resource")
        || message.contains("page not found")
}
