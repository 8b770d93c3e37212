#!/usr/bin/env bash
# fuzz.sh SECONDS: runs each fuzz target for so long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.13.2
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz

if [[ "$("$tools/bin/cargo-fuzz" --version 2>/dev/null || true)" != "cargo-fuzz $version" ]]; then
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$tools/build \
        cargo install --locked --debug cargo-fuzz --version "$version" --root "$tools"
    rm -rf "$tools/build"
fi
for target in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    echo "== $name for $1 s"
    # What is found new stays under target/; only what is kept on purpose lies in fuzz/corpus.
    mkdir -p "$CARGO_TARGET_DIR/corpus/$name"
    RUSTUP_TOOLCHAIN=nightly "$tools/bin/cargo-fuzz" run "$name" \
        "$CARGO_TARGET_DIR/corpus/$name" "fuzz/corpus/$name" -- -max_total_time="$1"
done
