#!/usr/bin/env bash
# Expected:  importing a library of metrics adds no names to other libraries: what NumPy 2 and SciPy 1.13 removed
#            (np.Inf, scipy.signal.hamming) raises an AttributeError in every program.
# Happens:   importing torchmetrics, which PyTorch Lightning does by itself, puts both back into NumPy and SciPy, for the
#            whole process. Older code of evaluations and of event filters that uses such names works where Lightning
#            was imported before, in a training and in its tests, and fails in a script that reads the same files alone;
#            a check whether code is ready for NumPy 2 that runs beside Lightning finds nothing. For this it also loads
#            all of scipy.signal at every start, about a second.
# Versions:  torchmetrics 1.9.0, torch 2.15.0 (CPU build is enough), NumPy 2.4.6, SciPy 1.17.1.
# To do:     try evaluation code in a process without torchmetrics; write np.inf and scipy.signal.windows.hamming.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check \
  "torch==2.15.0" "torchmetrics==1.9.0" "numpy==2.4.6" "scipy==1.17.1"

cat > "$tmp/try.py" <<'PY'
import numpy as np
import scipy.signal


def there():
    return {"numpy.Inf": hasattr(np, "Inf"), "scipy.signal.hamming": hasattr(scipy.signal, "hamming")}


before = there()
import torchmetrics

after = there()
print("before:", before)
print(f"after importing torchmetrics {torchmetrics.__version__}:", after)
assert not any(before.values()), before
assert all(after.values()), after
assert np.Inf == np.inf
PY
"$py" "$tmp/try.py" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
"$py" -c '
import sys, torchmetrics
assert "scipy.signal" in sys.modules
print("loaded by it: scipy.signal")
' || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
