#!/usr/bin/env bash
# Brings two clusters up and runs the tests of tests/kube against them, inside the capsule:
#   run.sh TESTS                  the test binary, then every way
#   run.sh --ways NAME…           only these of tests/kube/ways
#   run.sh --shell [COMMAND…]     a shell beside the clusters, with kubectl, vanctl and vand
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

here=tests/kube
ups=()
for number in 1 2; do
    "$here/cluster.sh" up "$number" &
    ups+=($!)
done
for up in "${ups[@]}"; do
    wait "$up"
done

# One kubeconfig with a context for each.
export KUBECTL="$KUBE_LAB/bin/kubebox kubectl"
export KUBECONFIG=/run/van-kube/1/admin.kubeconfig:/run/van-kube/2/admin.kubeconfig
$KUBECTL config view --flatten >/run/van-kube/kubeconfig
export KUBECONFIG=/run/van-kube/kubeconfig
export VAND=$CARGO_TARGET_DIR/debug/vand VANCTL=$CARGO_TARGET_DIR/debug/vanctl
export IMAGE=localhost/vand:test NODE_1=10.250.0.11
echo "two clusters after $SECONDS s"

if [[ $1 == --shell ]]; then
    shift
    PATH=$KUBE_LAB/run:$CARGO_TARGET_DIR/debug:$PATH
    mkdir -p "$KUBE_LAB/run"
    printf '#!/bin/sh\nexec %s "$@"\n' "$KUBECTL" >"$KUBE_LAB/run/kubectl"
    chmod +x "$KUBE_LAB/run/kubectl"
    exec "${@:-bash}"
fi

status=0
ways=("$here"/ways/*.sh)
if [[ $1 == --ways ]]; then
    shift
    ways=("${@/#/$here/ways/}")
else
    # One at a time: a test may stop the API server under another.
    "$1" --test-threads=1 || status=$?
fi

passed=0
failed=0
for way in "${ways[@]/%.sh/}"; do
    way=$way.sh
    name=$(basename "$way" .sh)
    began=$SECONDS
    echo "=== $way"
    if "$way"; then
        passed=$((passed + 1))
        echo "test ways::$name ... ok ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "test ways::$name ... FAILED"
        # The next one begins with nothing.
        for context in cluster-1 cluster-2; do
            "$VANCTL" --context "$context" delete --yes >/dev/null || true
            $KUBECTL --context "$context" delete --ignore-not-found pod/frontend service/echo \
                deployment/backend deployment/api statefulset/database service/database >/dev/null || true
        done
    fi
done
echo "test result: ways. $passed passed; $failed failed"
((status == 0 && failed == 0))
