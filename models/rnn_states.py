"""Recurrent states between batches, one set for each stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.transfer import to_device

States = Any
"""Any nesting of lists, tuples and dicts of tensors whose first dimension is the lane."""

LstmStates = list[tuple[Tensor, Tensor]]
"""States of the recurrent transformer: hidden and cell state [B, C, h, w] of each stage."""


def map_states(function: Callable[[Tensor], Tensor], states: States) -> States:
    """Apply a function to every tensor of a nesting; None stays None.

    Raises:
        TypeError: the nesting holds something other than tensors, lists, tuples, dicts and None.
    """
    if states is None:
        return None
    if isinstance(states, Tensor):
        return function(states)
    if isinstance(states, Mapping):
        return {key: map_states(function, value) for key, value in states.items()}
    if isinstance(states, list | tuple):
        mapped = [map_states(function, value) for value in states]
        return mapped if isinstance(states, list) else tuple(mapped)
    raise TypeError(f"states hold tensors, lists, tuples, dicts or None, not {type(states).__name__}")


def first_dimensions(states: States) -> set[int]:
    """Numbers of lanes that occur in a nesting; one number if it is of one batch size.

    >>> first_dimensions({"0": [(torch.ones(2, 1), None)]})
    {2}
    """
    found: set[int] = set()

    def note(state: Tensor) -> Tensor:
        found.add(state.shape[0])
        return state

    map_states(note, states)
    return found


def _zero_lanes(lanes: Tensor) -> Callable[[Tensor], Tensor]:
    made: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def zero(state: Tensor) -> Tensor:
        kind = state.device, state.dtype
        if kind not in made:  # once, not for every state
            made[kind] = to_device(lanes, state.device), state.new_zeros(())
        own, nothing = made[kind]
        if own.dtype == torch.bool:
            # Unlike masked_fill, this keeps the layout, which layers would restore with a copy.
            return torch.where(own.view(-1, *(1,) * (state.dim() - 1)), nothing, state)
        return state.index_fill(0, own, 0)

    return zero


def _marks_none(lanes: Tensor) -> bool:
    """Whether no lane is to be zeroed, as far as that can be known without waiting for a device."""
    return lanes.dtype == torch.bool and lanes.device.type == "cpu" and not bool(lanes.any())


class RNNStates:
    """Keeps the states of every worker id, cut from the graph.

    >>> states = RNNStates()
    >>> states.save_states_and_detach(0, [(torch.ones(2, 1), torch.ones(2, 1))])
    >>> states.reset(0, torch.tensor([True, False]))
    >>> states.get_states(0)[0][0].tolist()
    [[0.0], [1.0]]

    Args:
        forgets: whether lanes can be zeroed; else states outlive their recordings.
    """

    def __init__(self, forgets: bool = True) -> None:
        self._forgets = forgets
        self._states: dict[int, States] = {}

    def get_states(self, worker_id: int) -> States:
        """States saved last for this worker id, None if there are none."""
        return self._states.get(worker_id)

    def save_states_and_detach(self, worker_id: int, states: States) -> None:
        """Remember states for the next batch of this worker id, without their graph."""
        self._states[worker_id] = map_states(torch.Tensor.detach, states)

    def reset(self, worker_id: int, indices_or_bool_tensor: Tensor | list[int] | list[bool] | None = None) -> None:
        """Zero the states of some lanes, or forget all.

        Args:
            worker_id: whose states; an unknown one is fine.
            indices_or_bool_tensor: bool [B] or lane indices; None forgets the states of this worker id.
        """
        if indices_or_bool_tensor is None:
            self._states.pop(worker_id, None)
            return
        states = self._states.get(worker_id)
        given = indices_or_bool_tensor
        lanes = given if isinstance(given, Tensor) else torch.as_tensor(given)
        if not self._forgets or states is None or lanes.numel() == 0 or _marks_none(lanes):
            return
        self._states[worker_id] = map_states(_zero_lanes(lanes), states)

    def clear(self) -> None:
        """Forget the states of all worker ids."""
        self._states.clear()

    def state_dict(self) -> dict[str, States]:
        """States by worker id (as text), contiguous copies that load with ``weights_only=True``."""
        return {
            str(worker_id): map_states(lambda x: x.detach().clone(memory_format=torch.contiguous_format), states)
            for worker_id, states in sorted(self._states.items())
        }

    def load_state_dict(self, state_dict: Mapping[str, States], device: torch.device | str | None = None) -> None:
        """Replace all states by those of :meth:`state_dict`, moved to ``device`` if given."""
        self._states = {
            int(worker_id): map_states(lambda x: x.detach().to(device=device, copy=True), states)
            for worker_id, states in state_dict.items()
        }
