#!/usr/bin/env bash
# Checks the Helm chart with Helm itself, which is built first (5 minutes of a processor): what it makes by itself is
# what k8s/base is. Needs Go; kubectl, or the box of tests/kube.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=v3.20.2
target=${CARGO_TARGET_DIR:-$PWD/target}
helm=$target/tools/helm/helm
if [[ $("$helm" version --template '{{.Version}}' 2>/dev/null) != "$version" ]]; then
    GOBIN=$target/tools/helm GOFLAGS=-ldflags=-X=helm.sh/helm/v3/internal/version.version=$version \
        go install "helm.sh/helm/v3/cmd/helm@$version"
fi
box=${VAN_KUBE_LAB:-$target/kube}/bin/kubebox
kubectl=$(command -v kubectl || true)
[[ -n $kubectl ]] || { [[ -x $box ]] && kubectl="$box kubectl"; } ||
    { echo "kubectl is missing: scripts/test-kube.sh --prepare builds one" >&2 && exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chart=k8s/helm/vand
app=$(awk '$1 == "appVersion:" { print $2 }' "$chart/Chart.yaml")
"$helm" lint --quiet --kube-version 1.35 "$chart" 2>/dev/null

# rendered OPTIONS…: the chart's objects. That files are followed through links is told on standard error.
rendered() {
    "$helm" template site "$chart" --namespace shop --kube-version 1.35 "$@" 2>"$work/log" ||
        { grep -v '^walk.go' "$work/log" >&2 && exit 1; }
}

mkdir "$work/chart" "$work/base" "$work/all"
rendered --set site.create=false >"$work/chart/objects.yaml"
cp k8s/base/*.yaml "$work/base/"
cat >"$work/chart/kustomization.yaml" <<YAML
resources: [objects.yaml]
YAML
cat >>"$work/base/kustomization.yaml" <<YAML
images:
  - {name: vand, newTag: $app}
YAML
for of in chart base; do
    $kubectl kustomize "$work/$of" >"$work/$of.yaml"
done
diff "$work/base.yaml" "$work/chart.yaml" || { echo "the chart's objects are not those of k8s/base" >&2 && exit 1; }

rendered --set replicas=2,image.digest=sha256:0,networkPolicy.enabled=true \
    --set-json 'site.spec={"access":[{"type":"LoadBalancer"}]}' --set podLabels.team=edge \
    --set 'nodeSelector.disk=ssd,image.pullSecrets={one}' >"$work/all/objects.yaml"
for words in 'image: vand@sha256:0' 'replicas: 2' 'type: LoadBalancer' 'team: edge' 'disk: ssd' 'name: one' \
    'name: vand-guarded' 'name: shop'; do
    grep -q -- "$words" "$work/all/objects.yaml" || { echo "the chart says nowhere '$words'" >&2 && exit 1; }
done
echo "the chart makes what k8s/base is, and takes its values"
