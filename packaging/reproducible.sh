#!/usr/bin/env bash
# Builds the packages of the last commit twice, in two places, and compares every byte.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d "${TMPDIR:-/var/tmp}/vand-reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT
for place in first second/and/deeper; do
    git clone --quiet . "$work/$place"
    for kind in deb rpm tarball; do
        make --silent -C "$work/$place" "$kind" CARGO_TARGET_DIR="$work/$place/out" \
            >"$work/$kind.log" 2>&1 || { tail -n 40 "$work/$kind.log" >&2 && exit 1; }
    done
    (cd "$work/$place/out/dist" && sha256sum -- *) >"$work/${place%%/*}.sums"
    # Two builds need as much room as four.
    rm -rf "$work/$place/out/package" "$work/$place/out/static"
done
cat "$work/first.sums"
if ! diff "$work/first.sums" "$work/second.sums"; then
    echo "the two builds differ" >&2
    exit 1
fi
echo "both builds have the same bytes"
