#!/usr/bin/env bash
# Puts together what a container image of vand is made of, in FOLDER/container: container.sh FOLDER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=$1
out=${CARGO_TARGET_DIR:-$PWD/target}/static
triple=$(uname -m)-unknown-linux-musl
packaging/static.sh "$out" vand

stage=$dist/container
rm -rf "$stage"
mkdir -p "$stage/empty"
cp -r packaging/container/. "$stage"
install -D -m 755 -t "$stage/root/usr/bin" "$out/$triple/release/vand"
ln -s vand "$stage/root/usr/bin/vanctl"
ls -lR "$stage/root"
