#!/usr/bin/env bash
# The Autobahn test suite's fuzzing client against an echo server of Python's websockets, straight and
# through two sites by request: both have to give the same verdicts. The suite runs on Python 2.7 only,
# so that this is no part of `make test`. Usage: scripts/autobahn.sh [CASES, such as 1.*,2.*]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
python2=${PYTHON2:-$(command -v python2.7 || true)}
cases=${1:-*}
if [[ -z $python2 ]] || ! "$python2" -c '' 2>/dev/null; then
    echo "the Autobahn test suite needs Python 2.7: name it by PYTHON2=…" >&2
    exit 1
fi
scripts/test-software.sh
cargo build --locked --quiet -p vand -p vanctl
suite=$target/tools/autobahn
if [[ ! -e $suite/stamp ]]; then
    "$python2" -m pip install --quiet --disable-pip-version-check --target "$suite" autobahntestsuite==0.8.2
    touch "$suite/zope/__init__.py" "$suite/stamp"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/autobahn.XXXXXX")
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
server=$(free_port) link=$(free_port) entry=$(free_port)
"$target/tools/software/python/bin/python" tests/software/stacks/sockets.py serve "$server" 2>"$work/server.log" &
pids+=($!)
site() {
    mkdir -p "$work/$1"/{state,run}
    cat >"$work/$1/vand.toml"
    "$target/debug/vand" run --config "$work/$1/vand.toml" --state-dir "$work/$1/state" \
        --runtime-dir "$work/$1/run" >"$work/$1/log" 2>&1 &
    pids+=($!)
    for _ in {1..100}; do
        [[ -S $work/$1/run/vand.sock ]] && return
        sleep 0.1
    done
}
site a <<END
[site]
name = "a"
[accept]
listen = ["127.0.0.1:$link"]
advertise = ["127.0.0.1:$link"]
[[listener]]
name = "sockets"
address = "sockets"
bind = "127.0.0.1:$entry"
protocol = "http"
END
"$target/debug/vanctl" --url "unix://$work/a/run/vand.sock" token create "$work/token"
site b <<END
[site]
name = "b"
[[link]]
name = "to-a"
token = "$work/token"
[[connector]]
name = "sockets"
address = "sockets"
target = "127.0.0.1:$server"
protocol = "http"
END
for _ in {1..100}; do
    curl -s -o "$work/answer" "http://127.0.0.1:$entry/" && break
    sleep 0.1
done

report=$target/autobahn
rm -rf "$report"
cat >"$work/spec.json" <<END
{ "outdir": "$report", "cases": [$(sed 's/[^,]*/"&"/g' <<<"$cases")], "exclude-cases": [],
  "servers": [{ "agent": "straight", "url": "ws://127.0.0.1:$server" },
              { "agent": "vand", "url": "ws://127.0.0.1:$entry" }] }
END
PYTHONPATH=$suite PYTHONWARNINGS=ignore "$python2" "$suite/bin/wstest" -m fuzzingclient -s "$work/spec.json" \
    >"$target/autobahn.log" 2>&1
python3 - "$report/index.json" <<'END'
import collections, json, sys

agents = json.load(open(sys.argv[1]))
verdicts = {name: {case: (found["behavior"], found["behaviorClose"]) for case, found in cases.items()}
            for name, cases in agents.items()}
for name, cases in verdicts.items():
    counts = collections.Counter(verdict for verdict, _ in cases.values())
    print(f"{name}: {len(cases)} cases:", ", ".join(f"{count} {what}" for what, count in counts.items()))
straight, through = verdicts["straight"], verdicts["vand"]
def passed(verdict):
    # Strict or not is a matter of time: which of two pieces came first.
    return verdict and verdict[0] in ("OK", "NON-STRICT", "INFORMATIONAL") and verdict[1] != "FAILED"
differing = {case: (straight[case], through.get(case)) for case in straight
             if passed(straight[case]) and not passed(through.get(case))}
for case, both in differing.items():
    print(f"{case}: straight {both[0]}, through vand {both[1]}")
sys.exit(bool(differing) or not straight)
END
