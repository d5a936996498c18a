#!/bin/bash
# What is looked at in the container, one line each; result.txt ends with "all is well" if it is.
. /stretch
RESULT=/result.txt
FAILED=0
: > $RESULT

claim() { # claim SENTENCE COMMAND...: the command is true, now or soon
  local sentence=$1 until=$((SECONDS + 30 * STRETCH)) answer
  shift
  until answer=$("$@" 2>&1); do
    if [ $SECONDS -ge $until ]; then
      FAILED=1
      printf 'NOT  %s\n     %s\n' "$sentence" "${answer:-$*}" >> $RESULT
      return
    fi
    sleep 0.2
  done
  printf 'ok   %s\n' "$sentence" >> $RESULT
}
shown() { systemctl show ent-sync --property="$1" --value; }
is() { [ "$(shown "$1")" = "$2" ] || { echo "$1 is $(shown "$1")"; false; }; }
accounts() { # accounts COUNT: so many are at the ENT
  [ "$(python3 -c 'import sqlite3
print(sqlite3.connect("/srv/ent-sync/ent/ent.sqlite").execute("SELECT count(*) FROM accounts").fetchone()[0])')" -ge "$1" ]
}
answers() { # answers PATH: the daemon's page is 200
  python3 -c 'import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9464" + sys.argv[1]).read()[:2000].decode())' "$1"
}
journal() { journalctl --quiet --unit=ent-sync "$@" | grep -q .; }
refused() { ! "$@"; }
seconds() { local began=$SECONDS; shift; "$@" && [ $((SECONDS - began)) -le "$limit" ]; }

claim "started: systemd heard that it is ready" is ActiveState active
claim "it says in words what it is doing" sh -c 'systemctl show ent-sync --property=StatusText --value | grep -q .'
claim "the watchdog is on" is WatchdogUSec $((10 * STRETCH))s
claim "it runs as ent-sync" sh -c 'ps -o user= -p "$(systemctl show ent-sync --property=MainPID --value)" | grep -qx ent-sync'
claim "it is alive" answers /healthz
claim "it is ready" answers /readyz
claim "it is exposed by at most 1.5 points while it runs" systemd-analyze security --no-pager --threshold=15 ent-sync

useradd --groups ent-sync-drop academy
runuser -u academy -- sh -c 'umask 002; exec /opt/ent-sync/bin/ent-sync synth /srv/ent-sync/deliveries/lille-2d --pupils 60 --date 2026-09-01' >> $RESULT 2>&1
claim "a delivery that somebody else drops is provisioned" accounts 100
claim "the journal has the run by its outcome" journal ENT_SYNC_EVENT="run ended" ENT_SYNC_OUTCOME=done
claim "the journal knows how grave a line is" journal PRIORITY=6 ENT_SYNC_EVENT="run ended"
claim "the metrics count the run" sh -c 'python3 -c "import urllib.request; print(urllib.request.urlopen(\"http://127.0.0.1:9464/metrics\").read().decode())" | grep -q "^ent_sync_runs_total{.*done.*} 1"'
claim "commands by hand have its account and its key" sh -c 'ent-sync-by-hand status --json < /dev/null | grep -q ent-sync/status'

claim "a reload is answered" systemctl reload ent-sync
cp /etc/ent-sync/ent-sync.yaml /etc/ent-sync/good.yaml
echo "nonsense: true" >> /etc/ent-sync/ent-sync.yaml
claim "a reload of a bad configuration fails" refused systemctl reload ent-sync
claim "and the daemon works on" is ActiveState active
cp /etc/ent-sync/good.yaml /etc/ent-sync/ent-sync.yaml
claim "a good one is taken again" systemctl reload ent-sync

before=$(shown MainPID)
kill -STOP "$before"
claim "a daemon that hangs is ended by the watchdog" journal --grep="Failed with result 'watchdog'"
claim "with all its stacks in the journal" journal --grep="Fatal Python error: Aborted"
claim "and started again" sh -c '[ "$(systemctl show ent-sync --property=MainPID --value)" != '"$before"' ] && systemctl is-active ent-sync'
kill -KILL "$(shown MainPID)"
claim "one that is killed is started again" is NRestarts 2
claim "and is ready again" is ActiveState active

limit=10
claim "it stops within seconds" seconds : systemctl stop ent-sync
claim "and ends well" is Result success
echo "nonsense: true" >> /etc/ent-sync/ent-sync.yaml
claim "with a bad configuration it does not start" refused systemctl start ent-sync
sleep 3
claim "and is not tried again" is ActiveState failed
claim "because of exit 78" is ExecMainStatus 78

[ $FAILED = 0 ] && echo "all is well" >> $RESULT
[ $FAILED = 0 ] || { echo "== the journal"; journalctl --unit=ent-sync --no-pager -o short-precise; } >> $RESULT
exit 0
