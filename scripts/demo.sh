#!/usr/bin/env bash
# The main job on real processes: a laptop that can only dial exports a local service to a network,
# and the other site talks to it. `vand` and `vanctl` come from VAN_BIN, by default target/release,
# where they are built when they are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
bin=${VAN_BIN:-$target/release}
dir=$(mktemp -d "${TMPDIR:-/tmp}/van-demo.XXXXXX")
pids=()

clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    echo "demo: $1" >&2
    tail -n 20 "$dir"/*.log >&2 || true
    exit 1
}

# until_it COMMAND…: waits until the command succeeds.
until_it() {
    local deadline=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "waited 30 s in vain for: $*"
        sleep 0.05
    done
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        # Nobody answers: it is free.
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Shows a command to the reader as it would be typed, and runs it.
show() {
    echo
    echo "\$ $*"
    "$@" 2>&1
}

# Sends lines through a port and checks that each comes back.
talk() {
    local line answer
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    for line in "hello" "from the public site" "to the laptop and back"; do
        printf '%s\n' "$line" >&3
        IFS= read -r -t 10 answer <&3 || fail "no answer to \"$line\""
        [[ $answer == "$line" ]] || fail "\"$line\" came back as \"$answer\""
        echo "  $line → $answer"
    done
    exec 3>&-
}

build() {
    if [[ ! -x $bin/vand || ! -x $bin/vanctl ]]; then
        [[ -z ${VAN_BIN:-} ]] || fail "there is no vand and vanctl in $bin"
        echo "building vand and vanctl (a few minutes the first time)"
        cargo build --release --locked --quiet -p vand -p vanctl
    fi
    if [[ ! -x $bin/examples/echo-server ]]; then
        echo "building the echo server"
        cargo build --release --locked --quiet -p van-testkit --example echo-server
        [[ -x $bin/examples/echo-server ]] || bin_echo=$target/release/examples/echo-server
    fi
}

bin_echo=$bin/examples/echo-server
build
PATH=$bin:$PATH
export VANCTL_URL=unix://$dir/run/vand.sock
unset VANCTL_PLATFORM
link_port=$(free_port)
port=$(free_port)

cat >"$dir/vand.toml" <<TOML
[site]
name = "public"

[accept]
listen = ["127.0.0.1:$link_port"]
advertise = ["127.0.0.1:$link_port"]
TOML

echo "1. A site \"public\" that accepts links at 127.0.0.1:$link_port."
vand run --config "$dir/vand.toml" --state-dir "$dir/state" --runtime-dir "$dir/run" \
    >"$dir/public.log" 2>&1 &
pids+=($!)
until_it vanctl status

echo "2. A token, the right to link to it once."
show vanctl token create "$dir/public.token"

echo
echo "3. A place at \"public\" where clients find the service \"echo\" (nobody offers it yet)."
show vanctl listener create echo "127.0.0.1:$port" --address echo

echo
echo "4. An echo server on a \"laptop\", exported with one command. Only the laptop dials."
"$bin_echo" >"$dir/echo.log" 2>&1 &
pids+=($!)
until_it grep -q '^listening at ' "$dir/echo.log"
echo_at=$(sed -n 's/^listening at //p' "$dir/echo.log")
echo
echo "\$ vand export echo=$echo_at --token $dir/public.token --site-name laptop"
vand export "echo=$echo_at" --token "$dir/public.token" --site-name laptop >"$dir/laptop.log" 2>&1 &
pids+=($!)
until_it bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
cat "$dir/laptop.log"

echo
echo "5. Lines through 127.0.0.1:$port at \"public\", to the laptop's server and back."
talk "$port"

show vanctl status
show vanctl link status --verbose
show vanctl service status --verbose

if [[ ! -t 0 ]]; then
    echo
    echo "The demo is over: there is no terminal to stay for."
    exit 0
fi
trap 'echo; exit 0' INT
cat <<TEXT

It stays up until Ctrl-C. In another terminal:

  export PATH=$bin:\$PATH VANCTL_URL=$VANCTL_URL
  nc 127.0.0.1 $port             # talk to the laptop's echo server
  vanctl status
  vanctl link status --verbose
  vanctl service status --verbose
  vanctl ping laptop
  vanctl events --follow
  vanctl help
TEXT
# One of them ending by itself is news; Ctrl-C ends the wait.
wait -n || true
fail "a process of the demo has ended"
