"""One frame through DETR, ours and that of transformers, in turn: milliseconds, parameters, the ratio.

Transformers is no dependency: where it is not installed, ours is measured alone, and the report says so. Both networks
have the size of the published ResNet-50 one, fresh weights and frozen norms, and take a frame of 800 x 1066.

For example:
  python scripts/benchmark/detr.py --runs 10
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

from models.detection.detr.config import DetrConfig, ResnetConfig, TransformerConfig
from models.detection.detr.detector import DetrDetector
from scripts import make_parser
from scripts.benchmark import command, measure
from utils.tables import table

CLASSES = 91


def ours(quick: bool) -> nn.Module:
    """The published network, or a toy."""
    backbone = ResnetConfig(resnet="resnet18" if quick else "resnet50", input_channels=3, norm="frozen")
    size = TransformerConfig(dim=32, encoder_layers=1, decoder_layers=1) if quick else TransformerConfig()
    return DetrDetector(DetrConfig(num_classes=CLASSES, backbone=backbone, transformer=size))


def theirs() -> tuple[nn.Module | None, str]:
    """The network of transformers, if it can be had, and the version or why not."""
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        return None, f"not measured: {error}"
    try:  # another release may have them not, or otherwise
        config = transformers.DetrConfig(num_labels=CLASSES, use_pretrained_backbone=False, use_timm_backbone=True)
        network = transformers.DetrForObjectDetection(config)
    except (AttributeError, ImportError, TypeError, ValueError, OSError) as error:
        return None, f"not measured: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return network, transformers.__version__


def release(package: str) -> str:
    """Version of a package that is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def run(args: argparse.Namespace) -> str:
    """Measure and give the report.

    Raises:
        UserError: a mistake on the command line.
    """
    device = command.prepare(args)
    torch.manual_seed(0)
    frame = torch.randn(1, 3, *((64, 96) if args.quick else (800, 1066)), device=device)
    other, said = (None, "not measured with --quick") if args.quick else theirs()
    networks = {"ours": ours(args.quick), **({} if other is None else {"transformers": other})}
    variants: dict[str, Callable[[], object]] = {}
    for name, network in networks.items():
        network.to(device).eval()

        def look(network: nn.Module = network) -> object:
            with torch.inference_mode(), measure.autocast(device, args.precision):
                return network(frame)

        variants[name] = look
    facts = measure.protocol(
        args, device, frame="x".join(map(str, frame.shape[2:])), transformers=said, timm=release("timm")
    )
    times = measure.alternate(variants, args.warm_up, args.runs, device)
    rows = [
        [
            name,
            f"{sum(weight.numel() for weight in networks[name].parameters()) / 1e6:.2f}",
            f"{1000 * entry.median:.0f}",
            f"{1000 * entry.cost:.0f}",
            f"{entry.cost / times['ours'].cost:.3f}",
        ]
        for name, entry in times.items()
    ]
    heads = ["network", "parameters, M", "median ms", "processor ms", "against ours"]
    note = "Processor time where there is one thread on a CPU, else time by the clock."
    return measure.report("DETR", facts, {"One frame": table(heads, rows, right=range(1, 5))}, note)


def main() -> None:
    """Entry point."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a toy: shows that all of it works")
    command.add_runs(parser, runs=10)
    command.main("detr", parser, run)


if __name__ == "__main__":
    main()
