"""What commands and the processes that they start say on stderr: each line with its time and level."""

from __future__ import annotations

import logging
import warnings

from utils.commands.processes import process_rank
from utils.progress import in_terminal, terminal_handler

_NOISY = ("matplotlib", "numba", "PIL", "fsspec", "urllib3", "h5py")
_NOISY += ("pytorch_lightning", "lightning_fabric")

_EMITTERS = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.trainer.connectors.checkpoint_connector")
_MISLEADING = ("💡 Tip", "GPU available: ", "TPU available: ", "`Trainer(limit_", "`weights_only` was not set")
"""How lines of Lightning begin that advertise, or speak of settings that are ours; it raises its own level to INFO."""


def setup_logging() -> None:
    """Log to stderr with time and level, once; libraries speak from WARNING on, or without what misleads."""
    if not logging.getLogger().handlers:
        level = logging.INFO if process_rank() == 0 else logging.WARNING
        if in_terminal():  # above a bar, coloured unless NO_COLOR is set
            logging.basicConfig(level=level, format="%(message)s", handlers=[terminal_handler()])
        else:
            logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # Deprecations inside Lightning and notices about resuming say nothing that a user could act on.
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for emitter in _EMITTERS:
        logging.getLogger(emitter).addFilter(_helps)


def _helps(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_MISLEADING)
