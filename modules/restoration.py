"""A network that sharpens clips, as a LightningModule: training, and evaluation by PSNR and SSIM."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.restoration.interface import Restorer
from models.restoration.tiles import TileSettings, Window, restored
from modules.weights.module import NetworkModule
from utils.settings import settings_of

log = logging.getLogger(__name__)

FIGURES = ("PSNR", "SSIM")
"""Of restored frames against sharp ones: means over frames, higher ones better."""

BLURRED = ("PSNR_blurred", "SSIM_blurred")
"""The same of what went in: what is to be surpassed."""


class RestorationModule(NetworkModule):
    """A network of any family that sharpens clips.

    Args:
        config: the composed configuration as plain containers (it is stored in checkpoints).

    Raises:
        UserError: a setting that cannot be.
    """

    mdl: Restorer

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config, "restoration")
        assert isinstance(self.mdl, Restorer), "families of this task build such networks"
        self.mdl.check_alone()
        self.tiles = settings_of(TileSettings, config, "model.tiles")
        self.means = torch.nn.ModuleList(MeanMetric() for _ in (*FIGURES, *BLURRED))
        self.counted: dict[str, int] = {}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of one batch of clips."""
        blurred, sharp, spikes = (batch[name] for name in ("blurred", "sharp", "spikes"))
        restored_frames = self.mdl.restore(as_floats(blurred), self._spikes(spikes))
        losses = self.mdl.losses(restored_frames, as_floats(sharp))
        self.log("train/loss", losses["loss"], prog_bar=True, batch_size=len(blurred))
        others = {f"train/{name}": value.detach().float() for name, value in losses.items() if name != "loss"}
        self.log_dict(others, batch_size=len(blurred))
        return losses["loss"]

    def on_validation_epoch_start(self) -> None:
        """Start with empty means."""
        self._start()

    def on_test_epoch_start(self) -> None:
        """Start with empty means."""
        self._start()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Restore a batch of clips, piece by piece, and compare."""
        self._compare(batch)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """As ``validation_step``, on the test split."""
        self._compare(batch)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/PSNR`` and so on."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Log ``test/PSNR`` and so on."""
        self._log_figures("test")

    def restore(self, batch: Mapping[str, Any]) -> Tensor:
        """Sharp frames of a batch of clips, RGB limited to [0, 1], [B, T, 3, H, W]."""
        length, (height, width) = batch["blurred"].shape[1], batch["blurred"].shape[-2:]
        frames = restored(self.mdl, partial(self._read, batch), length, (height, width), self.tiles)
        return torch.stack(list(frames), dim=1).clamp(0, 1)

    def _read(self, batch: Mapping[str, Any], start: int, stop: int, window: Window) -> tuple[Tensor, Tensor | None]:
        rows, columns = window
        blurred = batch["blurred"][:, start:stop, :, rows, columns]
        return as_floats(blurred), self._spikes(batch["spikes"][:, start:stop, :, rows, columns])

    def _spikes(self, spikes: Tensor) -> Tensor | None:
        return spikes.float() if self.mdl.spike_bins else None

    def _start(self) -> None:
        for mean in self._means.values():
            mean.reset()
        self.counted = {}

    @property
    def _means(self) -> dict[str, MeanMetric]:
        return dict(zip((*FIGURES, *BLURRED), cast("list[MeanMetric]", list(self.means)), strict=True))

    def _compare(self, batch: Mapping[str, Any]) -> None:
        counts = batch["counted"]
        if not bool(counts.any()):
            return
        sharp, blurred = (as_floats(batch[name])[counts] for name in ("sharp", "blurred"))
        for names, frames in ((FIGURES, self.restore(batch)[counts]), (BLURRED, blurred)):
            for name, values in zip(names, likeness(frames, sharp), strict=True):
                self._means[name].update(values)
        self.counted["frames"] = self.counted.get("frames", 0) + len(sharp)

    def _log_figures(self, prefix: str) -> None:
        if self.trainer.sanity_checking:
            return
        figures = {name: float(mean.compute()) for name, mean in self._means.items()}
        for name, value in figures.items():
            self.log(f"{prefix}/{name}", value, rank_zero_only=False)
        if self.trainer.state.fn == "fit" and self.trainer.is_global_zero:
            log.info("step %d: %s", self.trainer.global_step, figures_line(figures))


def as_floats(pictures: Tensor) -> Tensor:
    """RGB uint8 as floats in [0, 1]."""
    return pictures.float() / 255


def likeness(frames: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor]:
    """PSNR in decibels and SSIM of each frame, in float32 whatever the network computes in; [n, 3, H, W] in [0, 1]."""
    frames, sharp = frames.float(), sharp.float()
    with torch.autocast(frames.device.type, enabled=False):
        psnr = peak_signal_noise_ratio(frames, sharp, data_range=1.0, reduction="none", dim=(1, 2, 3))
        ssim = structural_similarity_index_measure(frames, sharp, data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)
    return psnr, ssim.reshape(-1)


def figures_line(figures: Mapping[str, float]) -> str:
    """Figures of a validation in a line; what stands before a slash is left out.

    >>> figures_line({"val/PSNR": 31.234, "val/SSIM": 0.91, "val/PSNR_blurred": 28.0})
    'PSNR 31.23 dB, SSIM 0.9100, PSNR_blurred 28.00 dB'
    """
    return ", ".join(f"{name} {_told(name, value)}" for name, value in _short(figures).items())


def figures_table(
    figures: Mapping[str, float], classes: object, title: str, counted: Mapping[str, int] | None = None
) -> str:
    """Rows: restored and blurred frames; columns: PSNR and SSIM. There are no classes."""
    lines = [f"{title}, {(counted or {}).get('frames', 0)} frames", f"{'':<10}{'PSNR, dB':>10}{'SSIM':>10}"]
    for label, (psnr, ssim) in (("restored", FIGURES), ("blurred", BLURRED)):
        lines.append(f"{label:<10}{figures[psnr]:>10.2f}{figures[ssim]:>10.4f}")
    return "\n".join(lines)


def _short(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.split("/")[-1]: value for name, value in figures.items()}


def _told(name: str, value: float) -> str:
    return f"{value:.2f} dB" if name.startswith("PSNR") else f"{value:.4f}"
