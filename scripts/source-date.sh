#!/usr/bin/env bash
# Prints the time of the sources in seconds since 1970: SOURCE_DATE_EPOCH, else that of the last
# commit, else that of the changelog.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -n ${SOURCE_DATE_EPOCH-} ]]; then
    echo "$SOURCE_DATE_EPOCH"
else
    # The tree may belong to another user than the one who builds a package from it.
    git -c safe.directory="$PWD" log -1 --format=%ct 2>/dev/null ||
        date --date="$(dpkg-parsechangelog -l packaging/debian/changelog -S Date)" +%s
fi
