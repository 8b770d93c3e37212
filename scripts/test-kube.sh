#!/usr/bin/env bash
# Tests vand on real clusters: builds Kubernetes from its Go modules (7 minutes, kept), brings two clusters of
# one node up, and goes the ways of tests/kube/ways, or only those that are named. Ends with 77 where the machine can't have clusters, and says
# what it needs. The last line counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export KUBE_LAB=${VAN_KUBE_LAB:-$CARGO_TARGET_DIR/kube}
if ((EUID != 0)); then
    echo "clusters can't run here: they need root" >&2
    exit 77
fi
if ! unshare --mount --net true 2>/dev/null; then
    echo "clusters can't run here: they need the right to make namespaces" >&2
    exit 77
fi
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need go golang-go
need ip iproute2
need nft nftables
need openssl openssl
need busybox busybox-static
need bc bc
need gcc gcc
if ((${#missing[@]} > 0)); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

tests/kube/build-box.sh "$KUBE_LAB"
[[ ${1-} == --prepare ]] && exit
cargo build --quiet --locked -p vand -p vanctl
tests/kube/images.sh "$KUBE_LAB" "$CARGO_TARGET_DIR/debug"

down() {
    for number in 1 2; do
        N=$number tests/kube/lab/down.sh || true
    done
}
trap down EXIT
kubebox=$KUBE_LAB/bin/kubebox
for number in 1 2; do
    N=$number tests/kube/lab/up.sh
done

# One kubeconfig with a context for each.
export KUBECONFIG=$KUBE_LAB/run/kubeconfig
rm -f "$KUBECONFIG"
export KUBECTL="$kubebox kubectl"
for number in 1 2; do
    of=$KUBE_LAB/run/$number
    $KUBECTL config set-cluster "cluster-$number" --server="https://10.250.0.1$number:6443" \
        --certificate-authority="$of/pki/ca.crt" --embed-certs >/dev/null
    $KUBECTL config set-credentials "admin-$number" --client-certificate="$of/pki/admin.crt" \
        --client-key="$of/pki/admin.key" --embed-certs >/dev/null
    $KUBECTL config set-context "cluster-$number" --cluster="cluster-$number" \
        --user="admin-$number" >/dev/null
done
export VAND=$CARGO_TARGET_DIR/debug/vand VANCTL=$CARGO_TARGET_DIR/debug/vanctl
export IMAGE=localhost/vand:test NODE_1=10.250.0.11

passed=0
failed=0
ways=(tests/kube/ways/*.sh)
(($# == 0)) || ways=("${@/#/tests/kube/ways/}")
for way in "${ways[@]/%.sh/}"; do
    way=$way.sh
    echo "=== $way"
    if "$way"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        # The next one begins with nothing.
        for context in cluster-1 cluster-2; do
            "$VANCTL" --context "$context" delete --yes >/dev/null || true
            $KUBECTL --context "$context" delete --ignore-not-found pod/frontend service/echo \
                deployment/backend deployment/api statefulset/database service/database >/dev/null || true
        done
    fi
done
echo "test result: $passed passed; $failed failed"
((failed == 0))
