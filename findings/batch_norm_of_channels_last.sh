#!/usr/bin/env bash
# Expected:  the memory layout of its input changes a batch norm by no more than rounding does: about 1e-6.
# Happens:   in training on a CPU, in float32, a channels_last input is normalised tens of times less exactly. It
#            shows where the mean of a channel is large against its spread: 1e-4 to 1e-3 of a standard deviation.
#            Event features that begin as pixel coordinates or times (pillars, point sets) are of this kind; there
#            gradients moved by some tenths of a per cent. In evaluation, with kept statistics, there is no difference.
# Versions:  torch 2.15.0, NumPy 2.4.6, Linux x86-64, one thread.
# To do:     give such a layer a contiguous input, or centre coordinates before it.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check "torch==2.15.0" "numpy==2.4.6"

cat > "$tmp/try.py" <<'PY'
import torch

torch.set_num_threads(1)
print("torch", torch.__version__)


def worst(mean, training, form):
    """Largest error of the normalised values against float64."""
    torch.manual_seed(0)
    values = torch.rand(1, 8, 1131, 5) * 5 + mean
    norm = torch.nn.BatchNorm2d(8, eps=1e-3).train(training)
    exact = torch.nn.BatchNorm2d(8, eps=1e-3).double().train(training)(values.double())
    with torch.no_grad():
        return float((norm(values.contiguous(memory_format=form)).double() - exact).abs().max())


def both(mean, training):
    plain, last = (worst(mean, training, form) for form in (torch.contiguous_format, torch.channels_last))
    kind = "training" if training else "evaluation"
    print(f"{kind}, mean {mean:g}: contiguous {plain:.1e}, channels_last {last:.1e}, {last / max(plain, 1e-12):.0f} times")
    return last / max(plain, 1e-12)


assert both(100.0, training=True) > 10
assert both(400.0, training=True) > 10
assert both(0.0, training=True) > 5
assert both(100.0, training=False) < 2
PY
"$py" "$tmp/try.py" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
