"""Run a command unless one of some files exists: ``python scripts/rounds/unless.py FILE... -- COMMAND...``.

Jobs that wait in a queue for a decision become nothing when it is against them; see ``scripts/rounds/stopping.py``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Become the command, or say why not and end well."""
    words = sys.argv[1:]
    border = words.index("--")
    present = [marker for marker in words[:border] if Path(marker).exists()]
    if present:
        print(f"not needed: {present[0]} is there")
        return
    command = words[border + 1 :]
    os.execv(command[0], command)  # noqa: S606 # the same process, so that it gets SLURM's signals itself


if __name__ == "__main__":
    main()
