"""VRT against reference numbers: ``python -m tests.helpers.neighbours.vrt FOLDER [--pack] [--only CASE]``.

The files of the folder hold inputs of small networks and of VRT's own for deblurring, and what came of them. Weights
follow from their names (``fill.py``), inputs from the numbers in :data:`CASES`, so that ``tests/golden/12_vrt.xz``
(written by ``--pack``) holds results alone. A table of all arrays, their worst errors and tolerances comes out, status
1 where one is beyond.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.restoration.interface import charbonnier
from models.restoration.vrt.config import VrtConfig
from models.restoration.vrt.network import Flows, Vrt
from models.restoration.vrt_spike.config import RestorerConfig, SpikeConfig
from models.restoration.vrt_spike.restorer import VrtSpike
from tests.helpers.golden_files import GOLDEN, load_golden, pack
from tests.helpers.neighbours.fill import fill, names_and_shapes

Arrays = dict[str, npt.NDArray[Any]]
Rows = list[tuple[str, float, float]]

ATOL, MEAN = 1e-3, 5e-5
"""Worst and mean error of what comes out; sampling at whole pixels can move single ones."""
SUMS = 1e-4
"""Of a sum over a large array, as a share of the sum of magnitudes."""
FLOW = 1e-4
EVERY = 13
"""Of what comes out the packed file holds every 13th number."""

KEEP = ["relative_position_index", "position_bias$", r"spynet\.mean", r"spynet\.std"]
SCALES = [
    (r"spynet\.basic_module\.\d\.basic_module\.8\.weight", 0.05),
    (r"conv_offset\.6\.weight", 0.1),
    (r"conv_last\.weight", 0.1),
]
OFFICIAL: dict[str, Any] = {
    "embed_dim": 96,
    "late_dim": 120,
    "depths": (8,) * 7 + (4,) * 4,
    "num_heads": 6,
    "window": (6, 8, 8),
    "mutual_share": 0.75,
    "mlp_ratio": 2,
    "drop_path": 0.2,
    "deformable_groups": 16,
    "single_frame_stages": (9, 10),
    "flow": "spynet",
}
"""Sizes of the published network for deblurring."""
SMALL = OFFICIAL | {
    "embed_dim": 24, "late_dim": 36, "depths": (4,) * 7 + (2,) * 4, "num_heads": 3, "deformable_groups": 4,
}  # fmt: skip
SPIKE_SMALL = SMALL | {"late_dim": 24, "depths": (2,) * 11, "window": (5, 8, 8)}
SPIKES = {"enable": True, "num_heads": 4, "mlp_ratio": 2, "temporal_strides": (1, 1, 1)}
SPIKE_FILE = "vrtspike_tiny"


@dataclass(frozen=True)
class Case:
    """A file: the network, the seed of its input and of its flow, frames, rows and columns."""

    sizes: dict[str, Any]
    flow: str
    seed: int
    shape: tuple[int, int, int]
    flow_seed: int = 0


CASES = {
    "vrt_tiny_fixedflow": Case(SMALL, "given", 31, (6, 64, 64), 32),
    "vrt_tiny_zeroflow": Case(SMALL, "zero", 31, (6, 64, 64)),
    "vrt_tiny_spynet": Case(SMALL, "spynet", 31, (6, 64, 64)),
    "vrt_tiny_oddsize": Case(SMALL, "given", 33, (5, 64, 72), 34),
    "vrt_006_fixedflow": Case(OFFICIAL, "given", 35, (6, 64, 64), 36),
    SPIKE_FILE: Case(SPIKE_SMALL, "given", 41, (5, 64, 64), 43),
}


def clip_of(case: Case) -> Tensor:
    """Squares of 4x4 pixels that wander, and a little noise: float32 [1, T, 3, H, W]."""
    length, height, width = case.shape
    drawn = np.random.RandomState(case.seed)
    squares = np.kron(drawn.rand(3, height // 4, width // 4), np.ones((1, 4, 4)))
    moved = np.stack([np.roll(squares, (frame, 2 * frame), (1, 2)) for frame in range(length)])
    noisy = moved + 0.02 * drawn.randn(length, 3, height, width)
    return torch.from_numpy(noisy.clip(0, 1).astype(np.float32)[None])


def flows_of(case: Case) -> Flows:
    """Flow that is constant on squares of 8x8 pixels."""
    length, height, width = case.shape
    drawn, found = np.random.RandomState(case.flow_seed), []
    for _ in range(2):
        sizes = []
        for k in range(4):
            rows, columns = height >> k, width >> k
            squares = drawn.uniform(-3, 3, (1, length - 1, 2, -(-rows // 8), -(-columns // 8)))
            flow = np.kron(squares, np.ones((8, 8)))[..., :rows, :columns] / 2**k + 0.123
            sizes.append(torch.from_numpy(flow.astype(np.float32)))
        found.append(sizes)
    return found[0], found[1]


def spikes_of(case: Case) -> Tensor:
    """Logarithms of counts, float32 [1, T, 8, H, W]."""
    length, height, width = case.shape
    counts = np.random.RandomState(case.seed + 1).poisson(0.4, (1, length, 8, height, width))
    return torch.from_numpy(np.log1p(counts).astype(np.float32))


def filled(network: nn.Module) -> Any:
    """The network with weights that follow from their names, for evaluation."""
    return fill(network, KEEP, scales=SCALES).eval()


def spike_network(sizes: dict[str, Any], bins: int) -> VrtSpike:
    """The network with its branch for spikes, with fresh weights."""
    spikes = SpikeConfig(bins=bins, logarithm=False, mean=0.0, std=1.0, fuse_zero_init=False, **SPIKES)
    return VrtSpike(RestorerConfig(vrt=VrtConfig(**sizes), spikes=spikes, delta=1e-3))


def names(network: nn.Module) -> dict[str, list[Any]]:
    """Shape, whether it is a parameter and whether it is trained, of every entry."""
    table = names_and_shapes(network)
    return {name: [row["shape"], row["kind"] == "param", row["requires_grad"]] for name, row in table.items()}


@torch.no_grad()
def computed(name: str) -> Arrays:
    """What the network of a file makes of its input: arrays by the file's names, features channels first."""
    case = CASES[name]
    sizes = case.sizes | {"flow": case.flow}
    clip = clip_of(case)
    flows = flows_of(case) if case.flow == "given" else None
    found: dict[str, Tensor] = {}

    def keep(part: nn.Module, key: str, *, last: bool = True) -> None:
        def hook(_: nn.Module, __: Any, out: Tensor) -> None:
            found[key] = out.movedim(-1, 1) if last else out

        part.register_forward_hook(hook)

    if name == SPIKE_FILE:
        model = filled(spike_network(sizes, 8))
        spikes = spikes_of(case)
        encoded = model.spike_encoder(spikes)
        for scale, (plain, attended) in enumerate(zip(encoded, model.spike_temporal_sa(encoded), strict=True)):
            found |= {f"enc{scale}": plain, f"tsa{scale}": attended.movedim(-1, 1)}
            keep(model.vrt.get_submodule(f"stage{scale + 1}"), f"stage{scale + 1}_out")
        found["y_vrt_only"] = model.vrt(clip, flows)
        alone = {key: found[key] for key in found if key.endswith("_out")}
        fuse = model.cross_attn_fuse.forward

        def fused(scale: int, frames: Tensor, others: Tensor) -> Tensor:
            out = fuse(scale, frames, others)
            found[f"fuse{scale}"] = out.movedim(-1, 2)
            return out

        model.cross_attn_fuse.forward = fused
        found["y"] = model(clip, spikes, flows)
        found |= alone
        found["charbonnier_y_vs_x"] = charbonnier(found["y"] - clip, 1e-3)
    else:
        model = filled(Vrt(VrtConfig(**sizes)))
        keep(model.conv_first, "conv_first", last=False)
        keep(model.stage1.residual_group1, "s1_rg1")
        keep(model.stage1.residual_group2, "s1_rg2")
        for index in range(1, 8):
            keep(model.get_submodule(f"stage{index}"), f"stage{index}")
        for index, part in enumerate(model.stage8):
            keep(part, f"stage8_{index}")
        keep(model.norm, "norm", last=False)
        found["y"] = model(clip, flows)
        found["stage4_out"] = found["stage4"]
        if case.flow == "spynet":
            for letter, given in zip("bf", model.flows(clip, None), strict=True):
                found |= {f"flow_{letter}{k}": flow for k, flow in enumerate(given)}
    return {key: value.numpy() for key, value in found.items()}


def errors(ours: Arrays, theirs: Arrays, *, thin: bool = False) -> Rows:
    """Of every array of the file and every digest: name, worst error, its tolerance."""
    rows: Rows = []
    for key, own in ours.items():
        if f"{key}__idx" in theirs:
            assert tuple(theirs[f"{key}__shape"]) == own.shape, key
            flat, wanted = own.astype(np.float64).reshape(-1), theirs[f"{key}__val"]
            off = np.abs(flat[theirs[f"{key}__idx"]] - wanted).max()
            rows.append((f"{key} samples", float(off), ATOL * max(1.0, float(np.abs(wanted).max()))))
            whole = float(theirs[f"{key}__abssum"])
            rows.append((f"{key} sum", float(abs(flat.sum() - theirs[f"{key}__sum"])), SUMS * whole))
        if key in theirs:
            mine = own.reshape(-1)[::EVERY] if thin and own.size > EVERY else own
            assert mine.shape == theirs[key].shape, f"{key}: {mine.shape} against {theirs[key].shape}"
            off = np.abs(mine.astype(np.float64) - theirs[key])
            tolerance = FLOW if key.startswith("flow") else ATOL * max(1.0, float(np.abs(theirs[key]).max()))
            rows.append((key, float(off.max()), tolerance))
            if key.startswith("y"):
                rows.append((f"{key} mean", float(off.mean()), MEAN))
    return rows


def wrongly_filled(folder: Path) -> list[str]:
    """Entries of the small network whose weights are not those of ``fill_check_vrt.json``."""
    wanted = json.loads((folder / "fill_check_vrt.json").read_text())["check"]
    own = filled(Vrt(VrtConfig(**SMALL))).state_dict()
    first = {name: own[name].reshape(-1)[:3].tolist() == row["first3"] for name, row in wanted.items()}
    sums = {name: abs(float(own[name].double().sum()) - row["sum"]) < 1e-6 for name, row in wanted.items()}
    return [name for name in wanted if not (first[name] and sums[name])]


def packed(folder: Path) -> Arrays:
    """What the repository keeps of the files, as ``case/name``."""
    kept: Arrays = {}
    for name in CASES:
        for key, array in np.load(folder / f"{name}.npz").items():
            if key in ("x", "spike", "stage8_last") or (key.startswith("flow") and name != "vrt_tiny_spynet"):
                continue
            whole = "__" in key or array.size <= EVERY
            kept[f"{name}/{key}"] = array if whole else np.ascontiguousarray(array.reshape(-1)[::EVERY])
    for file, key in (("vrt_names", "vrt_006_gopro"), ("vrtspike_names", "vrt_spike_extra")):
        table = json.loads((folder / f"{file}.json").read_text())[key]
        short = {name: [row["shape"], row["kind"] == "param", row["requires_grad"]] for name, row in table.items()}
        kept[key] = np.frombuffer(json.dumps(short, separators=(",", ":")).encode(), np.uint8)
    return kept


def main() -> int:
    """Compare, and perhaps pack."""
    parser = argparse.ArgumentParser(description="Compare VRT with reference numbers of a folder.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with vrt_*.npz and vrtspike_tiny.npz")
    parser.add_argument("--only", choices=CASES, metavar="CASE", help="one file")
    parser.add_argument("--pack", action="store_true", help="write tests/golden/12_vrt.xz")
    args = parser.parse_args()
    wrong = wrongly_filled(args.folder)
    sys.stdout.write(f"weights of other values than theirs: {wrong or 'none'}\n")
    good = not wrong
    for name in [args.only] if args.only else CASES:
        theirs, case = dict(np.load(args.folder / f"{name}.npz")), CASES[name]
        inputs = {"x": clip_of(case)} | ({"spike": spikes_of(case)} if name == SPIKE_FILE else {})
        for key, value in inputs.items():
            assert np.array_equal(value.numpy(), theirs[key]), f"the rule makes {key}"
        for key, worst, tolerance in errors(computed(name), theirs):
            good &= worst <= tolerance
            sys.stdout.write(f"{name:20} {key:22} worst {worst:.2e}  tolerance {tolerance:.1e}\n")
    if args.pack:
        content = pack(packed(args.folder))
        (GOLDEN / "12_vrt.xz").write_bytes(content)
        assert len(load_golden("12_vrt")) == len(packed(args.folder))
        sys.stdout.write(f"12_vrt.xz: {len(content)} bytes\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
