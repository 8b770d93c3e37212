#!/usr/bin/env bash
# Tests the packages on booted hosts: builds them, a root for hosts, and runs tests/lab/hosts in a
# capsule. `test-lab.sh --prepare` builds the root only. Other arguments go to the tests. Ends with 77
# where the machine can't have a laboratory, and says what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cache=${VAN_LAB_CACHE:-$CARGO_TARGET_DIR/lab}
mkdir -p "$cache"

# Says what keeps this machine from it, or nothing.
lacking() {
    ((EUID == 0)) || { echo "root: run sudo make test-lab" && return; }
    unshare --mount --net --pid --cgroup --fork true 2>/dev/null ||
        { echo "the right to make namespaces" && return; }
    [[ -c /dev/fuse && -c /dev/net/tun ]] || echo "/dev/fuse and /dev/net/tun"
}

# need COMMAND PACKAGE
missing=()
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

why=$(lacking)
if [[ -n $why ]]; then
    echo "the laboratory can't run here: it needs $why" >&2
    exit 77
fi
need mmdebstrap mmdebstrap
need systemd-nspawn systemd-container
need nft nftables
need ip iproute2
need unshare util-linux
need dh debhelper
need dpkg-buildpackage dpkg-dev
need rpmbuild rpm
need musl-gcc musl-tools
need file file
need busybox busybox-static
if ((${#missing[@]} > 0)); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
root=$(tests/lab/build-root.sh "$cache")
[[ ${1-} == --prepare ]] && exit

packages=$CARGO_TARGET_DIR/lab-packages
rm -rf "$packages"
# build NAME COMMAND…: what a build says is of interest only when it fails.
build() {
    "${@:2}" >"$cache/$1.log" 2>&1 || { tail -n 40 "$cache/$1.log" >&2 && exit 1; }
}
# Nobody debugs what the laboratory installs.
export DEB_BUILD_OPTIONS=noautodbgsym
# All have one program, which is built once; the container's is static and in no hurry.
build program make programs
build container env CARGO_PROFILE_RELEASE_LTO=off packaging/container.sh "$packages"
for kind in deb rpm; do
    build "$kind" "packaging/$kind.sh" "$packages/first"
    # The same version once more: for apt and rpm it is an upgrade.
    build "$kind" env VAND_REVISION=2 "packaging/$kind.sh" "$packages/later"
done

# An upgrade starts from what users have. Without history it starts from this commit's own package.
if git -c safe.directory="$PWD" rev-parse --verify --quiet "HEAD^{commit}^" >/dev/null; then
    build before tests/lab/before.sh "$packages/before"
else
    echo "the clone has no commit before this one: the upgrade starts from this commit's package" >&2
fi

tests=$(cargo test --locked -p van-lab --test hosts --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*hosts-[^"]*\)".*/\1/p')
status=0
VAN_LAB_ROOT=$root VAN_LAB_PACKAGES=$packages \
    tests/lab/capsule.sh "$tests" --test-threads="${VAN_LAB_THREADS:-2}" "$@" || status=$?
((status == 0)) || exit "$status"

missing=()
need lintian lintian
need rpmlint rpmlint
if ((${#missing[@]} > 0)) &&
    ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; then
    echo "the packages are not checked by their distributions' tools: ${missing[*]} can't be installed" >&2
    [[ ${CI-} != true ]] || exit 1
    exit 0
fi
packaging/lint.sh "$packages/first"
