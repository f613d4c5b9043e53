"""DMANet against the reference numbers: ``python -m tests.helpers.neighbours.dmanet FOLDER [--pack]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.events.types import Events
from data.payloads.pillars import PillarSettings, voxelise, window_pillars
from models.detection.dmanet.anchors import anchors, decode
from models.detection.dmanet.backbone import Pyramid
from models.detection.dmanet.config import DmaNetConfig, LossConfig, MemoryConfig
from models.detection.dmanet.detections import detections
from models.detection.dmanet.detector import DmaNet
from models.detection.dmanet.losses import frame_losses
from models.detection.dmanet.memory import AdaptiveConvLstm, Aggregation
from models.detection.dmanet.pillars import PillarNet
from tests.helpers.golden_files import GOLDEN, pack
from tests.helpers.neighbours.dmanet_run import SAMPLED, Arrays, Row, error, filled, run_rows
from tests.helpers.neighbours.fill import fill, names_and_shapes


# Pillars.
def pillar_rows(given: Arrays) -> Iterator[Row]:
    """Windows of the dataset class, with whole and with broken numbers, and points straight into pillars."""
    for kind, quantize in (("u4", True), ("f8", False)):
        for step in (0, 1):
            if f"ev{step}_t" not in given:
                continue
            events = Events.from_arrays(*(given[f"ev{step}_{name}"] for name in "txyp"))
            made = window_pillars(events, (720, 1280), PillarSettings(quantize=quantize))
            for side, own in zip(("pos", "neg"), made, strict=True):
                key = f"{kind}_{side}{step}"
                yield error(key, _ordered(own), _ordered(_table(given, key)), 1e-6 if quantize else 1e-3)
    for key, most in (("vox", 100_000), ("vox50", 50)):
        own = voxelise(given["vox_pts"], PillarSettings(max_pillars=most, size=16))
        if f"{key}_voxels" not in given:
            continue
        yield error(key, own, _table(given, key), 0)


def _table(given: Arrays, key: str) -> Any:
    voxels, places, count = (given[f"{key}_{part}"] for part in ("voxels", "coors", "num"))
    return np.concatenate([voxels.reshape(len(voxels), -1), count[:, None], places[:, 1:]], axis=1, dtype=np.float32)


def _ordered(table: Any) -> Any:
    return table[np.lexsort((table[:, -1], table[:, -2]))]


# Modules.
def module_rows(given: Arrays) -> Iterator[Row]:
    """Each part by itself."""
    tensor = {key: torch.from_numpy(value) for key, value in given.items() if value.dtype.kind == "f"}
    cell, state, seen = fill(AdaptiveConvLstm(16, MemoryConfig())), None, torch.ones(2, dtype=torch.bool)
    for step in range(3):
        x = tensor[f"cell_x{step}"]
        if state is not None:
            yield error(f"cell_w{step}", cell.weight(x, state[2]).detach(), given[f"cell_w{step}"])
        state = cell(x, state, seen)
        for name, own in zip("hc", state, strict=False):
            yield error(f"cell_{name}{step}", own.detach(), given[f"cell_{name}{step}"])
    found = fill(Aggregation(16))(tensor["nl_cur"], tensor["nl_prev"], torch.ones(1, dtype=torch.bool))
    yield error("nl_out", found.detach(), given["nl_out"])
    pyramid = fill(Pyramid((8, 12, 12), 16))
    for level, own in enumerate(pyramid([tensor[f"fpn_in{i}"] for i in range(3)])):
        yield error(f"fpn_out{level}", own.detach(), given[f"fpn_out{level}"])
    yield from _pillar_net(tensor, given)
    yield error("anchors", anchors(64, 96)[None], given["anchors_64x96"])
    rows = []
    for logits, offsets, boxes in zip(tensor["fl_cls"].logit(), tensor["fl_reg"], tensor["fl_gt"], strict=True):
        boxes = boxes[boxes[:, 4] >= 0]
        rows.append(
            torch.stack(frame_losses(logits, offsets, anchors(64, 96), boxes[:, :4], boxes[:, 4].long(), LossConfig()))
        )
    yield error("fl_losses", torch.stack(rows), given["fl_losses"], 1e-4, relative=True)
    yield error("fl_mean", torch.stack(rows).mean(dim=0), given["fl_mean"], 1e-4, relative=True)
    corners = decode(tensor["fl_reg"][:1], anchors(64, 96), 64, 96)
    yield error("decode", corners, given["decode"], 1e-3)
    own = detections(torch.cat((corners[0], tensor["fl_cls"][0]), dim=1), 0.1, 0.5, None)
    yield error("det", *_as_sets(own.numpy(), given["det"]), 1e-3)


def _pillar_net(tensor: dict[str, torch.Tensor], given: Arrays) -> Iterator[Row]:
    pieces = [tensor[f"pfn_p{axis}"][0, 0] for axis in "xyt"]
    rows = torch.stack(pieces, dim=-1).flatten(1)
    rows = torch.cat((rows, tensor["pfn_num"].T, tensor["pfn_coors"][:, 1:]), dim=1)
    both = rows[None, None].expand(1, 2, -1, -1)
    network = fill(PillarNet()).eval()
    picture = network(both, 32)
    yield error("scatter_eval", picture[:, :8].detach(), given["scatter_eval"])
    layer = network.pfn_layers[0].train()
    own = layer(rows[None, :, :-3].unflatten(-1, (-1, 3)), rows[None, :, -3])
    yield error("pfn_train", own[..., None].detach(), given["pfn_train"])
    yield error("pfn_rm", layer.norm.running_mean, given["pfn_rm"])
    yield error("pfn_rv", layer.norm.running_var, given["pfn_rv"], 1e-4, relative=True)


def _as_sets(own: Any, theirs: Any) -> tuple[Any, Any]:
    """Detections as x1, y1, x2, y2, score, class, ordered by class and score."""
    own = own[:, [0, 1, 2, 3, 5, 6]] if own.shape[1] == 7 else own
    return tuple(rows[np.lexsort((-rows[:, 4].round(5), rows[:, 5]))] for rows in (own, theirs))  # type: ignore[return-value]


def name_rows(folder: Path) -> Iterator[Row]:
    """Names, shapes and a few numbers of the rule that fills them."""
    known = json.loads((folder / "dmanet_names.json").read_text())
    for depth in (18, 34):
        own = {
            name: entry["shape"]
            for name, entry in names_and_shapes(DmaNet(DmaNetConfig(7, (512, 512), depth=depth))).items()
        }
        theirs = {name: entry["shape"] for name, entry in known["dmanet18"].items()}
        theirs |= known["dmanet34__added_over_18"] if depth == 34 else {}
        wrong = [name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name)]
        yield f"names of dmanet{depth} ({len(own)})", float(len(wrong)), 0
    state = filled(size=128).state_dict()
    for name, entry in json.loads((folder / "fill_check_dmanet.json").read_text()).items():
        own = state[name].double()
        yield error(f"fill {name}", own.flatten()[:3], entry["first3"], 1e-6)


def blowup_rows(folder: Path) -> Iterator[Row]:
    """Class losses of saturated scores against those at logit 9, in float32; and where half precision has no number."""
    known = json.loads((folder / "dmanet_blowup.json").read_text())
    own = anchors(64, 64)

    def loss(kind: str, logit: float) -> float:
        logits = torch.full((len(own), 7), logit, dtype=getattr(torch, kind))
        config, nothing = LossConfig(precision="autocast"), torch.zeros(0, dtype=torch.int64)
        return float(frame_losses(logits, torch.zeros(len(own), 4), own, torch.zeros(0, 4), nothing, config)[0])

    for logit in (5.0, 9.0, 12.0):
        ratio = known[f"float32_{logit}"][0] / known["float32_9.0"][0]
        yield error(f"float32_{logit}", loss("float32", logit) / loss("float32", 9.0), ratio, 1e-5)
        for kind in ("float16", "bfloat16"):
            theirs = np.isnan(known[f"{kind}_{logit}"][0])
            yield f"{kind}_{logit} no number: {theirs}", float(np.isfinite(loss(kind, logit)) == theirs), 0


COMPARED: dict[str, Callable[[Arrays], Iterator[Row]]] = {
    "dmanet_pillars": pillar_rows,
    "dmanet_modules": module_rows,
    "dmanet_128": lambda given: run_rows(given, size=128),
    "dmanet_128_plain_convlstm": lambda given: run_rows(given, size=128, memory=MemoryConfig(cell="plain")),
    "dmanet_512": lambda given: run_rows(given, size=512),
}


def load(folder: Path, name: str) -> Arrays:
    """A reference file."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def main() -> None:
    """Print the table, or write the packed file."""
    parser = argparse.ArgumentParser(description="Compare DMANet with reference numbers.")
    parser.add_argument("folder", type=Path, help="of the full files")
    parser.add_argument("--only", nargs="*", default=["names", "blowup", *COMPARED], help="some of the files")
    parser.add_argument("--pack", action="store_true", help="write tests/golden/11_dmanet.xz instead")
    args = parser.parse_args()
    if args.pack:
        (GOLDEN / "11_dmanet.xz").write_bytes(pack(packed(args.folder)))
        return
    beyond = 0
    for name in args.only:
        whole = {"names": name_rows, "blowup": blowup_rows}.get(name)
        rows = whole(args.folder) if whole else COMPARED[name](load(args.folder, name))
        for key, worst, tolerance in rows:
            bad = not worst <= tolerance
            beyond += bad
            print(f"{name:26}{key:60}{worst:12.2e}{tolerance:10.0e}{'  BEYOND' if bad else ''}", flush=True)
    print(f"{beyond} beyond their tolerance")
    sys.exit(beyond > 0)


def packed(folder: Path) -> Arrays:
    """What the repository keeps: one window of pillars, and the network on a canvas of 128 pixels."""
    kept = {key: value for key, value in load(folder, "dmanet_pillars").items() if "1" not in key[:7]}
    for key in ("vox_voxels", "vox_coors", "vox_num"):
        del kept[key]
    for key, value in load(folder, "dmanet_128").items():
        if (key.endswith(("_b0", "_b1")) and key.startswith("det")) or key.endswith("__idx"):
            continue
        sampled = key.startswith(("anchors", "cls_t", "reg_t", "hidden", "cell", "feat")) and "__" not in key
        kept[f"128/{key}"] = value.reshape(-1)[::SAMPLED] if sampled else value
    return kept


if __name__ == "__main__":
    main()
