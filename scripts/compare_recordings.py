"""Look at a recording, or compare two event by event: after a conversion, or the same camera in two formats.

Prints what the files hold and what was repaired while reading. Two recordings are the same if x, y and p of every event
agree and all times differ by one constant; exit status 0 if so, 1 if not.

For example:
  python scripts/compare_recordings.py street.raw
  python scripts/compare_recordings.py street.raw street_td.dat
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.events.compare import compare
from data.events.open import open_recording
from data.events.recording import Recording
from scripts import make_parser
from utils.commands.cli import run_command


def describe(path: Path, recording: Recording) -> str:
    """One line about a recording."""
    known = "" if recording.size_known else " (from its events)"
    rate = recording.num_events / max(1, recording.duration_us)
    return (
        f"{path.name}: {recording.num_events} events, {recording.width} x {recording.height}{known}, "
        f"{recording.t_first_us} to {recording.t_last_us} µs, "
        + (f"{rate:.2f} M events/s" if rate >= 0.01 else f"{1e6 * rate:.3g} events/s")
    )


def _run() -> None:
    parser = make_parser(__file__, __doc__)
    parser.add_argument("first", type=Path, metavar="RECORDING", help="any format of docs/FORMATS.md")
    parser.add_argument("second", type=Path, metavar="RECORDING", nargs="?", help="what to compare it with")
    args = parser.parse_args()
    recordings = {path: open_recording(path) for path in (args.first, args.second) if path is not None}
    for path, recording in recordings.items():
        print(describe(path, recording))
    if args.second is None:
        return
    left, right = recordings[args.first], recordings[args.second]
    result = compare(left, right)
    low, high = result.offsets_us
    same = result.different == 0 and low == high and left.num_events == right.num_events
    place = f", the first number {result.first_different}" if result.different else ""
    print(f"x, y, p differ for {result.different} of {result.events} events{place}")
    print(f"times differ by {low} µs" if low == high else f"times differ by {low} to {high} µs")
    print("the same" if same else "not the same")
    if not same:
        sys.exit(1)


def main() -> None:
    """Command line."""
    run_command(_run)


if __name__ == "__main__":
    main()
