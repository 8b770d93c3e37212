#!/usr/bin/env bash
# Prepares what tests/software runs and no package has: Python's grpcio and websockets, grpc-go's own
# programs, a client and server of Go's HTTP stack. All pinned; kept in the build's folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/software/stacks"

out=${CARGO_TARGET_DIR:-$PWD/../../../target}/tools/software
stamp=$out/stamp
now=$(cat requirements.txt go/go.mod go/go.sum go/stack/main.go | sha256sum)
if [[ -e $stamp && $(<"$stamp") == "$now" ]]; then
    exit 0
fi
for program in python3 go node; do
    if ! command -v "$program" >/dev/null; then
        echo "tests/software needs $program, which is not installed" >&2
        exit 1
    fi
done
rm -rf "$out"
mkdir -p "$out/bin"
python3 -m venv "$out/python"
"$out/python/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
(cd go && go build -mod=readonly -trimpath -o "$out/bin/" ./stack \
    google.golang.org/grpc/interop/client google.golang.org/grpc/interop/server)
echo "$now" >"$stamp"
