#!/usr/bin/env bash
# Expected:  an environment variable, RERUN_ANALYTICS=0 as programs that embed the viewer set it, or DO_NOT_TRACK=1
#            which many programs obey, keeps the command line of rerun-sdk from setting up its usage reports.
# Happens:   with rerun-sdk 0.41.0 these are ignored: a first `rerun rrd stats FILE` makes an installation's identity and
#            switches reports on (analytics.json, "analytics_enabled":true). Only CI in the environment, of whatever
#            value, or `rerun analytics disable` beforehand (the documented way) keeps them off.
# Versions:  rerun-sdk 0.41.0, its wheel for Linux.
# Hurts:     programs that open this viewer for their users and promise that nothing is reported, machines with rules
#            about outgoing traffic, containers in which no home lasts (each start is a new installation).
# To do:     start the viewer and its command line with CI=1, or run `rerun analytics disable` once for each home.
set -euo pipefail

readonly VERSION=0.41.0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset CI RERUN_ANALYTICS DO_NOT_TRACK XDG_CONFIG_HOME XDG_DATA_HOME FORCE_RERUN_ANALYTICS

say_no() { echo "NOT AS DESCRIBED: $*" >&2; exit 1; }

python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check "rerun-sdk==$VERSION"
CI=1 "$tmp/venv/bin/python" - "$tmp/a.rrd" <<'PY'
import sys

import rerun

stream = rerun.RecordingStream("example")
stream.save(sys.argv[1])
stream.set_time("time", duration=0.05)
stream.log("rate", rerun.Scalars(1.0))
stream.flush()
stream.disconnect()
PY

# Usage: switched NAME=VALUE ... ; "on", "off", or "none" where no settings of usage reports were made.
switched() {
  local home
  home=$(mktemp -d -p "$tmp")
  env HOME="$home" "$@" "$tmp/venv/bin/rerun" rrd stats "$tmp/a.rrd" > /dev/null 2>&1
  local file
  file=$(find "$home" -name analytics.json)
  if [ -z "$file" ]; then echo none
  elif grep -Eq '"analytics_enabled": *true' "$file"; then echo on
  else echo off; fi
}

echo "rerun-sdk $VERSION, usage reports after \`rerun rrd stats\` in a new home:"
for setting in PLAIN=1 RERUN_ANALYTICS=0 RERUN_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 CI=1 CI=false; do
  found=$(switched "$setting")
  echo "  $setting: $found"
  case $setting in
    CI=*) [ "$found" = none ] || [ "$found" = off ] || say_no "$setting: $found" ;;
    *) [ "$found" = on ] || say_no "$setting: $found" ;;
  esac
done
echo "as described"
