#!/usr/bin/env bash
# Installs the benchmark's peers that are missing: packages of the distribution (as root), frp and
# ghostunnel from the Go module proxy and rathole from crates.io into the folder given, all pinned.
# What can't be had is left out; the benchmark's table then says so.
set -euo pipefail
readonly RATHOLE=0.5.0
readonly LIMIT=600

folder=${1:?usage: install.sh FOLDER}
mkdir -p "$folder/bin"
folder=$(cd "$folder" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"

have() {
    PATH="$folder/bin:$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null
}

note() {
    echo "bench: $1" >&2
}

install_packages() {
    local wanted=()
    have haproxy || wanted+=(haproxy)
    have nginx || wanted+=(nginx-light)
    compgen -G '/usr/lib*/nginx/modules/ngx_stream_module.so' >/dev/null || wanted+=(libnginx-mod-stream)
    have stunnel || wanted+=(stunnel4)
    have iperf3 || wanted+=(iperf3)
    have wrk || wanted+=(wrk)
    have h2load || wanted+=(nghttp2-client)
    have openssl || wanted+=(openssl)
    have ip || wanted+=(iproute2)
    if [ ${#wanted[@]} -eq 0 ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        note "not installed, and only root with apt-get can: ${wanted[*]}"
        return
    fi
    note "installing ${wanted[*]}"
    # The packages' own services must not start: they would take ports and processor time.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >&2 ||
        note "some packages could not be installed"
}

# build_go PROGRAM FOLDER PACKAGE…: builds pinned packages; go.sum holds their hashes.
build_go() {
    local program=$1 module=$2
    shift 2
    if have "$program"; then
        return
    fi
    if ! have go; then
        note "no go: $module is left out"
        return
    fi
    note "building $module"
    (cd "$module" && timeout "$LIMIT" go build -mod=readonly -trimpath -o "$folder/bin/" "$@" >&2) ||
        note "$module could not be built and is left out"
}

install_rathole() {
    if have rathole; then
        return
    fi
    note "building rathole (some minutes)"
    # Not --locked: the time crate of its lock file does not compile with today's Rust.
    timeout "$LIMIT" cargo install --quiet --root "$folder" --target-dir "$folder/build" \
        rathole --version "=$RATHOLE" --no-default-features --features server,client,tls,noise >&2 ||
        note "rathole could not be built and is left out"
    rm -rf "$folder/build"
}

install_packages
build_go frps frp github.com/fatedier/frp/cmd/frps github.com/fatedier/frp/cmd/frpc
build_go ghostunnel ghostunnel github.com/ghostunnel/ghostunnel
install_rathole
