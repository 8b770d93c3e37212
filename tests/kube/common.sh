# What the ways share; to be sourced. They need KUBECONFIG with the contexts cluster-1 and cluster-2, KUBECTL,
# VANCTL, VAND, IMAGE, and NODE_1, a host that reaches the nodes of cluster-1.
set -euo pipefail

work=$(mktemp -d)
pids=()
tidy() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
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

# tells TEXT COMMAND…: the same as a question.
tells() {
    local words=$1 out
    shift
    out=$("$@" 2>&1) && grep -qE -- "$words" <<<"$out" || { echo "$out"; return 1; }
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
not() { ! "$@"; }

# from_pod URL: what a pod of this cluster is answered.
from_pod() { $KUBECTL exec pod/frontend -- timeout 3 wget -q -O - "$1"; }
# answers NAME URL: whether such an answer begins with NAME.
answers() { [[ $(from_pod "$2") == "$1"* ]]; }
# says KIND/NAME TEXT: whether an object's Ready condition has the text.
says() {
    local found
    found=$($KUBECTL get "$1" -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status} {.reason} {.message}{end}')
    grep -qE -- "$2" <<<"$found" || { echo "$1: $found"; return 1; }
}

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
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
YAML
}

# frontend: a pod to ask from.
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

# leave: takes everything of a way out of the cluster in use.
leave() {
    $VANCTL delete --yes "$@" >/dev/null
    $KUBECTL delete --ignore-not-found --wait=true deployment,statefulset,service,pod -l 'component!=apiserver' \
        --field-selector metadata.name!=kubernetes >/dev/null 2>&1 || true
}
