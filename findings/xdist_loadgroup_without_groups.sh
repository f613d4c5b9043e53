#!/usr/bin/env bash
# Expected:  with pytest-xdist's `--dist loadgroup`, tests that carry the same
#            @pytest.mark.xdist_group(...) all run on one worker.
# Happens:   with pytest 9.2.0 and pytest-xdist 3.8.0 the mark has no effect: the
#            group's tests are spread over the workers, status 0, no warning.
# Why:       xdist's worker appends "@group" to item._nodeid; pytest 9.2 makes
#            item.nodeid from item._id, so the scheduler never sees the suffix.
# Versions:  pytest 9.2.0 + pytest-xdist 3.8.0. pytest 9.1.1 + the same xdist is fine.
# Hurts:     suites whose tests share a port, a database or a file through a group;
#            they become flaky, or slow when each worker redoes a costly set-up.
# To do:     stay on pytest < 9.2, or put such tests into one file and use
#            `--dist loadfile`; check that verbose output shows ids ending in "@group".
set -euo pipefail

readonly XDIST=3.8.0 GOOD=9.1.1 BAD=9.2.0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset PYTEST_ADDOPTS PYTEST_PLUGINS PYTEST_DISABLE_PLUGIN_AUTOLOAD

say_no() { echo "NOT AS DESCRIBED: $*" >&2; exit 1; }

mkdir "$tmp/suite"
printf '[pytest]\n' > "$tmp/suite/pytest.ini"
cat > "$tmp/suite/test_shared.py" <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_shared(number):
    time.sleep(0.1)
    with open(os.environ["SEEN_FILE"], "a") as seen:
        seen.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY
# What a worker's items look like once all plugins have had their say.
cat > "$tmp/suite/conftest.py" <<'PY'
import os


def pytest_collection_finish(session):
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
        item = session.items[0]
        with open(os.environ["ID_FILE"], "w") as ids:
            ids.write(f"nodeid={item.nodeid}  _nodeid={getattr(item, '_nodeid', None)}\n")
PY

python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" --version

# try_out PYTEST_VERSION DIST: sets `workers` (how many ran tests), prints what was seen
try_out() {
    local seen=$tmp/seen ids=$tmp/ids log=$tmp/log status=0 ran
    : > "$seen"; : > "$ids"
    (cd "$tmp/suite" && SEEN_FILE=$seen ID_FILE=$ids \
        "$py" -m pytest -q -p no:cacheprovider -n 2 --dist "$2") > "$log" 2>&1 || status=$?
    ran=$(wc -l < "$seen")
    workers=$(sort -u "$seen" | wc -l)
    echo "pytest $1, --dist $2: exit status $status, $ran tests," \
        "by worker: $(sort "$seen" | uniq -c | awk '{printf "%s%s=%s", s, $2, $1; s=" "}')"
    echo "    first item: $(cat "$ids")"
    if [ "$status" != 0 ] || [ "$ran" != 8 ]; then
        cat "$log"
        say_no "the run with pytest $1 and --dist $2 did not pass 8 tests"
    fi
    if grep -qiE 'warn|xdist_group' "$log"; then
        cat "$log"
        say_no "the run with pytest $1 and --dist $2 had something to say"
    fi
}

for version in "$GOOD" "$BAD"; do
    "$py" -m pip install --quiet --disable-pip-version-check \
        "pytest==$version" "pytest-xdist==$XDIST" 2> "$tmp/pip.log" || { cat "$tmp/pip.log" >&2; exit 1; }
    "$py" -c 'from importlib.metadata import version as v
print("--", *(p + " " + v(p) for p in ("pytest", "pytest-xdist", "execnet", "pluggy")), sep="  ")'
    try_out "$version" loadfile
    [ "$workers" = 1 ] || say_no "pytest $version: loadfile used $workers workers, not 1"
    try_out "$version" loadgroup
    if [ "$version" = "$GOOD" ]; then
        [ "$workers" = 1 ] || say_no "pytest $version: the group was split already ($workers workers)"
    else
        [ "$workers" = 2 ] || say_no "pytest $version: the group stayed together"
        grep -q ' _nodeid=.*@one$' "$tmp/ids" || say_no "pytest $version: item._nodeid has no @one"
        ! grep -q '^nodeid=[^ ]*@one' "$tmp/ids" || say_no "pytest $version: item.nodeid has @one"
    fi
done
echo "AS DESCRIBED: pytest $BAD split the group over 2 workers without a word; pytest $GOOD kept it on one."
