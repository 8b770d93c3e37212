# Where cluster $number has its things, and how its programs are started; to be sourced.
lab=${KUBE_LAB:?the folder of the built box}
place=/run/van-kube/$number
box=$lab/bin/kubebox
runtime=$lab/root
# The name of the cgroups that the capsule takes away.
group=$KUBE_GROUP/$number

namespace=kube$number           # the network of the cluster's only node
node=node$number
# A bridge joins the nodes of all clusters and the capsule itself.
bridge=kube0
bridge_address=10.250.0.1
node_address=10.250.0.$((10 + number))
pods=10.24$number.0.0/24
services=10.9$number.0.0/24
api_service=10.9$number.0.1
dns_service=10.9$number.0.10

export KUBECONFIG=$place/admin.kubeconfig

within() { nsenter --net="/run/netns/$namespace" "$@"; }

# start NAME COMMAND…: a program of the cluster, in its node's network. Its id and command are kept.
start() {
    local name=$1
    shift
    printf '%s\0' "$@" >"$place/commands/$name"
    # `ip netns exec` would hide the cgroups. No program may keep a descriptor of the caller's, a lock for one.
    setsid bash -c 'for file in /proc/$$/fd/*; do
            file=${file##*/}
            ((file <= 2)) || eval "exec $file>&-"
        done
        exec "$@"' -- nsenter --net="/run/netns/$namespace" "$@" >>"$place/log/$name" 2>&1 </dev/null &
    echo $! >"$place/pids/$name"
}

# soon SECONDS WHAT COMMAND…: waits until it succeeds.
soon() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= limit)); then
            echo "cluster $number: $what did not come in time; the last of its logs:" >&2
            tail -n 5 "$place"/log/* >&2
            exit 1
        fi
        sleep 0.1
    done
}
