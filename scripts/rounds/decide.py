"""Decide whether a further round of self-training is worth it; ``scripts/self_train.py`` calls it as a step.

It is not if the pseudo labels are less precise than those of the round before; or, with --val, if the student of the
round before is worse on val than its teacher or its control.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import make_parser
from scripts.rounds.stopping import ap_on_val, precision, worse_than
from utils.atomic import write_json
from utils.commands.cli import run_command

log = logging.getLogger(__name__)


def main() -> None:
    """Compare two rounds' labels, or a student with others, and leave the decision."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--val", action="store_true", help="figures are those of detectors on val, NAME_val.json")
    before = (
        "figures of val_dst.py on the labels of the round before (JSON); with --val of val.py, of several detectors"
    )
    parser.add_argument("before", type=Path, nargs="+", help=before)
    parser.add_argument("now", type=Path, help="... on those of this round; with --val of its student")
    parser.add_argument("decision", type=Path, help="JSON to write")
    parser.add_argument("marker", type=Path, help="file to write if there is to be no further round")
    arguments = parser.parse_args()
    decision: dict[str, object]
    if arguments.val:
        better = worse_than(arguments.now, arguments.before)
        name = arguments.now.stem.removesuffix("_val")
        others = " and ".join(path.stem.removesuffix("_val") for path in better or arguments.before)
        aps = [
            f"{path.stem.removesuffix('_val')} {100 * ap_on_val(path):.2f}"
            for path in (arguments.now, *arguments.before)
        ]
        said = f"on val {name} is {'' if better else 'not '}worse than {others} (AP: {', '.join(aps)})"
        decision = {"why": said, "stop": bool(better)}
    else:
        before, now = precision(arguments.before[0]), precision(arguments.now)
        decision = {"precision_before": before, "precision": now, "stop": now < before}
        said = f"precision {100 * now:.2f} % after {100 * before:.2f} %"
    if decision["stop"]:
        write_json(arguments.marker, decision)
    write_json(arguments.decision, decision)
    log.info("%s: %s", said, "stop" if decision["stop"] else "go on")


if __name__ == "__main__":
    run_command(main)
