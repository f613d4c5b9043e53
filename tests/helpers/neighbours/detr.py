"""DETR against reference numbers: ``python -m tests.helpers.neighbours.detr FOLDER [--pack]``.

The files of the folder hold inputs of small networks and of DETR's own, and what came of them; the weights follow from
their names (``fill.py``). A table of all arrays, their worst errors and tolerances comes out, status 1 where one is
beyond. ``--pack`` writes what ``tests/golden/10_detr.xz`` holds of the files (``packed``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.detection.detr.backbone import LearnedPosition, SinePosition
from models.detection.detr.config import DetrConfig, LossConfig, ResnetConfig, TransformerConfig
from models.detection.detr.detector import DetrDetector
from models.detection.detr.losses import class_cost, set_losses, weighted
from models.detection.sets.boxes import Wanted, corners, generalised_iou
from models.detection.sets.detections import found
from tests.helpers.golden_files import GOLDEN, load_golden, pack
from tests.helpers.neighbours.fill import digest, fill

Arrays = dict[str, npt.NDArray[Any]]
Rows = list[tuple[str, float, float]]

ATOL, RTOL = 1e-4, 1e-4
"""Of every number; of sums over a large array the relative one is what counts."""
GRADIENTS = 1e-3
"""Relative, of the norms of gradients: float32 through the whole network and back."""

CASES = ("detr_small", "detr_small_prenorm", "detr_small_learned", "detr_small_dc5_r50", "detr_r50_full")
FROM_MAPS = CASES[:2]
"""Of these the packed file has the backbone's maps in place of images."""
PACKED = (*FROM_MAPS, "detr_small_dc5_r50", "detr_posenc", "detr_criterion")
_KEPT, _EVERY = 400, 7


def network_of(case: str) -> DetrDetector:
    """The network of a file, filled."""
    official = case == "detr_r50_full"
    sizes: dict[str, Any] = {} if official else {
        "dim": 32, "heads": 4, "encoder_layers": 2, "decoder_layers": 3, "feedforward": 64, "queries": 12,
    }  # fmt: skip
    deep = official or "r50" in case
    backbone = ResnetConfig(
        resnet="resnet50" if deep else "resnet18",
        input_channels=3,
        norm="frozen",
        frozen=("conv1", "layer1"),
        dilation="dc5" in case,
    )
    position = "learned" if "learned" in case else "sine"
    transformer = TransformerConfig(pre_norm="prenorm" in case, position=position, **sizes)
    detector = DetrDetector(
        DetrConfig(num_classes=91 if official else 7, backbone=backbone, transformer=transformer)
    ).eval()
    return fill(detector, **rule(transformer.dim))


def rule(dim: int) -> dict[str, Any]:
    """How the weights of a network of this width are filled."""
    scales = [("query_embed", 3 * dim**0.5), ("in_proj_weight", 2.0), (r"input_proj\.weight", 4.0)]
    return {
        "norm_base": 0.5,
        "norm_re": r"^backbone\.",
        "scales": [*scales, ("^backbone.*bias", 0.3), ("_proj.*bias", 0.2)],
    }


def wanted_from(arrays: Arrays) -> Wanted:
    """Boxes of the frames ``tgt0``, ``tgt1``, ..."""
    frames = [index for index in range(9) if f"tgt{index}_labels" in arrays]
    counts = [len(arrays[f"tgt{index}_labels"]) for index in frames]
    box, class_id = torch.zeros(len(frames), max(counts), 4), torch.zeros(len(frames), max(counts), dtype=torch.int64)
    real = torch.zeros(len(frames), max(counts), dtype=torch.bool)
    for index, count in zip(frames, counts, strict=True):
        box[index, :count] = torch.from_numpy(arrays[f"tgt{index}_boxes"])
        class_id[index, :count] = torch.from_numpy(arrays[f"tgt{index}_labels"])
        real[index, :count] = True
    return Wanted(box, class_id, real, torch.zeros_like(real), counts)


def padded(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Images of several sizes as one batch, padded at the right and the bottom, and where they are padded."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    batch, padding = (
        torch.zeros(len(images), 3, height, width),
        torch.ones(len(images), height, width, dtype=torch.bool),
    )
    for index, image in enumerate(images):
        batch[index, :, : image.shape[1], : image.shape[2]] = image
        padding[index, : image.shape[1], : image.shape[2]] = False
    return batch, padding


def computed(case: str, arrays: Arrays) -> Arrays:
    """What the network makes of a file's inputs: its arrays by name; from the maps where there are no images."""
    detector, wanted = network_of(case), wanted_from(arrays)
    images = [torch.from_numpy(arrays[f"img{index}"]) for index in range(9) if f"img{index}" in arrays]
    if images:
        batch, padding = padded(images)
    else:
        batch, padding = torch.from_numpy(arrays["src"]), torch.from_numpy(arrays["mask_feat"])
        detector.backbone[0] = nn.Identity()
    outputs = detector(batch, padding)
    losses = set_losses(outputs.logits, outputs.box, wanted, detector.cfg.loss)
    total = weighted(losses, detector.cfg.loss)["loss"]
    total.backward()
    size = arrays["mask_feat"].shape[1:]
    memory = outputs.memory.transpose(1, 2).unflatten(2, size)
    result: dict[str, Any] = {"pos": outputs.position, "memory": memory, "hs": outputs.queries, "src": outputs.source}
    result |= {
        f"{name}__{key}": value for name in ("src", "memory", "hs") for key, value in digest(result[name]).items()
    }
    layers = len(outputs.logits)
    for layer in range(layers):
        last = layer == layers - 1
        head = "pred_" if last else f"aux{layer}_"
        result |= {f"{head}logits": outputs.logits[layer], f"{head}boxes": outputs.box[layer]}
        for name, value in losses.by_name.items():
            result[f"loss__{name}" if last else f"loss__{name}_{layer}"] = value[layer]
        for frame, count in enumerate(wanted.counts):
            query = losses.query[layer, frame, :count]
            key = f"match{frame}" if last else f"aux{layer}_match{frame}"
            result |= {f"{key}_src": query.sort().values, f"{key}_tgt": query.argsort()}
    result["total"] = total
    said = torch.cat(
        (corners(outputs.box[-1]) * torch.tensor([640, 480] * 2), outputs.logits[-1].softmax(-1)[..., :-1]), -1
    )
    for frame, rows in enumerate(said):
        score, label = rows[:, 4:].max(-1)
        result |= {f"post{frame}_scores": score, f"post{frame}_labels": label, f"post{frame}_boxes": rows[:, :4]}
        assert torch.equal(found(said, 0.0)[frame][:, 5], score.sort(descending=True).values)
    grads = {name: weight.grad.norm() for name, weight in detector.named_parameters() if weight.grad is not None}
    if images:
        names = [str(name) for name in arrays["gradnorm_names"]]
        assert sorted(names) == sorted(grads), "the weights that are trained"
        result["gradnorm_vals"] = torch.stack([grads[name] for name in names])
    weights: dict[str, float] = dict(zip(("loss_ce", "loss_bbox", "loss_giou"), detector.cfg.loss.weights, strict=True))
    result["wd_vals"] = np.array(
        [weights["_".join(str(name).split("_")[:2])] for name in arrays["wd_names"]], np.float32
    )
    return {name: np.asarray(x.detach() if isinstance(x, Tensor) else x) for name, x in result.items()}


def parts(arrays: Arrays) -> Arrays:
    """Encodings, costs and losses of ``detr_posenc`` and ``detr_criterion``, by the files' names."""
    result: dict[str, Any] = {}
    if "mask" in arrays:
        padding = torch.from_numpy(arrays["mask"])
        result = {"sine128_norm": SinePosition(128)(padding), "sine16_norm": SinePosition(16)(padding)}
        result |= {"sine16_raw": SinePosition(16, False)(padding), "learned16": fill(LearnedPosition(16))(padding)}
    else:
        logits, box = (torch.from_numpy(arrays[f"pred_{name}"])[None] for name in ("logits", "boxes"))
        wanted, cfg = wanted_from(arrays), LossConfig()
        losses = set_losses(logits, box, wanted, cfg)
        every = torch.cat([wanted.box[frame, :count] for frame, count in enumerate(wanted.counts)])
        ids = torch.cat([wanted.class_id[frame, :count] for frame, count in enumerate(wanted.counts)])
        of_class = class_cost(logits, Wanted(every[None], ids[None], ids[None] >= 0, ids[None] < 0, [len(ids)]))[0]
        overlap = generalised_iou(corners(box[0]).unsqueeze(-2), corners(every))[1]
        result = {"giou": overlap.flatten(0, 1), "cost": of_class + 5 * torch.cdist(box[0], every, p=1) - 2 * overlap}
        result |= {f"loss__{name}": value[-1] for name, value in losses.by_name.items()}
        for frame, count in enumerate(wanted.counts):
            query = losses.query[0, frame, :count]
            result |= {f"match{frame}_src": query.sort().values, f"match{frame}_tgt": query.argsort()}
    return {name: np.asarray(x.detach()) for name, x in result.items()}


def thinned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A small array whole, of a larger one every 7th number."""
    return array if array.size <= _KEPT else np.ascontiguousarray(array.reshape(-1)[::_EVERY])


def errors(ours: Arrays, theirs: Arrays, *, thin: bool = False, indices: bool = True) -> Rows:
    """Name, worst error as a share of the tolerance's two parts together, and worst error, of every array of both."""
    rows = []
    for name in sorted(ours.keys() & theirs.keys()):
        if not indices and ("match" in name or "_labels" in name or "error" in name):
            continue  # queries that are almost alike change places with the last bit
        whole = ours[name].shape == theirs[name].shape or not thin
        mine = ours[name] if whole else thinned(ours[name])
        assert mine.shape == theirs[name].shape, f"{name}: {mine.shape} against {theirs[name].shape}"
        off = np.abs(mine.astype(np.float64) - theirs[name])
        share = off / (ATOL + (GRADIENTS if "grad" in name else RTOL) * np.abs(theirs[name].astype(np.float64)))
        rows.append((name, float(share.max(initial=0)), float(off.max(initial=0))))
    return rows


def packed(folder: Path) -> Arrays:
    """What the repository keeps of the files, as ``case/name``."""
    kept: Arrays = {}
    for case in PACKED:
        arrays = dict(np.load(folder / f"{case}.npz"))
        left = ("img", "gradnorm", "src__") if case in FROM_MAPS else ("src",)
        arrays = {name: array for name, array in arrays.items() if not name.startswith(left) or name == "src__val"}
        for name, array in arrays.items():
            whole = name.startswith(("img", "tgt", "mask", "pred_")) or (name == "src" and case in FROM_MAPS)
            kept[f"{case}/{name}"] = array if whole else thinned(array)
    table = json.loads((folder / "detr_names.json").read_text())["detr_r50_coco"]
    short = {name: [entry["shape"], entry["kind"] == "param", entry["requires_grad"]] for name, entry in table.items()}
    return kept | {"names": np.frombuffer(json.dumps(short, separators=(",", ":")).encode(), np.uint8)}


def report(case: str, rows: Rows) -> bool:
    """Write a table; whether all is within."""
    for name, share, worst in rows:
        sys.stdout.write(f"{case:20} {name:28} worst {worst:.2e}  {share:6.3f} of the tolerance\n")
    return all(share <= 1 for _, share, _ in rows)


def main() -> int:
    """Compare, and perhaps pack."""
    parser = argparse.ArgumentParser(description="Compare DETR with reference numbers of a folder.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with detr_*.npz")
    parser.add_argument("--pack", action="store_true", help="write tests/golden/10_detr.xz")
    args = parser.parse_args()
    good = True
    for case in (*CASES, "detr_posenc", "detr_criterion"):
        arrays = dict(np.load(args.folder / f"{case}.npz"))
        ours = computed(case, arrays) if case in CASES else parts(arrays)
        good &= report(case, errors(ours, arrays, indices=case != "detr_r50_full"))
    if args.pack:
        content = pack(packed(args.folder))
        (GOLDEN / "10_detr.xz").write_bytes(content)
        assert len(load_golden("10_detr")) == len(packed(args.folder))
        sys.stdout.write(f"10_detr.xz: {len(content)} bytes\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
