#!/bin/bash
# A throw-away slapd for trying ent-sync on: no root, nothing outside its folder. Not for people who exist.
#   try.sh start DIR BASE [LDIF]   loads LDIF, starts on a free port, writes DIR/url and DIR/password
#   try.sh stop DIR
set -euo pipefail
export PATH="$PATH:/usr/sbin"
here=$(cd "$(dirname "$0")" && pwd)

case "${1:-}" in
start)
  mkdir -p "$2"
  dir=$(cd "$2" && pwd) base=$3 ldif=${4:-}
  mkdir "$dir/db"
  umask 077
  tr -dc 'a-zA-Z0-9' </dev/urandom | head -c 24 >"$dir/password" || true
  cat >"$dir/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include $here/ent.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
pidfile $dir/slapd.pid
sizelimit unlimited
database mdb
suffix "$base"
rootdn "cn=admin,$base"
rootpw $(cat "$dir/password")
directory $dir/db
maxsize 1073741824
index objectClass,entryUUID,entryCSN,modifyTimestamp,uid,cn,member,ENTPersonJointure eq
overlay syncprov
syncprov-sessionlog 10000
CONF
  if [ -n "$ldif" ]; then slapadd -q -w -f "$dir/slapd.conf" -l "$ldif"; fi
  for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 20000))
    slapd -f "$dir/slapd.conf" -h "ldap://127.0.0.1:$port" 2>"$dir/log" && break
  done
  echo "ldap://127.0.0.1:$port" >"$dir/url"
  for _ in $(seq 100); do
    ldapsearch -x -LLL -H "$(cat "$dir/url")" -s base -b '' 1.1 >/dev/null 2>&1 && break
    sleep 0.1
  done
  echo "slapd answers at $(cat "$dir/url"); its password is in $2/password"
  ;;
stop)
  kill "$(cat "$2/slapd.pid")"
  ;;
*)
  sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
