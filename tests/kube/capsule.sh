#!/usr/bin/env bash
# Runs a command as the first process of a machine in the machine, in which clusters can run:
# capsule.sh COMMAND…
#
# Networks, mounts, processes and /run/van-kube, where clusters have their files, belong to namespaces of this
# one process and go with it, however it ends. Two capsules don't know of each other. Unlike in that of
# tests/lab, cgroups are those of the machine, since kubelet wants the controllers of version 1: what is left
# of them, and the sysctls that kubelet sets, are put back at the end, or by the next capsule.
set -euo pipefail

sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
    kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
saved=/run/van-kube.sysctl

outside() {
    if ((EUID != 0)); then
        echo "clusters need namespaces and mounts, so they need root: sudo make test-kube" >&2
        exit 1
    fi
    sweep
    group=van-kube-$$
    # The group tells other capsules that this one lives, before any cluster has made it.
    mkdir "/sys/fs/cgroup/systemd/$group"
    # Another capsule that runs has changed them already.
    [[ -s $saved ]] || sysctl --ignore "${sysctls[@]}" >"$saved"
    trap 'take_away "$group"; put_back' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    KUBE_GROUP=$group CAPSULE=inside setpriv --pdeathsig KILL unshare --mount --propagation private --net \
        --uts --ipc --pid --fork --kill-child --mount-proc "$0" "$@" &
    wait $!
}

groups_of() { find /sys/fs/cgroup/*/ -maxdepth 1 -type d -name "$1" -printf '%f\n' | sort -u; }

# Takes away what capsules left that were killed together with this script.
sweep() {
    local name
    for name in $(groups_of 'van-kube-*'); do
        [[ -d /proc/${name#van-kube-} ]] || take_away "$name"
    done
}

take_away() {
    local tries
    for tries in {1..100}; do
        # Groups go from the leaves, as soon as their processes have gone.
        find /sys/fs/cgroup/*/"$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [[ -n $(groups_of "$1") ]] || return 0
        sleep 0.05
    done
    echo "capsule: processes are left in the cgroups $1 after $tries tries" >&2
}

put_back() {
    [[ -z $(groups_of 'van-kube-*') ]] || return 0
    sysctl --quiet --load="$saved" >/dev/null
    rm "$saved"
}

inside() {
    # Mounts of volumes have to be seen by the container runtime, which makes a namespace of its own.
    mount --make-rshared /
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/netns /run/van-kube
    mount -t tmpfs -o mode=755,size=6G tmpfs /run/van-kube
    hostname clusters
    ip link set lo up
    sysctl --quiet --write net.ipv4.ip_forward=1
    unset CAPSULE
    # A shell stays, to bury what loses its parent.
    "$@" &
    wait $!
}

"${CAPSULE:-outside}" "$@"
