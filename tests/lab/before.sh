#!/usr/bin/env bash
# Builds the Debian package of the commit before the last: before.sh FOLDER. Ends with 1 where there is
# no such commit (a shallow clone).
#
# In a mount namespace the older tree stands in the place of this one, so that every path that goes into
# a build is the same and the crates of others, which take the most time, are not built again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tree=$PWD
dist=$(realpath --canonicalize-missing "$1")
target=$(realpath "${CARGO_TARGET_DIR:-$tree/target}")
git() { command git -c safe.directory="$tree" "$@"; }
commit=$(git rev-parse --verify --quiet "HEAD^{commit}^") || {
    echo "there is no commit before this one: a clone with more depth has it" >&2
    exit 1
}

scratch=$(mktemp -d "$target/before.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{tree,package} "$dist" "$target/package"
git archive "$commit" | tar --extract --touch --directory "$scratch/tree"
# A copy that is thrown away: nothing of the older commit is to be taken for this one's later.
cp --archive --reflink=auto "$target/package/." "$scratch/package"

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export CARGO_TARGET_DIR=$target SOURCE_DATE_EPOCH tree scratch dist
unshare --mount --propagation private bash -euo pipefail -c '
    cd /
    mount --bind "$scratch/package" "$CARGO_TARGET_DIR/package"
    within=${CARGO_TARGET_DIR#"$tree"/}
    if [[ $within != "$CARGO_TARGET_DIR" ]]; then
        mkdir -p "$scratch/tree/$within"
        mount --rbind "$CARGO_TARGET_DIR" "$scratch/tree/$within"
    fi
    mount --rbind "$scratch/tree" "$tree"
    cd "$tree"
    exec packaging/deb.sh "$dist"
'
