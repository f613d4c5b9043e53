"""What is run on both sides."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """A case.

    Attributes:
        spec: what the runner takes: the kind of the case and its options.
        title: for the table.
        calls: in a process, of which the median counts; the first of several is left out.
        whole: the process counts from its start to its end.
    """

    spec: str
    title: str
    calls: int = 1
    whole: bool = False


CASES = {
    **{
        f"loading-{sampling}-{kind}": Case(f"loading:{sampling}:{kind}", f"loading, {sampling}, {kind}, 200 frames", 5)
        for sampling in ("random", "stream")
        for kind in ("plain", "augmented")
    },
    **{f"frame-{size}": Case(f"frame:{size}", f"four single frames, {size}", 7) for size in ("tiny", "small", "base")},
    **{
        f"{engine}-{size}": Case(f"frame:{size}:{engine}", f"four single frames, {size}, engine={engine}", 7)
        for engine in ("onnx", "openvino")
        for size in ("tiny", "small", "base")
    },
    **{f"step-{size}": Case(f"step:{size}", f"training step, {size}, L5 B2", 3) for size in ("tiny", "small")},
    **{
        f"step-{size}-bf16": Case(f"step:{size}:bf16", f"training step, {size}, L5 B2, bfloat16", 3)
        for size in ("tiny", "small")
    },
    "labelling": Case("labelling", "labelling, mirrored and reversed too, the command"),
    "labelling-alone": Case("labelling:alone", "labelling, mirrored and reversed too, without start and report"),
    **{
        f"evaluation-{count}k": Case(f"evaluation:{count}000:protocol", f"evaluation, {count},000 frames")
        for count in (20, 40, 80)
    },
    "evaluation-all": Case("evaluation:20000:all", "evaluation, all figures, 20,000 frames"),
    "preprocessing-gen1": Case("preprocessing:240x304", "preprocessing, Gen1, 10 million events", 3),
    "preprocessing-1mpx": Case("preprocessing:720x1280", "preprocessing, 1 Mpx, 10 million events", 3),
    "start-help": Case("start:help", "train.py --help", whole=True),
    "start-key": Case("start:key", "a key that there is not", whole=True),
    "start-dataset": Case("start:dataset", "a dataset that is missing", whole=True),
    "start-step": Case("first", "train.py to the end of its first step", whole=True),
}
