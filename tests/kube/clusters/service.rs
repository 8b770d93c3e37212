//! Clusters as a user knows them: nodes, pods, Services, names, an API server that goes and comes.

use std::time::Duration;

use van_clusters::Cluster;
use van_testkit::wait_until;

use crate::pods::{client, pod, web};

/// Until what is set in one place is known in all of a cluster.
const PATIENCE: Duration = Duration::from_secs(30);

/// The line of shell that asks a Service.
const ASK: &str = "timeout 3 wget -q -O - http://web/";

/// Waits until the client's pod is answered by one of `web`, and gives its name.
#[track_caller]
fn answered(cluster: &Cluster) -> String {
    let mut said = String::new();
    wait_until(PATIENCE, &format!("web answered in {cluster}"), || {
        said = cluster.exec("client", ASK).stdout;
        said.starts_with("web-")
    });
    said
}

#[test]
fn nodes_of_both_clusters_are_ready() {
    for cluster in [Cluster::first("nodes"), Cluster::second("nodes")] {
        let node = format!("node/node{}", cluster.number());
        cluster.wait(&node, "condition=Ready");
        let address = cluster.kubectl(&format!(
            "get {node} --output=jsonpath={{.status.addresses[?(@.type==\"InternalIP\")].address}}"
        ));
        assert_eq!(address.ok(), cluster.node_address());
    }
}

#[test]
fn replicas_answer_by_name_and_by_address() {
    let cluster = Cluster::first("replicas");
    web(&cluster, "web", 2);
    client(&cluster);
    answered(&cluster);
    let address = cluster.kubectl("get service web --output=jsonpath={.spec.clusterIP}").ok();
    let mut names = Vec::new();
    wait_until(PATIENCE, "both replicas answered", || {
        names.extend(
            cluster
                .exec("client", &format!("timeout 3 wget -q -O - http://{address}/"))
                .ok()
                .lines()
                .map(str::to_owned),
        );
        names.sort_unstable();
        names.dedup();
        names.len() == 2
    });
    // As from a node.
    assert!(
        cluster.ask(&format!("http://{address}/")).is_some_and(|said| said.starts_with("web-"))
    );
}

#[test]
fn pods_of_one_cluster_reach_the_nodes_of_the_other() {
    let here = Cluster::first("nearby");
    let there = Cluster::second("nearby");
    web(&there, "web", 1);
    client(&there);
    let there_says = answered(&there);
    client(&here);
    let _patched =
        there.kubectl("patch service web --patch {\"spec\":{\"type\":\"NodePort\"}}").ok();
    let port = there.kubectl("get service web --output=jsonpath={.spec.ports[0].nodePort}").ok();
    let url = format!("http://{}:{port}/", there.node_address());
    wait_until(PATIENCE, "a node port was reached", || {
        here.exec("client", &format!("timeout 3 wget -q -O - {url}")).stdout == there_says
    });
    // Names are each cluster's own.
    assert_ne!(here.exec("client", ASK).status, 0);
}

#[test]
fn vand_runs_from_its_image() {
    let cluster = Cluster::first("image");
    pod(&cluster, "version", "localhost/vand:test", r#"["/usr/bin/vand", "--version"]"#);
    cluster.wait("pod/version", "jsonpath={.status.phase}=Succeeded");
    let said = cluster.kubectl("logs version").ok();
    assert_eq!(said.trim(), format!("vand {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn pods_go_on_without_the_api_server() {
    let cluster = Cluster::second("outage");
    web(&cluster, "web", 1);
    client(&cluster);
    answered(&cluster);
    let address = cluster.kubectl("get service web --output=jsonpath={.spec.clusterIP}").ok();
    cluster.stop_api();
    assert_ne!(cluster.kubectl("get pods").status, 0);
    for _ in 0..5 {
        let said = cluster.ask(&format!("http://{address}/"));
        assert!(said.is_some_and(|said| said.starts_with("web-")), "the Service went with its API");
    }
    cluster.start_api();
    web(&cluster, "again", 1);
    answered(&cluster);
}
