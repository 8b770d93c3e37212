#!/usr/bin/env bash
# Builds a Debian root for the hosts of the laboratory, and prints its folder: build-root.sh CACHE.
# One that was built from the same recipe is taken as it is. Packages come from where this machine's do.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

cache=$1
suite=trixie
packages=$(sed 's/#.*//' "$here/packages.txt" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')
recipe=$(cat "$here/packages.txt" "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-12)
root=$cache/$suite-$recipe
[[ -e $root/.complete ]] && exec echo "$root"

if ((EUID != 0)); then
    echo "the laboratory's root is built by root: run sudo make test-lab" >&2
    exit 1
fi
command -v mmdebstrap >/dev/null || {
    echo "mmdebstrap is missing: apt-get install mmdebstrap" >&2
    exit 1
}
mkdir -p "$cache"
# Two builds at a time would spoil each other's; the second finds the first one's root.
exec 9>"$cache/.lock"
flock 9
[[ -e $root/.complete ]] && exec echo "$root"
rm -rf "$root"

mirrors=$(apt-get indextargets --format '$(SITE)' | sort -u)
main=$(grep -v security <<<"$mirrors" | grep -m 1 '/debian/*$')
security=$(grep -m 1 security <<<"$mirrors" || true)
sources=("deb ${main%/} $suite main" "deb ${main%/} $suite-updates main")
[[ -n $security ]] && sources+=("deb ${security%/} $suite-security main")

# Servers are for the tests to start, and timers would only disturb them.
idle=(ssh postgresql redis-server redis-sentinel nginx podman-auto-update.timer podman.socket
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer)
options=(--quiet --variant=minbase --mode=root --format=directory --include="$packages"
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io
    --customize-hook='ln -sfn ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"'
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* && truncate -s 0 "$1/etc/machine-id"'
    --customize-hook='chroot "$1" useradd --create-home --shell /bin/bash --uid 1000 op'
    --customize-hook="systemctl --root=\"\$1\" --quiet disable ${idle[*]} || true"
    # No kernel modules belong to a host here.
    --customize-hook='systemctl --root="$1" --quiet mask systemd-modules-load.service')
for folder in man locale info; do
    options+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
done
# What vand's own package has there is looked at.
options+=(--dpkgopt='path-include=/usr/share/man/man*/van*')
mmdebstrap "${options[@]}" "$suite" "$root" "${sources[@]}" >&2
# Roots of older recipes are of no use any more.
find "$cache" -maxdepth 1 -name "$suite-*" ! -path "$root" -exec rm -rf {} +
touch "$root/.complete"
echo "$root"
