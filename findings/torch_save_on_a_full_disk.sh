#!/usr/bin/env bash
# Expected:  torch.save on a full disk raises OSError with errno ENOSPC, as every write of Python does, so that a
#            training can tell "no room" (wait, or delete old checkpoints) from a fault of its own.
# Happens:   given a path, torch writes by itself and raises a RuntimeError about a position in its archive, without
#            errno and without a word of the disk. Given a file that Python opened without a buffer, it lets the
#            OSError through.
# Versions:  torch 2.15.0 (CPU build is enough), NumPy 2.4.6, Linux.
# To do:     open the file in Python and give torch.save the file.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check "torch==2.15.0" "numpy==2.4.6"

cat > "$tmp/try.py" <<'PY'
import errno

import torch


def failure(save):
    try:
        save()
    except Exception as error:
        return error
    raise AssertionError("it was saved")


content = {"weights": torch.zeros(100_000)}
by_path = failure(lambda: torch.save(content, "/dev/full"))
with open("/dev/full", "wb", buffering=0) as file:
    by_file = failure(lambda: torch.save(content, file))
by_python = failure(lambda: open("/dev/full", "wb", buffering=0).write(b"x"))
for name, error in (("a path", by_path), ("a file", by_file), ("Python", by_python)):
    print(f"{name}: {type(error).__name__}, errno {getattr(error, 'errno', None)}: {str(error).splitlines()[0][:90]}")
assert type(by_path) is RuntimeError and not hasattr(by_path, "errno"), by_path
assert isinstance(by_file, OSError) and by_file.errno == errno.ENOSPC, by_file
assert by_python.errno == errno.ENOSPC, by_python
PY
"$py" "$tmp/try.py" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
