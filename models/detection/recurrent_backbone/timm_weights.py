"""Weights of timm for the network within a recurrent backbone."""

from __future__ import annotations

import pickle  # for the name of its error
from pathlib import Path

from safetensors import SafetensorError

from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector, create_network
from utils.errors import UserError


def load_pretrained(detector: TimmRnnDetector, path: Path | str) -> None:
    """Start the network, not its memories, from a weight file of timm for this network; timm reads it.

    The first convolution is adapted to the channels of a frame as timm does it; a classifier is left out.

    Raises:
        UserError: no such file, or it does not fit the network.
    """
    name = detector.cfg.timm_name
    if not Path(path).is_file():
        raise UserError(
            expected=f"a weight file of timm for {name}",
            got="no such file",
            where=f"backbone.pretrained_file={path}",
            fix="give the path of a .safetensors or .pth file, or leave the key at null for random weights",
        )
    try:
        source = create_network(detector.cfg, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except (RuntimeError, pickle.UnpicklingError, OSError, KeyError, ValueError, SafetensorError) as error:
        raise UserError(
            expected=f"a weight file of timm for {name}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            where=f"backbone.pretrained_file={path}",
            fix="give a file of plain tensors for this network",
        ) from error
    detector.extractor.load_state_dict(source.state_dict())
