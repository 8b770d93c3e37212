#!/usr/bin/env bash
# Three sites: two clusters and a host, which has the database and other servers; the hub is the one between. Real
# programs over two links: PostgreSQL, an HTTP/2 server, a name server asked by datagrams.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

missing=()
for tool in nghttpd:nghttp2-server dnsmasq:dnsmasq-base dig:bind9-dnsutils setpriv:util-linux curl:curl; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
servers=(/usr/lib/postgresql/*/bin)
[[ -x ${servers[-1]}/postgres ]] || missing+=(postgresql)
((${#missing[@]} == 0)) || fail "missing: ${missing[*]}"

# A host site, of a user's own folder.
host=$work/host
mkdir -p "$host"
on_host() { env -u VANCTL_PLATFORM "$VANCTL" --url "unix://$host/run/vand.sock" "$@"; }
# serve NAME COMMAND…: a server of the host.
serve() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    pids+=($!)
}
# address SERVICE: where a Service is in the cluster in use; nodes and pods reach it there.
address() { $KUBECTL get service "$1" -o jsonpath='{.spec.clusterIP}'; }
exists() { $KUBECTL get service "$1" >/dev/null; }

say "two clusters and a host, linked by the hub between"
use cluster-1
$VANCTL init --site-name hub --image "$IMAGE" --access "NodePort=$NODE_1" --wait 60s >/dev/null
$VANCTL token create "$work/token" --uses 2 --expires 1h >/dev/null
use cluster-2
$VANCTL init --site-name office --image "$IMAGE" --wait 60s >/dev/null
$VANCTL link create "$work/token" --name to-hub --wait 30s >/dev/null
cat >"$host/vand.toml" <<TOML
[site]
name = "cellar"
mode = "edge"
[services]
import = []
TOML
serve vand "$VAND" run --config "$host/vand.toml" --state-dir "$host/state" --runtime-dir "$host/run"
soon 10 on_host status
on_host link create "$work/token" --name to-hub --wait 30s >/dev/null
soon 20 tells '^It is connected to 2 other sites.$' on_host status
for context in cluster-1 cluster-2; do
    use "$context"
    soon 20 tells '^It is connected to 2 other sites.$' "$VANCTL" status
done

say "the host's servers"
chmod 755 "$work"
install -d -o postgres "$work/data"
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups env -C "$work/data" "$@"; }
as_postgres "${servers[-1]}/initdb" --auth=trust --no-sync --no-locale -E UTF8 -D "$work/data/base" >/dev/null
serve postgres as_postgres "${servers[-1]}/postgres" -D "$work/data/base" -c port=15432 -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off
echo 'two protocols, one network' >"$work/index.html"
serve nghttpd nghttpd --no-tls -d "$work" 15080
serve dnsmasq dnsmasq --keep-in-foreground --port=15053 --no-resolv --no-hosts --conf-file=/dev/null --pid-file= \
    --listen-address=127.0.0.1 --bind-interfaces --address=/vand.test/192.0.2.9
on_host expose 127.0.0.1:15432 --address database --port 5432 >/dev/null
on_host expose 127.0.0.1:15080 --address pages --port 80 --protocol http2 >/dev/null
on_host expose 127.0.0.1:15053 --address names --port 53 --protocol udp >/dev/null

say "patients are kept in the cellar and asked for in the office"
use cluster-2
soon 20 exists database
sql() { as_postgres psql -h "$(address database)" -U postgres -tA -c "$1"; }
soon 20 sql 'select 1'
sql 'create table patients (name text)' >/dev/null
sql "insert into patients select 'patient ' || n from generate_series(1, 50000) n" >/dev/null
[[ $(sql 'select count(*), md5(string_agg(name, $$,$$ order by name)) from patients') == \
    $(as_postgres psql -h 127.0.0.1 -p 15432 -U postgres -tA -c 'select count(*), md5(string_agg(name, $$,$$ order by name)) from patients') ]] ||
    fail "the two ends do not say the same"

say "pages by HTTP/2, names by datagrams"
soon 20 exists pages
pages() { curl -sS --max-time 5 --http2-prior-knowledge "http://$(address pages)/index.html"; }
soon 20 tells '^two protocols, one network$' pages
soon 20 exists names
names() { dig "@$(address names)" +short +tries=2 +timeout=2 vand.test; }
soon 20 tells '^192.0.2.9$' names

say "a pod's service at the host"
web portal 2
$KUBECTL rollout status deployment/portal --timeout=60s >/dev/null
$VANCTL expose deployment/portal --port 8080 --protocol http >/dev/null
on_host listener create portal 127.0.0.1:15090 --protocol http --wait 20s >/dev/null
soon 20 tells '^portal-' curl -sS --max-time 5 http://127.0.0.1:15090/
has 'portal +portal:8080 +http +office: 2' on_host service status

say "the hub's pod goes, its links come again"
use cluster-1
$KUBECTL delete pod -l application=vand-router --grace-period=1 >/dev/null
$KUBECTL rollout status deployment/vand-router --timeout=60s >/dev/null
soon 30 tells '^portal-' curl -sS --max-time 5 http://127.0.0.1:15090/
use cluster-2
soon 30 sql 'select 1'

for context in cluster-2 cluster-1; do
    use "$context"
    leave
done
say "done"
