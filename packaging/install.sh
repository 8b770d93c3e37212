#!/usr/bin/env bash
# Installs programs and everything that belongs to them: install.sh PROGRAMS DESTDIR PREFIX.
# VAND_ZSH is where zsh looks for completions, and VAND_UNITS where units go (/usr/lib/systemd/system):
# neither is the same everywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=$1 dest=$2 prefix=$2$3

# put MODE SOURCE TARGET: the target is a file.
put() {
    install -D -m "$1" "$2" "$3"
}

put 755 "$programs/vand" "$prefix/bin/vand"
# One program under two names.
ln -sf vand "$prefix/bin/vanctl"
for page in man/*.[1-8]; do
    put 644 "$page" "$prefix/share/man/man${page##*.}/${page##*/}"
done
completions=$(mktemp -d)
trap 'rm -rf "$completions"' EXIT
for shell in bash zsh fish; do
    (exec -a vanctl "$programs/vand" completion "$shell") >"$completions/$shell"
done
put 644 "$completions/bash" "$prefix/share/bash-completion/completions/vanctl"
put 644 "$completions/zsh" "$prefix${VAND_ZSH:-/share/zsh/vendor-completions}/_vanctl"
put 644 "$completions/fish" "$prefix/share/fish/vendor_completions.d/vanctl.fish"

units=(vand.service vand.socket vand@.service vand-names.path vand-names.service
    vand-podman@.socket vand-podman@.service)
for unit in "${units[@]}"; do
    put 644 "systemd/$unit" "$dest${VAND_UNITS:-$3/lib/systemd/system}/$unit"
done
put 644 systemd/user-vand.service "$prefix/lib/systemd/user/vand.service"
put 644 man/vand.catalog "$prefix/lib/systemd/catalog/vand.catalog"
put 644 systemd/sysusers.conf "$prefix/lib/sysusers.d/vand.conf"
put 644 systemd/tmpfiles.conf "$prefix/lib/tmpfiles.d/vand.conf"
for drop_in in systemd/*.d/*.conf; do
    put 644 "$drop_in" "$prefix/share/vand/${drop_in#systemd/}"
done
put 644 systemd/vand-ports.socket "$prefix/share/vand/vand-ports.socket"
put 644 packaging/common/vand.toml "$dest/etc/vand/vand.toml"
put 644 packaging/common/firewalld.xml "$prefix/lib/firewalld/services/vand.xml"
put 644 packaging/common/ufw "$dest/etc/ufw/applications.d/vand"
