#!/usr/bin/env bash
# Builds the Debian packages: deb.sh FOLDER. VAND_REVISION=2 makes an upgrade of the same version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=$1
target=${CARGO_TARGET_DIR:-$PWD/target}
for tool in dpkg-buildpackage:dpkg-dev dh:debhelper; do
    command -v "${tool%:*}" >/dev/null || {
        echo "${tool%:*} is missing: apt-get install ${tool#*:}" >&2
        exit 1
    }
done
version=$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)
if ! grep -qxF "version = \"$version\"" Cargo.toml; then
    echo "the version $version of packaging/debian/changelog is not that of Cargo.toml" >&2
    exit 1
fi

stage=$target/deb/vand
rm -rf "$target/deb"
mkdir -p "$stage" "$dist"
cp -r packaging/debian "$stage/debian"
if [[ -n ${VAND_REVISION-} ]]; then
    sed -i "1s/($version)/($version+$VAND_REVISION)/" "$stage/debian/changelog"
fi
SOURCE_DATE_EPOCH=$(scripts/source-date.sh)
export SOURCE_DATE_EPOCH VAND_SOURCE=$PWD CARGO_TARGET_DIR=$target
(cd "$stage" && dpkg-buildpackage --build=binary --unsigned-changes --unsigned-buildinfo)
mv "$target"/deb/*.deb "$dist/"
ls -l "$dist"/*.deb
