"""Kill labelling with SIGKILL at random moments, start it again each time, and compare every byte; and measure memory.

An undisturbed run of predict.py and one that is killed again and again (a random moment after a random amount of work,
or while the program starts) must end with the same files. Then the peak memory of fresh runs over more and more
sequences is measured, which must not grow.

For example:
  python scripts/soak/labelling.py --kills 10
  python scripts/soak/labelling.py --kills 10 --processes 2 --memory
  python scripts/soak/labelling.py --kills 0 --memory 4 8 16 32 64 --report REPORT.md --picture MEMORY.png
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import check_least
from scripts.soak.runs import TINY, Kill, SoakRun, build_parser, end, kill_table, make_data, new_folder, soak
from scripts.soak.training import Training
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.charts import chart
from utils.tables import table

LABELLER = (
    "model=pseudo_labeler", "tta.enable=true", "dataset.ratio=0.25", "model.pseudo_label.obj_thresh=0.01",
    "model.pseudo_label.cls_thresh=0.01",
)  # fmt: skip


class Labelling(SoakRun):
    """A run of predict.py; its state is the finished sequences, and those that wait for the other direction of time.

    Args:
        output: its folder; labels go to ``output/labels``.
        settings: of predict.py.
    """

    heads = ("sequences finished", "half done")

    def __init__(self, output: Path, settings: Sequence[str]) -> None:
        self.labels = output / "labels"
        target = f"save_dir={self.labels / 'train'}"
        arguments = [*settings, target, "logging.report=false"]  # a report says when it was made
        super().__init__(output, "predict.py", arguments, self.labels / "summary.json")

    def state(self) -> tuple[int, int]:
        """Sequences that are finished, and half done."""
        split = self.labels / "train"
        finished = sum(not path.name.startswith(".") for path in split.glob("*"))
        return finished, sum(1 for _ in split.glob(".views/[!.]*"))

    def work(self) -> int:
        """One for each sequence and direction of time."""
        finished, waiting = self.state()
        return 2 * finished + waiting

    def peak_mib(self) -> float:
        """Run to the end in a fresh process; returns its largest resident memory in MiB."""
        process = self.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise UserError(
                expected="labelling that ends well",
                got=f"exit status {process.returncode}",
                where=str(self.output / "killed.log"),
                fix="see this log",
            )
        return usage.ru_maxrss / 1024


def linked_dataset(source: Path, target: Path, count: int) -> Path:
    """A dataset of ``count`` training sequences, which are links to those of ``source`` in turn."""
    sequences = sorted(path for path in (source / "train").iterdir() if path.is_dir())
    links = {target / "train" / f"{number:04d}": sequences[number % len(sequences)] for number in range(count)}
    links |= {target / split: source / split for split in ("val", "test") if (source / split).is_dir()}
    (target / "train").mkdir(parents=True, exist_ok=True)
    for link, place in links.items():
        if not link.is_symlink():
            link.symlink_to(place.resolve())
    return target


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file and target of every link, by path."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def report(kills: Sequence[Kill], files: int, different: Sequence[str]) -> str:
    """The kills and what came of them, as Markdown."""
    verdict = f"NO: {', '.join(different[:5])}" if different else "yes"
    return kill_table(Labelling.heads, kills, f"All {files} files as of the undisturbed run? {verdict}")


def save_picture(peaks: dict[int, float], path: Path) -> None:
    """Draw peak memory against the number of sequences, as PNG."""
    with chart(path, (5, 3.5)) as ((axis,),):
        axis.plot(list(peaks), list(peaks.values()), "o-")
        axis.set(xlabel="sequences", ylabel="peak memory of predict.py, MiB", ylim=(0, 1.2 * max(peaks.values())))


def main() -> None:
    """Kill, compare and measure; exit status 1 when a byte differs."""
    parser = build_parser(__file__, __doc__, 10, "predict.py")
    add = parser.add_argument
    add("--sequences", type=int, default=None, metavar="N", help="to label (default: two per kill, at least 8)")
    add("--memory", type=int, nargs="*", default=[4, 8, 16, 32], metavar="N", help="sequences (default: 4 8 16 32)")
    add("--dataset-path", type=Path, metavar="DATA", help="a synthetic dataset (default: a tiny one is made)")
    add("--picture", type=Path, metavar="FILE.png", help="draw memory against the number of sequences")
    args = parser.parse_intermixed_args()
    check_least(args, kills=0, sequences=2, memory=2)
    folder = new_folder(args)
    source = args.dataset_path or make_data(folder)
    few = ["training.max_steps=10", "hardware.num_workers.train=0", f"dataset.path={source}", *args.overrides]
    teacher = Training(folder / "teacher", [*TINY, *few])
    teacher.finish()
    settings = [*TINY, *LABELLER, f"checkpoint={teacher.output / 'last.ckpt'}", *args.overrides]

    def labelling(name: str, count: int, processes: int) -> Labelling:
        dataset = linked_dataset(source, folder / f"dataset{count}", count)
        more = [f"dataset.path={dataset}", f"hardware.num_processes={processes}"]
        return Labelling(folder / "runs" / name, [*settings, *more])

    parts, different, kills = [], [], []
    if args.kills:
        count = args.sequences or max(8, 2 * args.kills)
        undisturbed, killed = (labelling(name, count, args.processes) for name in ("undisturbed", "killed"))
        kills = soak(killed, args.kills, 2 * count, args.seed, undisturbed.finish() / 2)
        one, other = tree(undisturbed.labels), tree(killed.labels)
        different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        parts.append(report(kills, len(one), different))
    peaks = {count: labelling(f"memory{count}", count, 1).peak_mib() for count in sorted(set(args.memory))}
    if peaks:
        rows = [(count, f"{peak:.0f}") for count, peak in peaks.items()]
        parts.append("\n".join([*table(("sequences", "peak memory, MiB"), rows), ""]))
        if args.picture is not None:
            save_picture(peaks, args.picture)
    end(args, "\n".join(parts), not different and len(kills) == args.kills)


if __name__ == "__main__":
    run_command(main)
