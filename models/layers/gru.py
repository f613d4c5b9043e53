"""Convolutional GRU with 1x1 gates: an ordinary GRU over time for each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import cudnn


class ConvGru(nn.Module):
    """Gated recurrent unit (Cho et al., 2014) over the pixels of a map.

    The weights are those of ``nn.GRU``, which runs a sequence fused; while exporting or compiling the same steps are
    written out.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.gru = nn.GRU(dim, dim)

    def forward(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run over time.

        Args:
            x: inputs [L, B, h, w, C], channels last.
            state: hidden state [B, C, h, w] before the first step, None for zeros.

        Returns:
            hidden states [L, B, h, w, C] and the last of them, [B, C, h, w].
        """
        hidden = x.new_zeros(x.shape[1:]) if state is None else state.to(x.dtype).permute(0, 2, 3, 1)
        if torch.compiler.is_compiling():
            outputs = self._loop(x, hidden)
            hidden = outputs[-1].clone()
        else:
            flat, state = x.reshape(x.shape[0], -1, self.dim), hidden.reshape(1, -1, self.dim)
            if x.device.type == "cuda":
                outputs, last = cudnn.recur(cudnn.gru, flat, [state], list(self.gru.parameters()))
            else:
                outputs, last = self.gru(flat, state)
            outputs, hidden = outputs.view(x.shape), last.view(hidden.shape)
        # Not outputs[-1] itself: that would keep the outputs of all steps alive for as long as the state is kept.
        return outputs, hidden.permute(0, 3, 1, 2)

    def _loop(self, x: Tensor, hidden: Tensor) -> Tensor:
        weight_x, weight_h, bias_x, bias_h = self.gru.parameters()
        gates_x = F.linear(x, weight_x, bias_x)
        outputs = []
        for step in gates_x:
            reset_x, update_x, new_x = step.chunk(3, dim=-1)
            reset_h, update_h, new_h = F.linear(hidden, weight_h, bias_h).chunk(3, dim=-1)
            update = (update_x + update_h).sigmoid()
            new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
            hidden = new + update * (hidden - new)
            outputs.append(hidden)
        return torch.stack(outputs)
