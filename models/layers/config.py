"""Checked settings of the building blocks."""

from __future__ import annotations

from dataclasses import dataclass

from models.checks import require, require_positive, require_share


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Window and grid attention blocks (MaxViT, Tu et al. 2022, as used in RVT).

    Args:
        dim_head: channels of one attention head; divides the channels of every stage.
        attention_bias: bias in the qkv and output projections.
        mlp_ratio: hidden width of the MLP against its input.
        mlp_gated: gated MLP (two thirds of the width, rounded down to a multiple of 32).
        mlp_bias: bias in the MLP.
        drop_mlp: dropout in the MLP.
        drop_path: stochastic depth of both residual branches.
        ls_init_value: initial LayerScale.
        norm_eps: epsilon of every LayerNorm.
    """

    dim_head: int = 32
    attention_bias: bool = True
    mlp_ratio: float = 4.0
    mlp_gated: bool = False
    mlp_bias: bool = True
    drop_mlp: float = 0.0
    drop_path: float = 0.0
    ls_init_value: float = 1e-5
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        require_positive(self.dim_head, "backbone.attention.dim_head")
        require_positive(self.mlp_ratio, "backbone.attention.mlp_ratio")
        require_positive(self.norm_eps, "backbone.attention.norm_eps")
        require_share(self.drop_mlp, "backbone.attention.drop_mlp")
        require_share(self.drop_path, "backbone.attention.drop_path")


@dataclass(frozen=True, kw_only=True)
class LstmConfig:
    """Convolutional LSTM of each stage.

    Args:
        dws_conv: depthwise convolution before the gates.
        dws_conv_only_hidden: on the hidden state alone; otherwise on input and hidden state.
        dws_conv_kernel_size: its odd kernel size.
        drop_cell_update: dropout of the cell input.
        fused: run plain gates in torch's LSTM (oneDNN, cuDNN); False steps through the sequence in single operations.
    """

    dws_conv: bool = False
    dws_conv_only_hidden: bool = True
    dws_conv_kernel_size: int = 3
    drop_cell_update: float = 0.0
    fused: bool = True

    def __post_init__(self) -> None:
        odd = self.dws_conv_kernel_size > 0 and self.dws_conv_kernel_size % 2 == 1
        where = "backbone.lstm.dws_conv_kernel_size"
        require(odd, where, "an odd kernel size", self.dws_conv_kernel_size, "give 3, 5 or 7")
        require_share(self.drop_cell_update, "backbone.lstm.drop_cell_update")
