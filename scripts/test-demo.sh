#!/usr/bin/env bash
# Runs the demo without a terminal on the binaries that the tests have built, and checks that it
# ends well and leaves no process and no folder behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

TMPDIR=$scratch VAN_BIN=$target/debug scripts/demo.sh </dev/null | tee "$scratch/out"
for text in 'vand is enabled for site "public" in interior mode.' 'It is connected to 1 other sites.' \
    'from the public site → from the public site' 'The demo is over'; do
    grep -qF "$text" "$scratch/out" || { echo "the demo did not say: $text" >&2; exit 1; }
done
left=$(find "$scratch" -mindepth 1 ! -name out)
[[ -z $left ]] || { echo "the demo left behind: $left" >&2; exit 1; }
# The pattern comes by a pipe, so that the search doesn't find itself.
if running=$(grep -slF -f <(echo "$scratch") /proc/[0-9]*/cmdline); then
    echo "the demo left running: $running" >&2
    exit 1
fi
