"""Which callbacks a training has."""

from __future__ import annotations

from pytorch_lightning.callbacks import Callback

from modules.callbacks.bad_loss import BadLoss
from modules.callbacks.health import Health
from modules.callbacks.pictures import Pictures
from modules.callbacks.speed import FetchTimer, Speed
from modules.processes.host_group import SharedFlags
from modules.training.batch_size import StepDown
from modules.training.settings import RunSettings


def watchers(run: RunSettings, timer: FetchTimer, flags: SharedFlags) -> list[Callback]:
    """What watches over a training: losses, speed, health, pictures, memory.

    Args:
        run: its settings.
        timer: the trainer's profiler.
        flags: what processes compare in each step.
    """
    shown, folder, dataset = run.logging, run.folder.dir, run.config["dataset"]
    workers = int(run.config["hardware"]["num_workers"]["train"])
    return [
        BadLoss(run.training.on_bad_loss, flags),
        Speed(timer, shown.log_every_n_steps, shown.data_wait_warning, workers),
        Health(shown.health),
        Pictures(shown.pictures, folder, list(dataset["classes"])),
        StepDown(folder, run.training),
    ]
