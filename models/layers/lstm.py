"""Convolutional LSTM with 1x1 gates: an ordinary LSTM over time for each pixel."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import cudnn
from models.layers.config import LstmConfig

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state of one stage, each [B, C, h, w]."""


class ConvLstm(nn.Module):
    """LSTM cell with 1x1 gates over ``cat(x, h)`` in the order forget, input, output, cell input.

    With plain gates a sequence runs in torch's fused LSTM, unless ``fused`` is off. With ``dws_conv`` a depthwise
    convolution precedes the gates (RVT) and the steps are looped over; being depthwise it splits into an input and a
    hidden half, so that only the latter is sequential.
    """

    def __init__(self, dim: int, cfg: LstmConfig, chrono_t_max: int | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.fused = cfg.fused
        self.conv_input = cfg.dws_conv and not cfg.dws_conv_only_hidden
        if cfg.dws_conv:
            dws_dim = 2 * dim if self.conv_input else dim
            kernel = cfg.dws_conv_kernel_size
            self.conv3x3_dws = nn.Conv2d(dws_dim, dws_dim, kernel, padding=kernel // 2, groups=dws_dim)
        else:
            self.conv3x3_dws = None
        self.conv1x1 = nn.Conv2d(2 * dim, 4 * dim, 1)
        self.cell_update_dropout = nn.Dropout(cfg.drop_cell_update)
        self._kept_weights: list[Tensor] | None = None
        if chrono_t_max is not None:
            self._init_chrono(chrono_t_max)

    def _init_chrono(self, t_max: int) -> None:
        """Forget bias log T and input bias -log T (Tallec and Ollivier, 2018, at the upper end)."""
        bias = self.conv1x1.bias
        assert bias is not None
        with torch.no_grad():
            bias[: self.dim].fill_(math.log(t_max))
            bias[self.dim : 2 * self.dim].fill_(-math.log(t_max))

    def forward(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        """Run over time.

        Args:
            x: inputs [L, B, h, w, C], channels last.
            state: hidden and cell state [B, C, h, w] before the first step, None for zeros.

        Returns:
            hidden states [L, B, h, w, C] and the state after the last step, [B, C, h, w] each.
        """
        fused = self.fused and self.is_plain and not torch.compiler.is_compiling() and not _half_on_cpu(x)
        in_cudnn = fused and x.device.type == "cuda"  # casts states once, and not if they have the type already
        if state is None:
            hidden = cell = x.new_zeros(x.shape[1:])
        else:
            hidden, cell = ((s if in_cudnn else s.to(x.dtype)).permute(0, 2, 3, 1) for s in state)
        if not fused:
            outputs, hidden, cell = self._loop(x, hidden, cell)
        elif in_cudnn:
            outputs, hidden, cell = self._fused_cudnn(x, hidden, cell)
        else:
            outputs, hidden, cell = self._fused(x, hidden, cell) if _fuses(x) else self._fused_float32(x, hidden, cell)
        # Not outputs[-1]: that would keep the outputs of all steps alive for as long as the state is kept.
        return outputs, (hidden.permute(0, 3, 1, 2), cell.permute(0, 3, 1, 2))

    @property
    def is_plain(self) -> bool:
        """Whether the recurrence is an ordinary LSTM per pixel, which torch can run fused."""
        return self.conv3x3_dws is None and (self.cell_update_dropout.p == 0.0 or not self.training)

    def keep_weights(self) -> None:
        """Order the weights for torch's LSTM now, and not at every call; they must not change any more."""
        self._kept_weights = cudnn.one_piece([weight.detach() for weight in self._fused_weights()])

    def _fused_weights(self) -> list[Tensor]:
        """Weights of torch's LSTM: of inputs and hidden state, and two biases, of which the second is zero.

        They are views into one buffer, in the order in which cuDNN wants them.
        """
        if self._kept_weights is not None:
            return self._kept_weights
        dim, bias = self.dim, self.conv1x1.bias
        assert bias is not None
        of_inputs, of_hidden = self.conv1x1.weight.view(4, dim, 2, dim).unbind(2)
        rows = [*_to_torch_gates(of_inputs), *_to_torch_gates(of_hidden), *_to_torch_gates(bias.view(4, 1, dim))]
        whole = torch.cat([*rows, bias.new_zeros(4, dim)])
        *weights, first, second = whole.split([4 * dim, 4 * dim, 4, 4])
        return [*weights, first.view(-1), second.view(-1)]

    def _fused(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All steps in torch's LSTM (oneDNN), with pixels as its batch."""
        state = [s.reshape(1, -1, self.dim) for s in (hidden, cell)]
        params = self._fused_weights()
        outputs, *last = torch.lstm(x.flatten(1, 3), state, params, True, 1, 0.0, self.training, False, False)
        return outputs.view(x.shape), last[0].view(cell.shape), last[1].view(cell.shape)

    def _fused_float32(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same in float32, with results as of autocast."""
        with torch.autocast(x.device.type, enabled=False):
            outputs, hidden, cell = self._fused(x.float(), hidden.float(), cell.float())
        dtype = torch.get_autocast_dtype(x.device.type)
        return outputs.to(dtype), hidden.to(dtype), cell.to(dtype)

    def _fused_cudnn(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same on a GPU."""
        state = [s.reshape(1, -1, self.dim) for s in (hidden, cell)]
        outputs, *last = cudnn.recur(cudnn.lstm, x.flatten(1, 3), state, self._fused_weights())
        return outputs.view(x.shape), last[0].view(cell.shape), last[1].view(cell.shape)

    def _loop(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step by step; the half of the gates that depends on the input is computed for all steps at once."""
        weight_x, weight_h = self.conv1x1.weight.flatten(1).split(self.dim, dim=1)
        if self.conv_input:
            flat = x.flatten(0, 1).permute(0, 3, 1, 2)
            x = self._depthwise(flat, slice(None, self.dim)).permute(0, 2, 3, 1).view_as(x)
        gates_x = F.linear(x, weight_x, self.conv1x1.bias)
        channels = slice(self.dim, None) if self.conv_input else slice(None)
        outputs = []
        for gates_t in gates_x:
            if self.conv3x3_dws is not None:
                hidden = self._depthwise(hidden.permute(0, 3, 1, 2), channels).permute(0, 2, 3, 1)
            gates = gates_t + F.linear(hidden, weight_h)
            forget, inp, out = gates[..., : 3 * self.dim].sigmoid().chunk(3, dim=-1)
            update = self.cell_update_dropout(gates[..., 3 * self.dim :].tanh())
            cell = forget * cell + inp * update
            hidden = out * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs), hidden, cell

    def _depthwise(self, x: Tensor, channels: slice) -> Tensor:
        conv = self.conv3x3_dws
        assert conv is not None
        assert conv.bias is not None
        weight = conv.weight[channels]
        return F.conv2d(x, weight, conv.bias[channels], padding=weight.shape[-1] // 2, groups=len(weight))


def _half_on_cpu(x: Tensor) -> bool:
    """Whether the arithmetic would be float16 on a CPU, for which there is no fused LSTM."""
    if x.device.type != "cpu":
        return False
    return (torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype) == torch.float16


def _fuses(x: Tensor) -> bool:
    """Whether torch has a fused LSTM for the arithmetic: on a CPU, autocast's in bfloat16 needs AVX-512."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return True
    return torch.get_autocast_dtype("cpu") != torch.bfloat16 or torch.backends.cpu.get_cpu_capability() == "AVX512"


def _to_torch_gates(gates: Tensor) -> tuple[Tensor, ...]:
    """The rows [4, ...] of forget, input, output, cell input as torch's input, forget, cell input, output."""
    forget, inp, out, update = gates.unbind(0)
    return inp, forget, update, out
