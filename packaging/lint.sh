#!/usr/bin/env bash
# Checks packages as their distributions do, warnings being errors: lint.sh FOLDER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=$1
for tool in lintian rpmlint; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing: apt-get install $tool" >&2
        exit 1
    }
done
lintian --allow-root --fail-on error,warning "$dist"/*.deb
rpmlint --strict --config packaging/rpm/rpmlint.toml "$dist"/*.rpm
