#!/usr/bin/env bash
# What the tree offers to kustomize is taken by a real API server.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

use cluster-1
tree=$(dirname "${BASH_SOURCE[0]}")/../../../k8s
say "definitions, base and overlays"
$KUBECTL apply --server-side -f "$tree/crds" >/dev/null
for folder in "$tree/base" "$tree"/overlays/*; do
    $KUBECTL kustomize "$folder" >"$work/objects.yaml"
    $KUBECTL apply --server-side --dry-run=server -f "$work/objects.yaml" >/dev/null
done

say "pods are taken where Pod Security is restricted"
$KUBECTL create namespace restricted >/dev/null
$KUBECTL label namespace restricted pod-security.kubernetes.io/enforce=restricted >/dev/null
$VANCTL -n restricted init --image "$IMAGE" --wait 60s >/dev/null
has '^vand is enabled for namespace "restricted" in interior mode.$' "$VANCTL" -n restricted status

say "kubectl explains every field"
for kind in site link listener connector accessgrant accesstoken attachedconnector attachedconnectorbinding; do
    has 'DESCRIPTION' $KUBECTL explain "$kind.spec"
done

say "a namespace deleted takes its site with it"
$KUBECTL delete namespace restricted --timeout=120s >/dev/null
say "done"
