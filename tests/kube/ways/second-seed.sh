#!/usr/bin/env bash
# The way of a newcomer from two empty clusters to services over both.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

say "two sites"
use cluster-1
$VANCTL init --site-name public-cloud --enable-console --enable-flow-collector --console-auth internal \
    --console-user admin --console-password changeme --image "$IMAGE" --access "NodePort=$NODE_1" --wait 60s
has '^vand is enabled for namespace "default" in interior mode.$' "$VANCTL" status
has '^It is connected to 0 other sites.$' "$VANCTL" status
use cluster-2
$VANCTL init --site-name private-datacenter --enable-console --enable-flow-collector --image "$IMAGE" --wait 60s

say "run again, what is not said stays"
use cluster-1
$VANCTL init --console-password other --wait 60s >/dev/null
[[ $($KUBECTL get site public-cloud -o jsonpath='{.spec.access[0].host}') == "$NODE_1" ]] || fail "access is gone"
[[ $($KUBECTL get deployment vand-router -o jsonpath='{.spec.template.spec.containers[0].image}') == "$IMAGE" ]] ||
    fail "the image is another"

say "a token and a link"
use cluster-1
$VANCTL token create "$work/cluster1-token.yaml" --uses 2 --expires 1h
use cluster-2
$VANCTL link create "$work/cluster1-token.yaml" --name link-to-public
has 'Link link-to-public is connected' "$VANCTL" link status
has '^link-to-public +connected' "$VANCTL" link status
use cluster-1
has 'link-to-public +connected +private-datacenter +incoming' "$VANCTL" link status
has '^It is connected to 1 other sites.$' "$VANCTL" status

say "a service exposed"
use cluster-2
web backend 3
$KUBECTL rollout status deployment/backend --timeout=60s >/dev/null
$VANCTL expose deployment/backend --port 8080 --protocol http
has '^backend +backend:8080 +http +private-datacenter: 3' "$VANCTL" service status
use cluster-1
frontend
soon 10 answers backend- http://backend:8080/health
for _ in 1 2 3 4 5 6; do from_pod http://backend:8080/ >>"$work/pods"; done
(($(sort -u "$work/pods" | wc -l) == 3)) || fail "not every pod was asked: $(<"$work/pods")"

say "a name of its own"
use cluster-2
$VANCTL expose deployment/backend --port 8080 --protocol http --address api-service
use cluster-1
soon 10 answers backend- http://api-service:8080

say "each pod by its name"
use cluster-2
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: database}
spec:
  clusterIP: None
  selector: {app: postgres}
  ports: [{port: 5432, targetPort: 5432}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: database}
spec:
  serviceName: database
  replicas: 2
  selector: {matchLabels: {app: postgres}}
  template:
    metadata: {labels: {app: postgres}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: localhost/workload:1
        imagePullPolicy: Never
        command: [sh, -c, 'exec nc -ll -p 5432 -e hostname']
        readinessProbe: {tcpSocket: {port: 5432}, periodSeconds: 1}
YAML
$KUBECTL rollout status statefulset/database --timeout=60s >/dev/null
$VANCTL expose service/database --headless
use cluster-1
# pod_says HOST NAME: whether it is that very pod.
pod_says() { [[ $($KUBECTL exec pod/frontend -- timeout 3 nc "$1" 5432 </dev/null) == "$2" ]]; }
for _ in 1 2 3; do
    soon 15 pod_says database-0.database database-0
    soon 15 pod_says database-1.database database-1
done
use cluster-2
$KUBECTL scale statefulset/database --replicas=3 >/dev/null
use cluster-1
soon 20 pod_says database-2.database database-2

say "one service in both clusters"
for context in cluster-1 cluster-2; do
    use "$context"
    web api 3
    $KUBECTL rollout status deployment/api --timeout=60s >/dev/null
    $VANCTL expose deployment/api --port 8080
done
use cluster-1
has 'private-datacenter: 3' "$VANCTL" service status api
has 'public-cloud: 3' "$VANCTL" service status api
soon 10 answers api- http://api:8080
# All at once: requests that come one by one stay where they cost least.
$KUBECTL exec pod/frontend -- sh -c \
    'for n in $(busybox seq 60); do timeout 5 wget -q -O - http://api:8080/ & done; wait' >"$work/api"
(($(sort -u "$work/api" | wc -l) == 6)) || fail "not every pod of both clusters was asked: $(sort "$work/api" | uniq -c)"

say "what it carried"
has 'backend' "$VANCTL" service status --verbose
has 'connected' "$VANCTL" link status --verbose

say "the link deleted and made again with the same token"
use cluster-2
$VANCTL link delete link-to-public
use cluster-1
soon 20 not from_pod http://backend:8080/
use cluster-2
$VANCTL link create "$work/cluster1-token.yaml" --name link-to-public
use cluster-1
soon 20 answers backend- http://backend:8080/

say "taken away"
use cluster-2
$VANCTL unexpose deployment/backend
use cluster-1
$VANCTL delete --yes >/dev/null
no_services() { [[ -z $($KUBECTL get service -o name -l vand.dev/role) ]]; }
soon 30 no_services
leave
use cluster-2
leave --definitions
say "done"
