//! Objects and pods of these tests.

use van_clusters::Cluster;

/// Starts pods that answer HTTP at port 8080 with their name, behind the Service `name` at port 80.
#[track_caller]
pub(crate) fn web(cluster: &Cluster, name: &str, replicas: u8) {
    cluster.apply(&format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: localhost/workload:1
        imagePullPolicy: Never
        command: [sh, -c, 'mkdir /tmp/w; hostname >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w']
        readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"
    ));
    cluster.wait(&format!("deployment/{name}"), "condition=Available");
}

/// Starts a pod `client` to ask from.
#[track_caller]
pub(crate) fn client(cluster: &Cluster) {
    pod(cluster, "client", "localhost/workload:1", r#"["sleep", "3600"]"#);
    cluster.wait("pod/client", "condition=Ready");
}

/// Starts a pod that runs one command, given as a list, and is not started again.
#[track_caller]
pub(crate) fn pod(cluster: &Cluster, name: &str, image: &str, command: &str) {
    cluster.apply(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: {image}, imagePullPolicy: Never, command: {command}}}]
"
    ));
}
