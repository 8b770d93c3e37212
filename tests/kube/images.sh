#!/usr/bin/env bash
# Makes the images of the tests, for clusters without a registry: images.sh FOLDER PROGRAMS. FOLDER/images gets
# localhost/vand:test of PROGRAMS/vand with the libraries that it needs, localhost/workload:1 of busybox, and
# localhost/pause:1.
set -euo pipefail
folder=$(readlink -f "$1")
programs=$(readlink -f "$2")
images=$folder/images
mkdir -p "$images"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# image NAME:TAG ROOT ENTRYPOINT FILE: one layer, in the form that docker saves.
image() {
    local parts config layer
    parts=$(mktemp -d "$work/image.XXXXXX")
    tar -C "$2" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$parts/layer.tar" .
    layer=$(sha256sum "$parts/layer.tar" | cut -d ' ' -f 1)
    cat >"$parts/config" <<JSON
{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
 "config":{"Entrypoint":$3,"WorkingDir":"/","Env":["PATH=/usr/bin:/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created":"1970-01-01T00:00:00Z"}]}
JSON
    config=$(sha256sum "$parts/config" | cut -d ' ' -f 1).json
    mv "$parts/config" "$parts/$config"
    echo "[{\"Config\":\"$config\",\"RepoTags\":[\"$1\"],\"Layers\":[\"layer.tar\"]}]" >"$parts/manifest.json"
    tar -C "$parts" -cf "$4" manifest.json "$config" layer.tar
    rm -r "$parts"
}

root=$work/vand
mkdir -p "$root/usr/bin" "$root/tmp"
install -m 755 "$programs/vand" "$root/usr/bin/vand"
strip "$root/usr/bin/vand"
ln -s vand "$root/usr/bin/vanctl"
for library in $(ldd "$programs/vand" | grep -o '/[^ ]*'); do
    install -D -m 755 "$library" "$root$library"
done
image localhost/vand:test "$root" '["/usr/bin/vand"]' "$images/vand.tar"

if [[ ! -e $images/pause.tar ]]; then
    root=$work/pause
    mkdir -p "$root"
    gcc -static -Os -x c -o "$root/pause" - <<'C'
#include <signal.h>
#include <unistd.h>
static void end(int signal) { _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
C
    image localhost/pause:1 "$root" '["/pause"]' "$images/pause.tar"
fi
if [[ ! -e $images/workload.tar ]]; then
    root=$work/workload
    mkdir -p "$root/bin" "$root/tmp"
    install -m 755 "$(command -v busybox)" "$root/bin/busybox"
    for applet in cat echo env hostname httpd ls mkdir nc nslookup sh sleep timeout wget; do
        ln -s busybox "$root/bin/$applet"
    done
    image localhost/workload:1 "$root" '["/bin/sh"]' "$images/workload.tar"
fi
