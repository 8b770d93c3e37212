#!/usr/bin/env bash
# Builds the components of Kubernetes as one program, and unpacks a container runtime beside it:
# build-box.sh FOLDER. Both are kept in FOLDER and made anew only when what they are made of changes. Nothing
# is installed on the machine.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
mkdir -p "$1"
folder=$(readlink -f "$1")

need=$(awk '$1 == "go" { print $2 }' "$here/box/go.mod")
have=$(go env GOVERSION 2>/dev/null || true)
if ! printf '%s\n' "$need" "${have#go}" | sort --check=quiet --version-sort; then
    echo "the Kubernetes tests need Go $need or newer, there is ${have:-none}: see go.dev/doc/install" >&2
    exit 1
fi
runtime=$folder/root
if [[ ! -x $runtime/usr/bin/containerd ]]; then
    rm -rf "$runtime" "$folder/packages"
    mkdir -p "$folder/packages"
    # Root's own folder is closed to apt's user, which apt tells on standard error.
    fetch() { (cd "$folder/packages" && apt-get download -qq containerd runc containernetworking-plugins); }
    # A fresh machine has no lists yet.
    fetch 2>/dev/null || { apt-get update -qq && fetch; }
    for package in "$folder"/packages/*.deb; do
        dpkg -x "$package" "$runtime"
    done
    rm -r "$folder/packages"
fi

now=$({ go version && cat "$here"/box/*; } | sha256sum)
stamp=$folder/bin/stamp
if [[ -x $folder/bin/kubebox && -e $stamp && $(<"$stamp") == "$now" ]]; then
    exit 0
fi
mkdir -p "$folder/bin"
# The cache of a build takes 3 GiB, and is of no use to another.
cache=$(mktemp -d "$folder/cache.XXXXXX")
trap 'chmod -R u+w "$cache" && rm -rf "$cache"' EXIT
began=$SECONDS
export GOCACHE=$cache CGO_ENABLED=0 GOFLAGS=-buildvcs=false
cd "$here/box"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v*.}
package=k8s.io/component-base/version
nice -n 10 go build -trimpath -o "$folder/bin/kubebox" -ldflags \
    "-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}" .
echo "$now" >"$stamp"
echo "built Kubernetes $version in $((SECONDS - began)) s, with a cache of $(du -sh "$cache" | cut -f 1)"
