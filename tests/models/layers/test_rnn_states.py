"""States between batches."""

from __future__ import annotations

import io

import pytest
import torch

from models.rnn_states import RNNStates


def two_stages():
    return [(torch.ones(3, 2, 2, 2), torch.full((3, 2, 2, 2), 2.0)), (torch.ones(3, 4, 1, 1), torch.ones(3, 4, 1, 1))]


def test_states_are_kept_per_worker_and_cut_from_the_graph():
    states = RNNStates()
    weight = torch.ones(1, requires_grad=True)
    states.save_states_and_detach(1, [(weight * 2, weight * 3)])
    assert states.get_states(0) is None
    assert not states.get_states(1)[0][0].requires_grad


@pytest.mark.parametrize("lanes", [torch.tensor([False, True, False]), torch.tensor([1]), [1], [False, True, False]])
def test_reset_zeroes_only_the_lanes_named(lanes):
    states = RNNStates()
    original = two_stages()
    states.save_states_and_detach(0, original)
    states.reset(0, lanes)
    states.reset(7, lanes)
    for stage in states.get_states(0):
        for tensor in stage:
            assert (tensor[1] == 0).all()
            assert (tensor[[0, 2]] > 0).all()
    assert (original[0][0] == 1).all()


def test_reset_with_nan_gives_zero():
    states = RNNStates()
    states.save_states_and_detach(0, {"h": torch.full((2, 1), float("nan"))})
    states.reset(0, torch.tensor([True, True]))
    assert (states.get_states(0)["h"] == 0).all()


def test_reset_without_lanes_forgets_the_worker():
    states = RNNStates()
    states.save_states_and_detach(0, two_stages())
    states.save_states_and_detach(1, two_stages())
    states.reset(0)
    assert states.get_states(0) is None
    assert states.get_states(1) is not None
    states.clear()
    assert states.get_states(1) is None


def test_state_dict_survives_a_safe_file():
    states = RNNStates()
    states.save_states_and_detach(3, two_stages())
    buffer = io.BytesIO()
    torch.save(states.state_dict(), buffer)
    buffer.seek(0)
    again = RNNStates()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    for a, b in zip(states.get_states(3), again.get_states(3), strict=True):
        torch.testing.assert_close(a, b)


def test_other_contents_are_refused():
    with pytest.raises(TypeError, match="not str"):
        RNNStates().save_states_and_detach(0, ["h"])
