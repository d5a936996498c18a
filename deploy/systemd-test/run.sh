#!/bin/bash
# Boots the daemon once under a real systemd, in a container, as docs/operating.md says it is installed; `make test-systemd`.
#   deploy/systemd-test/run.sh [FOLDER]      default: /var/tmp/ent-sync-container; its Debian is kept for the next time
# Not part of `make test`. Needs root, and `apt-get install systemd-container debootstrap`. Two minutes the first time, one from then on.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
SOURCE=$(cd "$HERE/../.." && pwd)
PYTHON=${PYTHON:-$SOURCE/.venv/bin/python}
WORK=${1:-/var/tmp/ent-sync-container}
ROOT=$WORK/root
STRETCH=${STRETCH:-1} # a slow machine: more of everything that is waited for

fail() { echo "make test-systemd: $*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "only root may start a container"
for program in systemd-nspawn debootstrap unshare; do
  command -v $program >/dev/null || fail "$program is missing: apt-get install systemd-container debootstrap"
done
"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || fail "the packages are fetched by a Python 3.11, as in Debian 12"

mkdir -p "$WORK"
if [ ! -e "$WORK/debian/.complete" ]; then
  echo "== Debian 12"
  rm -rf "$WORK/debian"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3,python3-venv,procps,openssl \
    bookworm "$WORK/debian" > "$WORK/debootstrap.log" || fail "debootstrap failed, see $WORK/debootstrap.log"
  touch "$WORK/debian/.complete"
fi

echo "== the installation, as docs/operating.md tells it"
rm -rf "$ROOT" "$WORK/source"
cp -a "$WORK/debian" "$ROOT"
mkdir -p "$ROOT/wheels" "$ROOT/source"
"$PYTHON" -m pip download --quiet --require-hashes --dest "$WORK/wheels" -r "$SOURCE/requirements.lock" \
  > "$WORK/download.log" 2>&1 || { tail -5 "$WORK/download.log"; fail "the packages could not be fetched, see $WORK/download.log"; }
cp "$WORK"/wheels/* "$ROOT/wheels"
(cd "$SOURCE" && tar cf - pyproject.toml README.md LICENSE requirements.lock src config mappings deploy) | tar xf - -C "$ROOT/source"
awk '/^## The daemon$/ {here = 1} here && /^```$/ {exit} here && code {print} here && /^```sh$/ {code = 1}' \
  "$SOURCE/docs/operating.md" | sed "s/enable --now/enable/" > "$ROOT/source/install.sh"
[ -s "$ROOT/source/install.sh" ] || fail "docs/operating.md has no installation any more"
mount --bind /proc "$ROOT/proc"
trap 'umount "$ROOT/proc" 2>/dev/null || true' EXIT
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_OFFLINE=1 PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 \
  chroot "$ROOT" bash -ec 'cd /source && . ./install.sh' > "$WORK/install.log" 2>&1 \
  || { tail -20 "$WORK/install.log"; fail "the installation failed, see $WORK/install.log"; }
umount "$ROOT/proc"

# Seconds instead of a minute, and as soon as something was delivered.
grep -q schedule: "$ROOT/etc/ent-sync/ent-sync.yaml" || sed -i 's|^    path: .*|&\n    schedule: {on: delivery}|' "$ROOT/etc/ent-sync/ent-sync.yaml"
sed -i '/^    settle:/d; s|^    path: .*deliveries.*|&\n    settle: 1s|' "$ROOT/etc/ent-sync/ent-sync.yaml"

echo "== boot"
install -m 755 "$HERE/inside.sh" "$ROOT/inside.sh"
install -m 644 "$HERE/look.service" "$ROOT/etc/systemd/system/look.service"
ln -sf ../look.service "$ROOT/etc/systemd/system/multi-user.target.wants/look.service"
# A shorter patience than the unit's, so that a hung daemon is found while somebody waits for it.
mkdir -p "$ROOT/etc/systemd/system/ent-sync.service.d"
printf '[Service]\nWatchdogSec=%s\nRestartSec=1\n' $((10 * STRETCH)) > "$ROOT/etc/systemd/system/ent-sync.service.d/test.conf"
echo "STRETCH=$STRETCH" > "$ROOT/stretch"
# The container has a network and cgroups of its own: cgroup v2, whatever the host has.
timeout $((300 * STRETCH)) unshare --mount bash -ec '
  mount --make-rprivate /
  umount -l /sys/fs/cgroup || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  group=/sys/fs/cgroup/ent-sync-test.$$
  mkdir "$group"
  echo $$ > "$group/cgroup.procs"
  systemd-nspawn --quiet --directory="$1" --register=no --keep-unit --private-network --boot || ended=$?
  echo $$ > /sys/fs/cgroup/cgroup.procs
  find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  exit ${ended:-0}' - "$ROOT" \
  > "$WORK/boot.log" 2>&1 || { tail -20 "$WORK/boot.log"; fail "the container did not boot and end, see $WORK/boot.log"; }

[ -e "$ROOT/result.txt" ] || fail "nothing was looked at, see $WORK/boot.log"
cat "$ROOT/result.txt"
grep -q '^all is well$' "$ROOT/result.txt"
rm -rf "$ROOT"
