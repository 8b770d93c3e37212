#!/usr/bin/env bash
# Clusters of one node, for tests, made of the programs that build-box.sh builds; inside the capsule.
#   cluster.sh up NUMBER          brings one up (1 to 9)
#   cluster.sh control-plane NUMBER   the same without a node: objects and controllers, but no pods
#   cluster.sh stop-api NUMBER    ends its API server; start-api starts it again
# They end with the capsule. The nodes of all clusters reach each other, at 10.250.0.1NUMBER.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/cluster

verb=${1-}
number=${2-}
if [[ ! $number =~ ^[1-9]$ || ! -d /run/van-kube ]]; then
    echo "usage: cluster.sh up|control-plane|stop-api|start-api NUMBER, within tests/kube/capsule.sh" >&2
    exit 2
fi
. "$here/settings.sh"

network() {
    if ! ip link show "$bridge" >/dev/null 2>&1; then
        ip link add "$bridge" type bridge
        ip addr add "$bridge_address/24" dev "$bridge"
        ip link set "$bridge" up
    fi
    ip netns add "$namespace"
    ip link add "$namespace" type veth peer name eth0 netns "$namespace"
    ip link set "$namespace" master "$bridge" up
    within ip link set lo up
    within ip addr add "$node_address/24" dev eth0
    within ip link set eth0 up
    within ip route add default via "$bridge_address"
    within sysctl --quiet --write net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
    # Pods are known by their node's address to everything outside the cluster, other clusters included.
    within nft -f - <<NFT
table ip outside {
    chain post {
        type nat hook postrouting priority 110
        ip saddr $pods ip daddr != { $pods, $services } oifname "eth0" masquerade
    }
}
NFT
    # Tests look at pods and Services from the capsule, as from the node.
    ip route add "$pods" via "$node_address"
    ip route add "$services" via "$node_address"
}

control_plane() {
    local pki=$place/pki
    start etcd "$box" etcd --data-dir "$place/etcd" --client-url http://127.0.0.1:12379 \
        --peer-url http://127.0.0.1:12380
    start apiserver "$box" kube-apiserver --etcd-servers=http://127.0.0.1:12379 \
        --advertise-address="$node_address" --bind-address=0.0.0.0 --secure-port=6443 \
        --service-cluster-ip-range="$services" --service-node-port-range=30000-32767 \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --client-ca-file="$pki/ca.crt" \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
        --kubelet-client-certificate="$pki/apiserver-kubelet.crt" \
        --kubelet-client-key="$pki/apiserver-kubelet.key" --kubelet-certificate-authority="$pki/ca.crt" \
        --kubelet-preferred-address-types=InternalIP --allow-privileged=true \
        --endpoint-reconciler-type=lease --cert-dir="$place/apiserver" \
        --audit-policy-file="$here/audit.yaml" --audit-log-path="$place/audit.log" \
        --enable-priority-and-fairness=false --profiling=false --event-ttl=15m
    soon 60 "the API server" api_ready
    start controllers "$box" kube-controller-manager --kubeconfig="$place/kcm.kubeconfig" \
        --use-service-account-credentials=true --service-account-private-key-file="$pki/sa.key" \
        --root-ca-file="$pki/ca.crt" --cluster-cidr="$pods" --service-cluster-ip-range="$services" \
        --allocate-node-cidrs=true --leader-elect=false --bind-address=127.0.0.1 \
        --cert-dir="$place/controllers" --profiling=false --node-monitor-grace-period=40s \
        --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
    start scheduler "$box" kube-scheduler --kubeconfig="$place/sched.kubeconfig" --leader-elect=false \
        --bind-address=127.0.0.1 --cert-dir="$place/scheduler" --profiling=false
}

api_ready() {
    [[ $(curl -sk --max-time 2 "https://$node_address:6443/readyz") == ok ]]
}

node_ready() {
    local path='{.status.conditions[?(@.type=="Ready")].status}'
    [[ $("$box" kubectl get node "$node" -o jsonpath="$path") == True ]]
}

names() {
    start dns "$box" dns --kubeconfig="$KUBECONFIG" --listen="$node_address:53"
    "$box" kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns_service, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}]
endpoints: [{addresses: [$node_address], conditions: {ready: true}}]
YAML
}

up() {
    if [[ -e $place ]]; then
        echo "cluster $number runs already" >&2
        exit 1
    fi
    mkdir -p "$place"/{log,pids,commands}
    # Two that come up at once make one bridge.
    exec 9>/run/van-kube/lock
    flock 9
    network
    flock --unlock 9
    "$here/pki.sh" "$number"
    control_plane
    [[ $verb != up ]] || . "$here/node.sh"
    soon 60 "the default service account" "$box" kubectl get serviceaccount default
    [[ $verb == up ]] || return 0
    names
    soon 60 "the node" node_ready
    # The controller that takes the taint away does so a second later.
    "$box" kubectl taint node "$node" node.kubernetes.io/not-ready- >/dev/null 2>&1 || true
}

stop_api() {
    local process
    process=$(<"$place/pids/apiserver")
    kill "$process"
    # It waits for watches to end, which an outage does not.
    sleep 1
    kill -KILL "$process" 2>/dev/null || true
    soon 10 "the end of the API server" test ! -d "/proc/$process"
}

start_api() {
    local command
    mapfile -d '' command <"$place/commands/apiserver"
    start apiserver "${command[@]}"
    soon 60 "the API server" api_ready
}

case $verb in
up | control-plane) up ;;
stop-api) stop_api ;;
start-api) start_api ;;
*) echo "cluster.sh: there is no '$verb'" >&2 && exit 2 ;;
esac
