#!/usr/bin/env bash
# Runs every check and test. The last line counts them: `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Each crate is compiled once here: what speeds up the next time only takes room.
export CARGO_INCREMENTAL=0

# What everything takes that is built and fetched here.
NEEDED_GIB=18

# room FOLDER: GiB that its file system has left
room() {
    local kib
    kib=$(df --output=avail -k "$1" | tail -n 1)
    echo $((kib >> 20))
}

# Builds in memory where the disk is too small for it and the memory is not.
mkdir -p "$CARGO_TARGET_DIR"
if (($(room "$CARGO_TARGET_DIR") < NEEDED_GIB)) && [[ ! -e $CARGO_TARGET_DIR/debug ]]; then
    echo "the disk has $(room "$CARGO_TARGET_DIR") GiB left, the tests need $NEEDED_GIB"
    if [[ -d /dev/shm ]] && (($(room /dev/shm) >= NEEDED_GIB)); then
        CARGO_TARGET_DIR=$(mktemp -d /dev/shm/vand-test.XXXXXX)
        trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
        echo "they are built in $CARGO_TARGET_DIR, which is memory"
    fi
fi
log=$CARGO_TARGET_DIR/test.log
passed=0
failed=0
troubles=()

# need COMMAND PACKAGE: installs what the build or the tests call.
missing=()
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

install_missing() {
    ((${#missing[@]} == 0)) && return
    if ((EUID != 0)); then
        echo "missing: ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    apt-get update -qq
    # Servers are for the tests to start: the system is told not to.
    local policy=/usr/sbin/policy-rc.d status=0
    [[ -e $policy ]] && policy=
    [[ -n $policy ]] && install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101'
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
        status=$?
    [[ -n $policy ]] && rm -f "$policy"
    return "$status"
}

# check NAME COMMAND…: a check that counts as one test.
check() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
        echo "== $name: passed in $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        troubles+=("$name")
        echo "== $name: FAILED after $((SECONDS - start)) s"
    fi
}

# All suites in one run, so that everything is built once and with the same features.
tests() {
    local status=0 results suites
    cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || status=$?
    # Half of a test that runs itself once more, elsewhere, is not a test that was left out: it is
    # ignored with the reason "run by …".
    read -r good bad ignored results < <(awk '
        /^test result: / { good += $4; bad += $6; results += 1 }
        /^test .* \.\.\. ignored/ && !/\.\.\. ignored, run by / { ignored += 1 }
        END { print good + 0, bad + 0, ignored + 0, results + 0 }' "$log")
    passed=$((passed + good))
    failed=$((failed + bad))
    ((bad > 0)) && troubles+=("$(grep -E '^test .* \.\.\. FAILED$' "$log" | sed 's/ \.\.\. FAILED//' | paste -sd ',')")
    suites=$(grep -cE '^ +(Running|Doc-tests) ' "$log" || true)
    if ((suites != results)); then
        failed=$((failed + suites - results))
        troubles+=("$((suites - results)) suites that did not come to their end")
    fi
    if ((ignored > 0)); then
        failed=$((failed + ignored))
        troubles+=("$ignored ignored tests: a test that can't run has to fail and say what it needs")
    fi
    # Whatever else went wrong, most likely something that did not compile.
    if ((status != 0 && failed == 0)); then
        failed=1
        troubles+=("cargo test, with status $status")
    fi
}

# What was fetched and built meanwhile for tests/software.
prepared() {
    wait "$software" || { cat "$CARGO_TARGET_DIR/test-software.log" >&2 && return 1; }
}

# machines NAME COMMAND…: tests that not every machine can run; in CI it must.
machines() {
    local name=$1 start=$SECONDS out=$CARGO_TARGET_DIR/test-$1.log status=0 good bad
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$out" || status=$?
    if ((status == 77)) && [[ ${CI-} != true ]]; then
        echo "== $name: NOT RUN, $(tail -n 1 "$out")"
        return
    fi
    read -r good bad < <(awk '/^test result: / { g += $4; b += $6 } END { print g + 0, b + 0 }' "$out")
    passed=$((passed + good))
    ((status != 0 && bad == 0)) && bad=1
    failed=$((failed + bad))
    echo "== $name: took $((SECONDS - start)) s"
    ((bad == 0)) || troubles+=("$name: $(grep -E '^test .* FAILED$' "$out" | cut -d ' ' -f 2 | paste -sd ',') (status $status)")
}

need cc gcc         # aws-lc and jemalloc are compiled
need make make      # jemalloc's own build
need unshare util-linux # a file system of its own for the daemon whose disk is full
need faketime faketime # a clock of its own for the daemon whose clock jumps
# Namespaces with firewalls, and the software that is put through them.
need ip iproute2
need nft nftables
need setpriv util-linux
need iperf3 iperf3
need dnsmasq dnsmasq-base
need dig bind9-dnsutils
need pg_ctlcluster postgresql # the programs themselves are off the search path
need redis-server redis-server
need redis-benchmark redis-tools
need mosquitto mosquitto
need mosquitto_sub mosquitto-clients
need vsftpd vsftpd
need curl curl
need nginx nginx-light
need haproxy haproxy
need apache2 apache2-bin
need ab apache2-utils
need h2load nghttp2-client
need nghttpd nghttp2-server
need node nodejs
need go golang-go
need python3 python3-venv
# Containers as targets.
need podman podman
need runc runc
need iptables iptables
need busybox busybox-static
need openssl openssl
[[ -x /usr/lib/podman/netavark ]] || missing+=(netavark)
need sshd openssh-server
need scp openssh-client
install_missing
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi
mkdir -p "$CARGO_TARGET_DIR"

# The hosts' root is fetched while everything else is built.
scripts/test-lab.sh --prepare >"$CARGO_TARGET_DIR/lab-root.log" 2>&1 &
preparing=$!
scripts/test-software.sh >"$CARGO_TARGET_DIR/test-software.log" 2>&1 &
software=$!
# Kubernetes is built from its modules, by what time the rest leaves.
nice -n 15 scripts/test-kube.sh --prepare >"$CARGO_TARGET_DIR/kube-box.log" 2>&1 &
clusters=$!

check "form (cargo fmt)" cargo fmt --all --check
check "lints (cargo clippy)" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
check "dependencies (cargo deny)" scripts/deny.sh
check "build" cargo build --workspace --all-targets --locked
check "software of other registries" prepared
tests
check "demo" scripts/test-demo.sh
# Why one failed is told again by the stage itself.
wait "$preparing" || true
# Hosts with the packages of this tree.
machines laboratory scripts/test-lab.sh
wait "$clusters" || true
# Clusters of Kubernetes with this tree's image.
machines kubernetes scripts/test-kube.sh

for trouble in "${troubles[@]}"; do
    echo "failed: $trouble"
done
echo "$passed passed, $failed failed"
((failed == 0))
