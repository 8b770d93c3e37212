#!/usr/bin/env bash
# Makes the keys, certificates and kubeconfigs of a cluster: pki.sh NUMBER.
set -euo pipefail
number=$1
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/settings.sh"
mkdir -p "$place/pki"
cd "$place/pki"
curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

openssl req -x509 "${curve[@]}" -keyout ca.key -out ca.crt -days 30 -subj "/CN=cluster-$number" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null

# certificate NAME SUBJECT EXTENSION…
certificate() {
    local name=$1 subject=$2
    shift 2
    openssl req "${curve[@]}" -keyout "$name.key" -out "$name.csr" -subj "$subject" 2>/dev/null
    openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$name.crt" \
        -extfile <(printf '%s\n' "$@") 2>/dev/null
}
server() { certificate "$1" "/CN=$1" extendedKeyUsage=serverAuth "subjectAltName=$2"; }
client() { certificate "$1" "$2" extendedKeyUsage=clientAuth keyUsage=digitalSignature; }

within_cluster=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
server apiserver "$within_cluster,DNS:localhost,IP:127.0.0.1,IP:$node_address,IP:$api_service"
server kubelet-server "DNS:$node,IP:$node_address"
client apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
client admin /O=system:masters/CN=admin
client kcm /CN=system:kube-controller-manager
client sched /CN=system:kube-scheduler
client proxy /CN=system:kube-proxy
client kubelet "/O=system:nodes/CN=system:node:$node"

for user in admin kcm sched proxy kubelet; do
    cat >"$place/$user.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: cluster-$number
  cluster: {server: "https://$node_address:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $user-$number
  user: {client-certificate-data: $(base64 -w0 $user.crt), client-key-data: $(base64 -w0 $user.key)}
contexts:
- name: cluster-$number
  context: {cluster: cluster-$number, user: $user-$number}
current-context: cluster-$number
YAML
done
