"""torch.compile for the bodies of backbone stages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

BACKEND = "inductor"
RECOMPILE_LIMIT = 64
"""Graphs of one function: four stages, each in training and evaluation, with and without gradients, by batch size."""


@functools.cache
def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """The function compiled as one graph: a graph break is an error, never a silent loss of speed.

    Modules are arguments of ``function``, not bound to it, so that copies of a model share code but not weights, and
    names in state dicts stay as they are. Shapes are fixed for each graph: stages differ in all of them, and graphs
    for any shape compile slowly and run slower.

    Args:
        function: a module-level function of modules and tensors.
        mode: of ``torch.compile``, e.g. ``default`` or ``max-autotune``.
    """
    dynamo = torch._dynamo.config
    dynamo.recompile_limit = max(dynamo.recompile_limit, RECOMPILE_LIMIT)
    chosen = None if mode == "default" else mode
    return torch.compile(function, fullgraph=True, dynamic=False, backend=BACKEND, mode=chosen)
