# The only node of a cluster: containerd, kubelet and kube-proxy in its network; sourced by cluster.sh.

mkdir -p "$place"/{cni,kubelet,containerd}
cat >"$place/cni/10-ptp.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "$namespace", "plugins": [
 {"type": "ptp", "ipMasq": false, "mtu": 1500,
  "ipam": {"type": "host-local", "dataDir": "$place/addresses",
           "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
cat >"$place/containerd.toml" <<TOML
version = 2
root = "$place/containerd/root"
state = "$place/containerd/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
]
[grpc]
  address = "$place/containerd.sock"
[ttrpc]
  address = "$place/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$runtime/usr/lib/cni"
    conf_dir = "$place/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "$runtime/usr/sbin/runc"
        SystemdCgroup = false
TOML
# Nothing is evicted and no image collected for want of room: the machine is shared with other work.
cat >"$place/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$group
cgroupsPerQOS: true
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://$place/containerd.sock
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $place/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $place/pki/kubelet-server.crt
tlsPrivateKeyFile: $place/pki/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [$dns_service]
resolvConf: ""
maxOpenFiles: 20000
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 100Mi}
localStorageCapacityIsolation: false
syncFrequency: 10s
volumeStatsAggPeriod: -1s
podLogsDir: $place/podlogs
staticPodPath: ""
nodeStatusUpdateFrequency: 5s
makeIPTablesUtilChains: false
volumePluginDir: $place/plugins
healthzPort: 10248
YAML
cat >"$place/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $place/proxy.kubeconfig}
mode: nftables
clusterCIDR: $pods
hostnameOverride: $node
bindAddress: 0.0.0.0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 100ms}
YAML

for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
    mkdir -p "/sys/fs/cgroup/$controller/$group"
done
# No process may be in a cpuset without processors and memory, and a new one has none.
for level in "${group%/*}" "$group"; do
    for what in cpus mems; do
        cat "/sys/fs/cgroup/cpuset/cpuset.$what" >"/sys/fs/cgroup/cpuset/$level/cpuset.$what"
    done
done

# ctr COMMAND…: to the node's container runtime.
ctr() { "$runtime/usr/bin/ctr" --address "$place/containerd.sock" --namespace k8s.io "$@"; }

start containerd env PATH="$runtime/usr/bin:$runtime/usr/sbin:$PATH" \
    "$runtime/usr/bin/containerd" --config "$place/containerd.toml"
soon 30 "the container runtime" ctr version
for image in "$lab"/images/*.tar; do
    ctr images import "$image" >>"$place/log/images" 2>&1
done
start kubelet "$box" kubelet --config="$place/kubelet.yaml" --kubeconfig="$place/kubelet.kubeconfig" \
    --hostname-override="$node" --node-ip="$node_address" --root-dir="$place/kubelet" \
    --cert-dir="$place/kubelet-pki" --v=2
start proxy "$box" kube-proxy --config="$place/proxy.yaml" --v=2
