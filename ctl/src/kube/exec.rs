//! The stream to a daemon in a pod.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use kube::api::{Api, AttachParams, AttachedProcess, ListParams};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::install::{LEASE, api_of};
use super::pod::Pod;
use super::{Cluster, POD_LABEL, problem};
use crate::error::{Exit, Outcome, Problem};
use crate::transport::Stream;

/// A stream to the daemon of the leading pod.
///
/// # Errors
/// No pod of vand runs, or the caller may not exec into it.
pub(crate) async fn connect(cluster: &Cluster) -> Outcome<Box<dyn Stream>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let listed = pods.list(&ListParams::default().labels(POD_LABEL)).await;
    let listed = listed.map_err(|error| problem("vand's pods can't be listed", error))?;
    let leader = leader(cluster).await;
    let name = leading(&listed.items, leader.as_deref());
    let name = name.ok_or_else(|| absent(cluster, &listed.items))?;
    let params = AttachParams::default().stderr(false).stdin(true).stdout(true);
    let attached = pods.exec(&name, ["vanctl", "api-proxy"], &params).await;
    let attached =
        attached.map_err(|error| problem(&format!("pod {name} can't be asked"), error))?;
    let stream = Attached::new(attached)
        .ok_or_else(|| Problem::new(Exit::Unreachable, format!("pod {name} has no streams")))?;
    Ok(Box::new(stream))
}

/// The pod that leads, as far as the caller may know.
async fn leader(cluster: &Cluster) -> Option<String> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": LEASE },
    });
    let (leases, name) = api_of(cluster, &lease);
    let lease = leases.get_opt(&name).await.ok()??;
    lease.data["spec"]["holderIdentity"].as_str().map(Into::into)
}

/// The pod that is asked: the one that leads; where that is not known, the oldest of those that run.
fn leading(pods: &[Pod], leader: Option<&str>) -> Option<String> {
    let order = |pod: &&Pod| {
        let leads = leader.is_some() && pod.metadata.name.as_deref() == leader;
        (!leads, !pod.is_ready(), pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
    };
    pods.iter().filter(|pod| pod.runs()).min_by_key(order)?.metadata.name.clone()
}

fn absent(cluster: &Cluster, pods: &[Pod]) -> Problem {
    let namespace = &cluster.namespace;
    if pods.is_empty() {
        return Problem::new(
            Exit::Unreachable,
            format!("there is no site in namespace {namespace:?}"),
        )
        .hint(format!("vanctl init --namespace {namespace}"));
    }
    Problem::new(Exit::Unreachable, format!("no pod of vand runs in namespace {namespace:?} yet"))
        .hint(format!("kubectl describe pods -n {namespace} -l {POD_LABEL}"))
}

/// Standard input and output of a process in a pod as one stream.
struct Attached {
    output: Pin<Box<dyn AsyncRead + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Ends the stream when it is dropped.
    _process: AttachedProcess,
}

impl Attached {
    fn new(mut process: AttachedProcess) -> Option<Self> {
        let output = Box::pin(process.stdout()?);
        let input = Box::pin(process.stdin()?);
        Some(Self { output, input, _process: process })
    }
}

impl AsyncRead for Attached {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.output.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Attached {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}
