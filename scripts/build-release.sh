#!/usr/bin/env bash
# Builds what packages carry: build-release.sh OUT PACKAGE… [-- CARGO OPTIONS…]. The programs' bytes
# don't depend on where the tree, the caches and OUT are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$1
shift
packages=()
while (($# > 0)) && [[ $1 != -- ]]; do
    packages+=(-p "$1")
    shift
done
[[ ${1-} == -- ]] && shift

cargo_home=${CARGO_HOME:-$HOME/.cargo}
# The later of two that fit is taken.
places=("$cargo_home=/usr/src/cargo" "$PWD=/usr/src/vand" "$out=/usr/src/vand/target")
rust=() c=()
for place in "${places[@]}"; do
    rust+=("--remap-path-prefix=$place")
    c+=("-ffile-prefix-map=$place")
done

# Packagers' tools set variables that compilers listen to, and that would change what is built.
keep=()
while IFS='=' read -r -d '' name value; do
    case $name in
    RUSTFLAGS | CARGO_TARGET_DIR | CARGO_INCREMENTAL) ;;
    HOME | PATH | TMPDIR | CARGO_* | RUSTUP_* | SSL_CERT_* | *_proxy | *_PROXY) keep+=("$name=$value") ;;
    esac
done < <(env -0)
# No program tells when it was built; one date for all keeps C code from being compiled at each commit.
exec env -i "${keep[@]}" LC_ALL=C SOURCE_DATE_EPOCH=1 \
    RUSTFLAGS="${rust[*]}" CFLAGS="${c[*]}" CXXFLAGS="${c[*]}" CARGO_TARGET_DIR="$out" CARGO_INCREMENTAL=0 \
    cargo build --release --locked "${packages[@]}" "$@"
