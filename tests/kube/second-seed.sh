#!/usr/bin/env bash
# The way of a newcomer from two empty clusters to services over both: second-seed.sh. It needs KUBECONFIG
# with the contexts cluster-1 and cluster-2, KUBECTL, VANCTL, IMAGE, and NODE_1, a host that reaches the nodes
# of cluster-1. It works in the namespaces of the contexts, and ends with 1 at the first thing that is not so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export VANCTL_PLATFORM=kubernetes
unset VANCTL_URL

use() { $KUBECTL config use-context "$1" >/dev/null; }
say() { printf '== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# has TEXT WORDS…: whether a command's output has the words.
has() {
    local words=$1 out
    shift
    out=$("$@" 2>&1) || fail "'$*' ended with $?: $out"
    grep -qE -- "$words" <<<"$out" || fail "'$*' does not say '$words' but: $out"
}

# soon SECONDS COMMAND…: until it succeeds.
soon() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >"$work/soon" 2>&1; do
        ((SECONDS < limit)) || fail "'$*' did not succeed in time: $(<"$work/soon")"
        sleep 0.3
    done
}

# answers NAME URL: whether a pod of this cluster gets an answer that begins with NAME.
answers() { [[ $(from_pod "$2") == "$1"* ]]; }
from_pod() { $KUBECTL exec pod/frontend -- timeout 3 wget -q -O - "$1"; }

# web NAME REPLICAS: a Deployment that tells its pods' names.
web() {
    $KUBECTL apply -f - >/dev/null <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: localhost/workload:1
        imagePullPolicy: Never
        command: [sh, -c, 'mkdir -p /tmp/w; hostname > /tmp/w/index.html; hostname > /tmp/w/health; exec httpd -f -p 8080 -h /tmp/w']
        ports: [{containerPort: 8080}]
YAML
}

frontend() {
    $KUBECTL apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: frontend}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: localhost/workload:1, imagePullPolicy: Never, command: [sleep, "36000"]}]
YAML
    $KUBECTL wait --for=condition=Ready pod/frontend --timeout=60s >/dev/null
}

say "two sites"
use cluster-1
$VANCTL init --site-name public-cloud --enable-console --enable-flow-collector --console-auth internal \
    --console-user admin --console-password changeme --image "$IMAGE" --access "NodePort=$NODE_1" --wait 60s
has '^vand is enabled for namespace "default" in interior mode.$' "$VANCTL" status
has '^It is connected to 0 other sites.$' "$VANCTL" status
use cluster-2
$VANCTL init --site-name private-datacenter --enable-console --enable-flow-collector --image "$IMAGE" --wait 60s

say "a token and a link"
use cluster-1
$VANCTL token create "$work/cluster1-token.yaml" --uses 2 --expires 1h
use cluster-2
$VANCTL link create "$work/cluster1-token.yaml" --name link-to-public
has 'Link link-to-public is connected' "$VANCTL" link status
has '^link-to-public +connected' "$VANCTL" link status
use cluster-1
has 'link-to-public +connected +private-datacenter +incoming' "$VANCTL" link status
has '^It is connected to 1 other sites.$' "$VANCTL" status

say "a service exposed"
use cluster-2
web backend 3
$KUBECTL rollout status deployment/backend --timeout=60s >/dev/null
$VANCTL expose deployment/backend --port 8080 --protocol http
has '^backend +backend:8080 +http +private-datacenter: 3' "$VANCTL" service status
use cluster-1
frontend
soon 10 answers backend- http://backend:8080/health
for _ in 1 2 3 4 5 6; do from_pod http://backend:8080/ >>"$work/pods"; done
(($(sort -u "$work/pods" | wc -l) == 3)) || fail "not every pod was asked: $(<"$work/pods")"

say "a name of its own"
use cluster-2
$VANCTL expose deployment/backend --port 8080 --protocol http --address api-service
use cluster-1
soon 10 answers backend- http://api-service:8080

say "one service in both clusters"
for context in cluster-1 cluster-2; do
    use "$context"
    web api 3
    $KUBECTL rollout status deployment/api --timeout=60s >/dev/null
    $VANCTL expose deployment/api --port 8080
done
use cluster-1
has 'private-datacenter: 3' "$VANCTL" service status api
has 'public-cloud: 3' "$VANCTL" service status api
soon 10 answers api- http://api:8080
# All at once: requests that come one by one stay where they cost least.
$KUBECTL exec pod/frontend -- sh -c \
    'for n in $(busybox seq 60); do timeout 5 wget -q -O - http://api:8080/ & done; wait' >"$work/api"
(($(sort -u "$work/api" | wc -l) == 6)) || fail "not every pod of both clusters was asked: $(sort "$work/api" | uniq -c)"

say "what it carried"
has 'backend' "$VANCTL" service status --verbose
has 'connected' "$VANCTL" link status --verbose

say "the link deleted and made again with the same token"
use cluster-2
$VANCTL link delete link-to-public
use cluster-1
soon 20 bash -c "! $(declare -f from_pod); KUBECTL='$KUBECTL'; ! from_pod http://backend:8080/"
use cluster-2
$VANCTL link create "$work/cluster1-token.yaml" --name link-to-public
use cluster-1
soon 20 answers backend- http://backend:8080/

say "taken away"
use cluster-2
$VANCTL unexpose deployment/backend
use cluster-1
$VANCTL delete --yes >/dev/null
soon 30 bash -c "[[ -z \$($KUBECTL get service -o name -l vand.dev/role) ]]"
use cluster-2
$VANCTL delete --yes --definitions >/dev/null
say "done"
