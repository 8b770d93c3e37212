#!/usr/bin/env bash
# Runs a command as the first process of a machine in the machine: capsule.sh COMMAND…
#
# Bridges, firewalls, mounts, hosts and cgroups that are made inside belong to namespaces of this one
# process and go with it, however it ends. There is no way out into the machine's network. Inside is a
# cgroup tree of version 2, whatever the machine outside has, and room for disks at /run/van-lab.
set -euo pipefail

outside() {
    if ((EUID != 0)); then
        echo "the laboratory makes namespaces and mounts, so it needs root: sudo make test-lab" >&2
        exit 1
    fi
    # The mounts below are seen by nobody else.
    CAPSULE=between exec unshare --mount --propagation private "$0" "$@"
}

between() {
    local name owner
    tree=$(mktemp -d)
    mount -t cgroup2 cgroup2 "$tree"
    for group in "$tree"/van-capsule-*; do
        # What a capsule left that was killed together with this script.
        name=${group##*/}
        owner=${name#van-capsule-}
        [[ -d $group && ! -d /proc/$owner ]] && take_away "$group"
    done
    group=$tree/van-capsule-$$
    mkdir "$group"
    trap 'take_away "$group"; umount "$tree"; rmdir "$tree"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        CAPSULE=inside CAPSULE_TREE=$tree exec setpriv --pdeathsig KILL unshare --cgroup --mount \
            --net --uts --ipc --pid --fork --kill-child --mount-proc "$0" "$@"
    ) &
    wait $!
}

take_away() {
    local tries
    echo 1 >"$1/cgroup.kill" 2>/dev/null || true
    for tries in {1..100}; do
        # Groups go from the leaves, as soon as their processes have gone.
        find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [[ -d $1 ]] || return 0
        sleep 0.05
    done
    echo "capsule: processes are left in $1 after $tries tries" >&2
}

inside() {
    umount --recursive /sys/fs/cgroup 2>/dev/null || true
    # Another sysfs, since it shows the network devices of the namespace in which it was mounted.
    mount -t sysfs -o ro sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    umount "$CAPSULE_TREE"
    # A group that has groups of its own may hold no process.
    mkdir /sys/fs/cgroup/tests
    echo $$ >/sys/fs/cgroup/tests/cgroup.procs
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/netns /run/van-lab
    mount -t tmpfs -o mode=755,size=6G tmpfs /run/van-lab
    hostname laboratory
    ip link set lo up
    sysctl --quiet --write net.ipv4.ip_forward=1
    unset CAPSULE CAPSULE_TREE
    # A shell stays, to bury what loses its parent.
    "$@" &
    wait $!
}

"${CAPSULE:-outside}" "$@"
