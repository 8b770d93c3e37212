#!/usr/bin/env bash
# Builds static programs for any Linux of this processor: static.sh OUT PACKAGE….
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$1
triple=$(uname -m)-unknown-linux-musl
command -v musl-gcc >/dev/null || {
    echo "musl-gcc is missing: apt-get install musl-tools" >&2
    exit 1
}
rustup target list --installed | grep -qx "$triple" || rustup target add "$triple"
scripts/build-release.sh "$@" -- --target "$triple" --config 'profile.release.strip="symbols"'
for name in "${@:2}"; do
    program=$out/$triple/release/$name
    if ! file "$program" | grep -qE 'static(ally|-pie) linked'; then
        echo "$program is not static: $(file "$program")" >&2
        exit 1
    fi
done
