#!/usr/bin/env bash
# Two pods of one site: both hold links and carry flows, either may be killed, and a rolling update loses nothing.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

leader() { $KUBECTL get lease vand -o jsonpath='{.spec.holderIdentity}'; }
site_pods() { $KUBECTL get pods -l application=vand-router --field-selector=status.phase=Running -o name | cut -d/ -f2; }
# load FILE URL: asks for ever, each line the second of the start and how it ended.
load() {
    $KUBECTL exec pod/frontend -- sh -c "while :; do
            read -r now _ </proc/uptime
            if timeout 2 wget -q -O - $2 >/dev/null 2>&1; then echo \$now ok; else echo \$now lost; fi
            sleep 0.05
        done" >"$1" 2>/dev/null &
    pids+=($!)
}
# gap FILE: the longest time in which every request was lost, in seconds; and how many were lost in all.
gap() {
    awk '$2 == "lost" { if (!since) since = $1; lost++ }
        $2 == "ok" { if (since && $1 - since > longest) longest = $1 - since; since = 0; asked++ }
        { last = $1 }
        END { if (since && last - since > longest) longest = last - since
              printf "%.2f %d %d", longest, lost, asked }' "$1"
}
# judged WHAT FILE SECONDS: the longest gap is no longer than so.
judged() {
    local longest lost asked
    read -r longest lost asked <<<"$(gap "$2")"
    say "$1: longest gap $longest s, $lost requests lost, $asked answered"
    ((asked > 50)) || fail "only $asked requests were answered: $(head -n 20 "$2")"
    awk -v a="$longest" -v b="$3" 'BEGIN { exit !(a <= b) }' || fail "$1: $(grep -c lost "$2") lost: $(grep -m 40 -B 1 -A 1 lost "$2")"
}
# crash POD: its daemon ends without a word, as by a fault of its own.
crash() {
    local process
    for process in $(pgrep -x vand); do
        if tr '\0' '\n' <"/proc/$process/environ" | grep -qx "POD_NAME=$1"; then
            kill -KILL "$process"
            return
        fi
    done
    fail "no process of pod $1 is found"
}
led() { [[ -n $(leader) ]]; }
led_by_another() { local now; now=$(leader) && [[ -n $now && $now != "$leader" ]]; }
linked_again() { (($($VANCTL network status -o json | grep -c '"replicas": 2') == 1)); }
calm() { kill "${pids[@]}" 2>/dev/null || true; pids=(); }

say "a site of two pods, linked with another cluster"
use cluster-1
$VANCTL init --site-name east --replicas 2 --image "$IMAGE" --access "NodePort=$NODE_1" --wait 60s >/dev/null
$VANCTL init --wait 60s >/dev/null
(($(site_pods | wc -l) == 2)) || fail "there are $(site_pods | wc -l) pods"
soon 20 led
$VANCTL token create "$work/token.yaml" --uses 1 --expires 1h
use cluster-2
$VANCTL init --site-name west --image "$IMAGE" --wait 60s >/dev/null
$VANCTL link create "$work/token.yaml" --name to-east --wait 30s
web shop 2
frontend
$KUBECTL rollout status deployment/shop --timeout=60s >/dev/null
$VANCTL expose deployment/shop --port 8080
use cluster-1
web orders 2
frontend
$KUBECTL rollout status deployment/orders --timeout=60s >/dev/null
$VANCTL expose deployment/orders --port 8080
soon 20 answers shop- http://shop:8080/
use cluster-2
soon 20 answers orders- http://orders:8080/

say "one site for the user"
has '^east .* 2 +-' "$VANCTL" network status -o wide
has '^It is connected to 1 other sites.$' "$VANCTL" status
has '^orders +orders:8080 +tcp +east: 2' "$VANCTL" service status
use cluster-1
has '^It is connected to 1 other sites.$' "$VANCTL" status

say "either pod killed under load"
for round in leader follower; do
    use cluster-1
    leader=$(leader)
    follower=$(site_pods | grep -v "^$leader$" | head -n 1)
    victim=${!round}
    load "$work/$round-out" http://shop:8080/
    use cluster-2
    load "$work/$round-in" http://orders:8080/
    sleep 3
    use cluster-1
    crash "$victim"
    sleep 8
    calm
    judged "$round killed, flows out of the cluster" "$work/$round-out" 2
    judged "$round killed, flows into the cluster" "$work/$round-in" 2
    $KUBECTL rollout status deployment/vand-router --timeout=60s >/dev/null
    soon 30 linked_again
done

say "a leader whose pod is deleted gives the lead to the other"
leader=$(leader)
$KUBECTL delete "pod/$leader" >/dev/null
soon 5 led_by_another
$KUBECTL rollout status deployment/vand-router --timeout=60s >/dev/null

say "a rolling update loses nothing"
load "$work/update-out" http://shop:8080/
use cluster-2
load "$work/update-in" http://orders:8080/
sleep 2
use cluster-1
$KUBECTL rollout restart deployment/vand-router >/dev/null
$KUBECTL rollout status deployment/vand-router --timeout=120s >/dev/null
sleep 8
calm
judged "update, flows out of the cluster" "$work/update-out" 0
judged "update, flows into the cluster" "$work/update-in" 0

say "the new leader writes"
soon 30 "$VANCTL" token create "$work/again.yaml"
$VANCTL expose deployment/orders --port 8080 --address again
use cluster-2
soon 20 answers orders- http://again:8080/
$VANCTL link delete to-east
$VANCTL link create "$work/again.yaml" --name again --wait 30s
soon 20 answers orders- http://orders:8080/

leave
use cluster-1
leave
left=$($KUBECTL get leases -o name)
[[ -z $left ]] || fail "left behind: $left"
say "done"
