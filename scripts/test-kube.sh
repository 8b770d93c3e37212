#!/usr/bin/env bash
# Tests vand on real clusters: builds Kubernetes from its Go modules (7 minutes, kept), brings two clusters of
# one node up in a capsule, and runs tests/kube. With --prepare it builds Kubernetes only; --ways NAME… and
# --shell [COMMAND…] are as run.sh has them. Ends with 77 where the machine can't have clusters, and says what
# it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export KUBE_LAB=${VAN_KUBE_LAB:-$CARGO_TARGET_DIR/kube}

# Says what keeps this machine from it, or nothing.
lacking() {
    ((EUID == 0)) || { echo "root: run sudo make test-kube" && return; }
    unshare --mount --net --pid --fork true 2>/dev/null ||
        { echo "the right to make namespaces" && return; }
    [[ -e /sys/fs/cgroup/cpuset/cpuset.cpus && -d /sys/fs/cgroup/systemd ]] ||
        echo "cgroups of version 1 at /sys/fs/cgroup"
}

# need COMMAND PACKAGE
missing=()
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

why=$(lacking)
if [[ -n $why ]]; then
    echo "clusters can't run here: they need $why" >&2
    exit 77
fi
need go golang-go
need ip iproute2
need nft nftables
need unshare util-linux
need openssl openssl
need busybox busybox-static
need gcc gcc
need curl curl
if ((${#missing[@]} > 0)); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

tests/kube/build-box.sh "$KUBE_LAB"
[[ ${1-} == --prepare ]] && exit
# Of the whole workspace, whose features `make test` has compiled everything with.
cargo build --quiet --locked --workspace --bins
tests/kube/images.sh "$KUBE_LAB" "$CARGO_TARGET_DIR/debug"
(($# == 0)) || exec tests/kube/capsule.sh tests/kube/run.sh "$@"

tests=$(cargo test --locked --workspace --test clusters --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*clusters-[^"]*\)".*/\1/p')
exec tests/kube/capsule.sh tests/kube/run.sh "$tests"
