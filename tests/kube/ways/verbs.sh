#!/usr/bin/env bash
# What the ways before this one, and the tests, asked of the API servers with vand's rights; and what an idle site asks.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
tree=$(dirname "${BASH_SOURCE[0]}")/../../..
logs=(/run/van-kube/[12]/audit.log)

say "access by Ingress is asked for and taken back"
use cluster-1
$VANCTL init --site-name idle --image "$IMAGE" --access "Ingress=vand.example" --wait 60s >/dev/null
ingress() { [[ -n $($KUBECTL get ingress -o name) ]]; }
soon 10 ingress
$VANCTL init --access "NodePort=$NODE_1" --wait 60s >/dev/null
soon 10 not ingress
web backend 2
$VANCTL expose deployment/backend --port 8080
$VANCTL listener create back 0.0.0.0:8080 --address backend --wait 20s
sleep 15

say "an idle site watches, and asks for nothing"
since=$(date +%s)
sleep 60
python3 "$tree/tests/kube/verbs.py" --since "$since" /run/van-kube/1/audit.log || fail "requests of an idle site"

say "rights that are used, and no others"
python3 "$tree/tests/kube/verbs.py" "$tree/k8s/base/role.yaml" "${logs[@]}" || fail "rights"
leave
say "done"
