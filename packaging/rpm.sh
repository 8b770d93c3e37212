#!/usr/bin/env bash
# Builds the RPM packages: rpm.sh FOLDER. VAND_REVISION=2 makes an upgrade of the same version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dist=$1
target=${CARGO_TARGET_DIR:-$PWD/target}
command -v rpmbuild >/dev/null || {
    echo "rpmbuild is missing: apt-get install rpm, or dnf install rpm-build" >&2
    exit 1
}
make --no-print-directory programs
version=$(grep -m 1 '^version' Cargo.toml | cut -d '"' -f 2)
SOURCE_DATE_EPOCH=$(scripts/source-date.sh)
export SOURCE_DATE_EPOCH
rm -rf "$target/rpm"
mkdir -p "$target/rpm" "$dist"
rpmbuild -bb --quiet \
    --define "_topdir $target/rpm" --define "tree $PWD" --define "programs $target/package/release" \
    --define "version $version" --define "revision ${VAND_REVISION:-1}" \
    --define '_buildhost vand.invalid' --define 'use_source_date_epoch_as_buildtime 1' \
    --define 'clamp_mtime_to_source_date_epoch 1' --define '_binary_payload w10.zstdio' \
    packaging/rpm/vand.spec
mv "$target"/rpm/RPMS/*/*.rpm "$dist/"
ls -l "$dist"/*.rpm
