"""Encoder and decoder of DETR; positions are added in every layer, to queries and keys alone."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from models.detection.detr.config import TransformerConfig


def _with(x: Tensor, position: Tensor | None) -> Tensor:
    return x if position is None else x + position


class Layer(nn.Module):
    """What layers of both kinds share: attention within, feed-forward part, norms before or after each."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        self.pre_norm = cfg.pre_norm
        self.self_attn = nn.MultiheadAttention(cfg.dim, cfg.heads, cfg.dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(cfg.dim, cfg.feedforward), nn.Linear(cfg.feedforward, cfg.dim)
        self.norm1, self.norm2 = nn.LayerNorm(cfg.dim), nn.LayerNorm(cfg.dim)
        self.dropout = nn.Dropout(cfg.dropout)

    def within(self, x: Tensor, position: Tensor | None, padding: Tensor | None = None) -> Tensor:
        """Attention of [n, tokens, dim] to each other, with its residual and norm."""
        value = self.norm1(x) if self.pre_norm else x
        asked = _with(value, position)
        x = x + self.dropout(self.self_attn(asked, asked, value, key_padding_mask=padding, need_weights=False)[0])
        return x if self.pre_norm else self.norm1(x)

    def feed(self, x: Tensor, norm: nn.Module) -> Tensor:
        """The feed-forward part [n, tokens, dim], with its residual and norm."""
        value = norm(x) if self.pre_norm else x
        x = x + self.dropout(self.linear2(self.dropout(self.linear1(value).relu())))
        return x if self.pre_norm else norm(x)


class EncoderLayer(Layer):
    """Attention within a frame, feed-forward part."""

    def forward(self, x: Tensor, position: Tensor | None, padding: Tensor | None) -> Tensor:
        """``[n, tokens, dim] -> [n, tokens, dim]``; ``padding`` bool [n, tokens], True where nothing is looked at."""
        return self.feed(self.within(x, position, padding), self.norm2)


class DecoderLayer(Layer):
    """Attention among queries, attention to the frame, feed-forward part."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__(cfg)
        self.multihead_attn = nn.MultiheadAttention(cfg.dim, cfg.heads, cfg.dropout, batch_first=True)
        self.norm3 = nn.LayerNorm(cfg.dim)

    def forward(self, x: Tensor, query: Tensor, memory: Tensor, keys: Tensor, padding: Tensor | None) -> Tensor:
        """Queries [n, Q, dim] after the layer; ``query`` is their position, ``keys`` the memory with its own."""
        x = self.within(x, query)
        asked = _with(self.norm2(x) if self.pre_norm else x, query)
        told = self.multihead_attn(asked, keys, memory, key_padding_mask=padding, need_weights=False)[0]
        x = x + self.dropout(told)
        return self.feed(x if self.pre_norm else self.norm2(x), self.norm3)


class Stack(nn.Module):
    """Layers one after the other, and perhaps a norm at the end; all begin with the same weights."""

    norm: nn.Module | None

    def __init__(self, layer: nn.Module, count: int, norm: nn.Module | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(count))
        self.norm = norm


class Transformer(nn.Module):
    """Encoder over the tokens of a frame, decoder over the queries."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        after = nn.LayerNorm(cfg.dim) if cfg.pre_norm else None
        self.encoder = Stack(EncoderLayer(cfg), cfg.encoder_layers, after)
        self.decoder = Stack(DecoderLayer(cfg), cfg.decoder_layers, nn.LayerNorm(cfg.dim))
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

    def encode(self, tokens: Tensor, position: Tensor, padding: Tensor | None = None) -> Tensor:
        """Tokens [n, h·w, dim] that know of each other; ``padding`` bool [n, h·w]."""
        for layer in self.encoder.layers:
            tokens = layer(tokens, position, padding)
        return tokens if self.encoder.norm is None else self.encoder.norm(tokens)

    def decode(self, query: Tensor, memory: Tensor, position: Tensor, padding: Tensor | None = None) -> Tensor:
        """Queries [Q, dim] after each layer, normed: [layers, n, Q, dim]."""
        query = query.expand(len(memory), -1, -1)
        x, keys, outputs = torch.zeros_like(query), memory + position, []
        norm = self.decoder.norm
        assert norm is not None, "the decoder always has one"
        for layer in self.decoder.layers:
            x = layer(x, query, memory, keys, padding)
            outputs.append(norm(x))
        return torch.stack(outputs)
