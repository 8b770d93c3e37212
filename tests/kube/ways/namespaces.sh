#!/usr/bin/env bash
# A workload of another namespace is offered where both sides agree, and the site may see it; no longer than that.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
role=$(dirname "${BASH_SOURCE[0]}")/../../../k8s/attached/role.yaml

three_targets() { [[ $($KUBECTL get attachedconnectorbinding/store -o jsonpath='{.status.targets}') == 3 ]]; }

use cluster-1
$VANCTL init --site-name here --image "$IMAGE" --wait 60s >/dev/null
frontend
$KUBECTL create namespace data >/dev/null
$KUBECTL config set-context --current --namespace=data >/dev/null
web store 2
$KUBECTL config set-context --current --namespace=default >/dev/null

say "the site asks, and may not see"
$KUBECTL apply -f - >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: AttachedConnectorBinding
metadata: {name: store}
spec: {connectorNamespace: data, address: shop}
---
apiVersion: vand.dev/v1alpha1
kind: Listener
metadata: {name: shop}
spec: {port: 80, address: shop}
YAML
soon 10 says attachedconnectorbinding/store 'False NotVisible .*k8s/attached'

say "it may see, and is not meant"
sed 's/SITE-NAMESPACE/default/' "$role" | $KUBECTL apply -n data -f - >/dev/null
soon 60 says attachedconnectorbinding/store 'False NotConsented .*has no AttachedConnector store'
$KUBECTL apply -n data -f - >/dev/null <<YAML
apiVersion: vand.dev/v1alpha1
kind: AttachedConnector
metadata: {name: store}
spec: {siteNamespace: elsewhere, workload: deployment/store, port: 8080}
YAML
soon 10 says attachedconnectorbinding/store 'False NotConsented .*for the site of namespace elsewhere'

say "both agree"
$KUBECTL patch -n data attachedconnector/store --type merge -p '{"spec":{"siteNamespace":"default"}}' >/dev/null
soon 30 says attachedconnectorbinding/store 'True'
soon 10 answers store- http://shop/
$KUBECTL scale -n data deployment/store --replicas=3 >/dev/null
soon 30 three_targets
has 'store +data +shop +3 +True' $KUBECTL get attachedconnectorbindings

say "consent that is withdrawn ends it"
$KUBECTL delete -n data attachedconnector/store >/dev/null
soon 10 not answers store- http://shop/
soon 10 says attachedconnectorbinding/store 'False NotConsented'

$KUBECTL delete attachedconnectorbinding/store listener/shop >/dev/null
$KUBECTL delete namespace data --wait=true >/dev/null
leave
say "done"
