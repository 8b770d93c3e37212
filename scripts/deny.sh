#!/usr/bin/env bash
# Checks the dependencies against deny.toml, with a cargo-deny of a known version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools

if [[ "$("$tools/bin/cargo-deny" --version 2>/dev/null || true)" != "cargo-deny $version" ]]; then
    # Unoptimised: it is built in half the time and checks in a second all the same.
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$tools/build \
        cargo install --locked --debug cargo-deny --version "$version" --root "$tools"
    rm -rf "$tools/build"
fi
# Advisories are left out: deny.toml says why.
exec "$tools/bin/cargo-deny" --locked --log-level error check bans licenses sources
