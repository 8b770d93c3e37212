#!/usr/bin/env bash
# An API server that answers 429, 500, garbage or not at all, and cuts watches anywhere: traffic goes on, and what was
# missed is made up for. The daemon runs beside the cluster here, behind a server that falls ill when it is told to.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
here=$(dirname "${BASH_SOURCE[0]}")/..

use cluster-1
$KUBECTL apply --server-side -f "$here/../../k8s/crds" >/dev/null
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: own, labels: {application: vand-router}}
spec: {schedulingGates: [{name: example.com/never}], containers: [{name: c, image: none}]}
---
apiVersion: vand.dev/v1alpha1
kind: Site
metadata: {name: unwell}
YAML
$KUBECTL proxy --port=18001 >/dev/null 2>&1 &
pids+=($!)
soon 10 curl -sf http://127.0.0.1:18001/readyz
ill() { echo "$1" >"$work/mode"; }
ill ok
python3 "$here/unwell.py" 18002 127.0.0.1:18001 "$work/mode" 2>"$work/proxy.log" &
pids+=($!)
$KUBECTL config set-cluster unwell --server=http://127.0.0.1:18002 --kubeconfig="$work/kubeconfig" >/dev/null
$KUBECTL config set-context unwell --cluster=unwell --kubeconfig="$work/kubeconfig" >/dev/null
$KUBECTL config use-context unwell --kubeconfig="$work/kubeconfig" >/dev/null

echo well >"$work/index.html"
busybox httpd -f -p 127.0.0.1:15070 -h "$work" &
pids+=($!)
offer() {
    $KUBECTL apply -f - >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: Connector
metadata: {name: $1}
spec: {host: 127.0.0.1, port: 15070}
---
apiVersion: vand.dev/v1alpha1
kind: Listener
metadata: {name: $1}
spec: {port: 80}
YAML
}
offer before
env -u VANCTL_PLATFORM KUBECONFIG="$work/kubeconfig" POD_NAMESPACE=default POD_NAME=own POD_IP=127.0.0.1 \
    "$VAND" run --kubernetes --state-dir "$work/state" --runtime-dir "$work/run" >"$work/vand.log" 2>&1 &
vand=$!
pids+=("$vand")
here() { env -u VANCTL_PLATFORM "$VANCTL" --url "unix://$work/run/vand.sock" "$@"; }
# asked NAME: what the listener of a service answers.
asked() {
    local port
    port=$(here listener status "$1" -o json | grep -o '"bound": "[^"]*' | grep -o '[0-9]*$')
    curl -sS --max-time 2 "http://127.0.0.1:$port/"
}
soon 20 tells '^well$' asked before
soon 20 says connector/before 'True'

for how in 429 500 garbage silence; do
    say "$how"
    ill "$how"
    offer "during-$how"
    for _ in $(seq 12); do
        asked before >>"$work/away" 2>&1 || echo lost >>"$work/away"
        sleep 0.25
    done
    ! grep -vq '^well$' "$work/away" || fail "requests were lost: $(sort "$work/away" | uniq -c)"
    ill ok
    soon 90 tells '^well$' asked "during-$how"
    soon 90 says "connector/during-$how" 'True'
    $KUBECTL delete "connector/during-$how" "listener/during-$how" >/dev/null
    soon 60 not asked "during-$how"
done
kill -0 "$vand" || fail "the daemon ended: $(tail -n 20 "$work/vand.log")"

say "watches cut again and again"
for turn in $(seq 10); do
    ill 500
    sleep 0.2
    ill ok
    sleep 0.3
    offer "turn-$turn"
done
for turn in $(seq 10); do
    soon 90 tells '^well$' asked "turn-$turn"
done
[[ $(asked before) == well ]] || fail "it does not answer"

kill "$vand"
$KUBECTL delete listener,connector,site --all >/dev/null
$KUBECTL delete pod/own secret/vand-state lease/vand >/dev/null
$KUBECTL delete --ignore-not-found service -l app.kubernetes.io/managed-by=vand >/dev/null
say "done"
