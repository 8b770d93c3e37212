#!/usr/bin/env bash
# What goes wrong in a cluster: objects that can't be used, an API server that is away, rollouts, a site's pod
# killed. Each object says what is wrong with it, and traffic goes on.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

use cluster-1
$VANCTL init --site-name faults --image "$IMAGE" --wait 60s >/dev/null
web backend 2
frontend
$KUBECTL rollout status deployment/backend --timeout=60s >/dev/null
$VANCTL expose deployment/backend --port 8080 --address shop
soon 10 answers backend- http://shop:8080/

say "what exists is not made again, and a host's ports are told apart"
$VANCTL listener create twice 0.0.0.0:81 --address shop --wait 0
! $VANCTL listener create twice 0.0.0.0:82 --address shop --wait 0 2>"$work/twice" || fail "it was replaced"
grep -q 'exists already' "$work/twice" || fail "$(<"$work/twice")"
$VANCTL expose db.invalid:5432 --address db --wait 0
$VANCTL expose db.invalid:5433 --address db-admin --wait 0
$VANCTL unexpose db.invalid:5432
[[ $($KUBECTL get connectors -o name) == *connector*/db-admin* ]] || fail "another port went with it"

say "what others applied is theirs to take away"
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: Connector
metadata: {name: theirs}
spec: {host: db.invalid, port: 7000}
YAML
! $VANCTL unexpose db.invalid:7000 2>"$work/theirs" || fail "it was deleted"
grep -q 'was applied by kubectl' "$work/theirs" || fail "$(<"$work/theirs")"
$KUBECTL delete connector/theirs >/dev/null

say "objects that can't be used say so, and nothing else is disturbed"
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: Site
metadata: {name: zz-second}
---
apiVersion: vand.dev/v1alpha1
kind: Connector
metadata: {name: nobody}
spec: {selector: {app: nobody}, port: 80}
---
apiVersion: vand.dev/v1alpha1
kind: Connector
metadata: {name: elsewhere}
spec: {workload: deployment/not-here, port: 80}
---
apiVersion: v1
kind: Service
metadata: {name: mine}
spec: {selector: {app: mine}, ports: [{port: 80}]}
---
apiVersion: vand.dev/v1alpha1
kind: Listener
metadata: {name: mine}
spec: {port: 80}
---
apiVersion: vand.dev/v1alpha1
kind: Listener
metadata: {name: first}
spec: {port: 80, host: both, address: shop}
---
apiVersion: vand.dev/v1alpha1
kind: Listener
metadata: {name: second}
spec: {port: 80, host: both, address: shop}
---
apiVersion: vand.dev/v1alpha1
kind: Link
metadata: {name: no-secret}
spec: {tokenSecret: {name: not-here}}
---
apiVersion: v1
kind: Secret
metadata: {name: no-key}
stringData: {other: x}
---
apiVersion: vand.dev/v1alpha1
kind: Link
metadata: {name: no-key}
spec: {tokenSecret: {name: no-key}}
---
apiVersion: vand.dev/v1alpha1
kind: AccessToken
metadata: {name: nonsense}
spec: {token: van1.nonsense}
YAML
soon 10 says site/zz-second 'False Conflict'
soon 10 says connector/nobody 'False NoTargets .*there is none'
soon 10 says connector/elsewhere 'False NoWorkload .*no deployment/not-here'
soon 10 says listener/mine 'False ServiceExists .*spec.host'
soon 10 says listener/second 'False Conflict'
soon 10 says link/no-secret 'False NoToken .*no Secret not-here'
soon 10 says link/no-key 'False NoToken .*no key "token"'
soon 10 says accesstoken/nonsense 'False BadToken'
if $KUBECTL apply -f - 2>"$work/refused" >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: Connector
metadata: {name: port}
spec: {host: db, port: 99999}
YAML
then fail "port 99999 was taken"; fi
grep -q 'spec.port' "$work/refused" || fail "port 99999: $(<"$work/refused")"
answers backend- http://shop:8080/ || fail "a good service was disturbed"
[[ $($KUBECTL get service mine -o jsonpath='{.spec.selector.app}') == mine ]] || fail "a Service of another was changed"

say "what is mended is used"
$KUBECTL delete service/mine >/dev/null
soon 10 says listener/mine '^True'
$KUBECTL create deployment not-here --image=localhost/workload:1 -- sleep 3600 >/dev/null
soon 10 says connector/elsewhere 'False NoTargets'

# ask_on FILE: a client that asks again and again; each answer is a line, "-" where there was none.
ask_on() {
    $KUBECTL exec pod/frontend -- sh -c \
        'while true; do timeout 3 wget -q -O - http://shop:8080/ 2>/dev/null || echo -; sleep 0.1; done' >"$1" &
    asker=$!
    pids+=("$asker")
}

say "scaled, and rolled out: no request fails"
ask_on "$work/rollout"
$KUBECTL scale deployment/backend --replicas=4 >/dev/null
targets() { [[ $($KUBECTL get connector/shop -o jsonpath='{.status.targets}') == "$1" ]]; }
soon 20 targets 4
$KUBECTL patch deployment/backend --patch \
    '{"spec":{"template":{"metadata":{"annotations":{"again":"1"}}}}}' >/dev/null
$KUBECTL rollout status deployment/backend --timeout=90s >/dev/null
sleep 2
kill "$asker"
lost=$(grep -c '^-' "$work/rollout" || true)
all=$(wc -l <"$work/rollout")
echo "$all requests, $lost without an answer"
((all > 20)) || fail "only $all requests"
# A pod that ends at once has requests of its own; kubelet gives it a second.
((lost * 100 <= all)) || fail "$lost of $all requests had no answer"

say "the API server away: traffic goes on"
apiserver=$(</run/van-kube/1/pids/apiserver)
ip=$($KUBECTL get service shop -o jsonpath='{.spec.clusterIP}')
kill -STOP "$apiserver"
for _ in $(seq 20); do
    curl -s -m 2 "http://$ip:8080/" >>"$work/away" || echo - >>"$work/away"
    sleep 0.5
done
kill -CONT "$apiserver"
! grep -q '^-' "$work/away" || fail "requests were lost while the API server was away: $(<"$work/away")"
web again 1
$VANCTL expose deployment/again --port 8080 --wait 30s
soon 20 answers again- http://again:8080/

say "the site's pod killed: the same site again"
id=$($VANCTL status -o json | grep -o '"id": *"[a-z0-9]*"' | head -n 1)
$KUBECTL delete pod -l application=vand-router --grace-period=0 --force >/dev/null 2>&1
soon 30 answers backend- http://shop:8080/
soon 30 "$VANCTL" status
[[ $($VANCTL status -o json | grep -o '"id": *"[a-z0-9]*"' | head -n 1) == "$id" ]] || fail "it is another site"

say "a labelled Secret is a link by itself"
$KUBECTL create secret generic by-secret --from-literal=token=van1.nonsense >/dev/null
$KUBECTL label secret/by-secret vand.dev/link=true >/dev/null
soon 10 tells 'by-secret.*(Invalid|BadToken)|BadToken.*by-secret' "$VANCTL" events
$KUBECTL delete secret/by-secret >/dev/null

say "taken away, nothing is left behind"
leave
left=$($KUBECTL get all,secrets,endpointslices -o name -l app.kubernetes.io/managed-by=vand)
[[ -z $left ]] || fail "left behind: $left"
say "done"
