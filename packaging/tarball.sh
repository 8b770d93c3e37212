#!/usr/bin/env bash
# Builds the static vanctl for any Linux of this processor: tarball.sh FOLDER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=$1
out=${CARGO_TARGET_DIR:-$PWD/target}/static
machine=$(uname -m)
triple=$machine-unknown-linux-musl
version=$(grep -m 1 '^version' Cargo.toml | cut -d '"' -f 2)
packaging/static.sh "$out" vanctl
program=$out/$triple/release/vanctl
name=vanctl-$version-linux-$machine
stage=$out/$name
rm -rf "$stage"
install -D -m 755 "$program" "$stage/vanctl"
install -D -m 644 -t "$stage/man" man/vanctl*.1
install -m 644 -t "$stage" LICENSE
mkdir -p "$stage/completions" "$dist"
for shell in bash zsh fish; do
    "$program" completion "$shell" >"$stage/completions/vanctl.$shell"
done
tar --create --sort=name --mtime="@$(scripts/source-date.sh)" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX --directory "$out" "$name" | gzip -n -9 >"$dist/$name.tar.gz"
ls -l "$dist/$name.tar.gz"
