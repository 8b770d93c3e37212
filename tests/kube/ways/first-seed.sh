#!/usr/bin/env bash
# A program on a laptop, reached from a pod: an annotated Service without pods stands for it in the cluster.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

say "a site, and a Service for what is elsewhere"
use cluster-1
$VANCTL init --id public --image "$IMAGE" --access "NodePort=$NODE_1" --wait 60s >/dev/null
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata:
  name: echo
  annotations: {vand.dev/expose: tcp}
spec:
  selector: {dummy: selector}
  ports: [{protocol: TCP, port: 2000, targetPort: 2000}]
YAML

say "the laptop: an echo, and one command"
busybox nc -ll -p 2000 -e /bin/cat &
pids+=($!)
$VANCTL token create "$work/public.token"
VANCTL_PLATFORM='' $VAND export echo=127.0.0.1:2000 --token "$work/public.token" >"$work/export.log" 2>&1 &
pids+=($!)

say "a word from a pod comes back"
frontend
# The other side's end tells that all came back.
echoed() { [[ $($KUBECTL exec pod/frontend -- sh -c 'echo hello | timeout 3 nc echo 2000') == hello ]]; }
soon 20 echoed
has '^echo +echo' "$VANCTL" service status

say "without the laptop the Service refuses, and comes back with it"
kill "${pids[1]}"
soon 20 not echoed
$VANCTL token create "$work/again.token"
VANCTL_PLATFORM='' $VAND export echo=127.0.0.1:2000 --token "$work/again.token" >>"$work/export.log" 2>&1 &
pids+=($!)
soon 20 echoed

leave
say "done"
