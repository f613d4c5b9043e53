"""Files with pickled objects give their tensors; nothing in them runs."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict, deque
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from modules.weights.files import read_state_dict
from modules.weights.inert_pickle import Placeholder, read_inert, tensors_within
from utils.errors import UserError


class Runs:
    """Calls a function when it is unpickled in the ordinary way."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Settings(dict):
    """A container of another program."""

    def __init__(self, **items):
        super().__init__(items)
        self.extra = Path("somewhere")


def lightning(state, tmp_path):
    """As RVT and LEOD save: settings and objects of their programs beside the tensors."""
    return {
        "epoch": 3,
        "global_step": 400_000,
        "state_dict": OrderedDict((f"mdl.{k}", v) for k, v in state.items()),
        "hyper_parameters": {"full_config": OmegaConf.create({"model": {"name": "rnndet", "sizes": [1, 2]}})},
        "callbacks": {"ckpt": Settings(best=Path("x")), "seen": defaultdict(list, {"a": [1]}), "last": deque([1])},
        "evil": [Runs(os.mkdir, str(tmp_path / "ran")), Runs(builtins.exec, f"open({str(tmp_path / 'ran')!r}, 'w')")],
    }


def state():
    base = torch.arange(24.0).view(4, 6)
    return {
        "backbone.a": base,
        "backbone.view": base.t()[1:3],
        "backbone.half": torch.ones(3, dtype=torch.float16),
        "fpn.b": nn.Parameter(torch.randn(2, 3, generator=torch.Generator().manual_seed(0))),
        "fpn.bn.num_batches_tracked": torch.tensor(7),
        "head.empty": torch.zeros(0, 4, dtype=torch.bfloat16),
        "head.flag": torch.tensor([True, False]),
    }


def test_tensors_come_out_and_nothing_runs(tmp_path):
    torch.save(lightning(state(), tmp_path), tmp_path / "old.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "old.ckpt", weights_only=True)
    found = read_state_dict(tmp_path / "old.ckpt")
    assert not (tmp_path / "ran").exists()
    for name, value in state().items():
        torch.testing.assert_close(found.pop(name), value.data, atol=0, rtol=0)
    assert not found
    content, unknown = read_inert(tmp_path / "old.ckpt")
    assert content["epoch"] == 3
    assert "omegaconf.dictconfig.DictConfig" in unknown
    assert any(name.endswith(".mkdir") for name in unknown)


def test_a_whole_module_gives_its_state_dict(tmp_path):
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 1)))
    torch.save(module, tmp_path / "module.pt")
    found = tensors_within(read_inert(tmp_path / "module.pt")[0])
    for name, value in module.state_dict().items():
        assert torch.equal(found.pop(name), value)
    assert not found
    with pytest.raises(UserError, match="convert_checkpoint") as caught:
        read_state_dict(tmp_path / "module.pt")
    assert caught.value.got == "a whole pickled module"


def write_pickle(path, payload, data=b"\0" * 16):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", payload)
        archive.writestr("x/data/0", data)


def test_functions_cannot_be_changed(tmp_path):
    function = b"ctorch._utils\n_rebuild_tensor_v2\n"
    for build in (b"}S'__defaults__'\nNsb.", b"N}S'_function'\nNs\x86b."):  # BUILD with attributes, with slots
        write_pickle(tmp_path / "a.pt", function + build)
        with pytest.raises(pickle.UnpicklingError, match="change a function"):
            read_inert(tmp_path / "a.pt")


def test_tensors_stay_inside_their_storage(tmp_path):
    good = pickle.dumps(None, 2)
    write_pickle(tmp_path / "none.pt", good)
    assert read_inert(tmp_path / "none.pt")[0] is None
    storage = b"((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
    for tail in (b"I0\n(I5\nt(I1\ntt", b"I3\n(I2\nt(I1\ntt", b"I-1\n(I2\nt(I1\ntt", b"I0\n(I2\nt(I-1\ntt"):
        write_pickle(tmp_path / "b.pt", b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + tail + b"R.")
        with pytest.raises(pickle.UnpicklingError):
            read_inert(tmp_path / "b.pt")
    write_pickle(tmp_path / "b.pt", b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"I1\n(I3\nt(I1\nttR.")
    assert read_inert(tmp_path / "b.pt")[0].shape == (3,)


def test_placeholders_take_everything():
    thing = Placeholder(1, key=2)
    thing["a"] = 1
    thing.append(1)
    thing.extend([1])
    thing.add(1)
    thing.update({})
    assert isinstance(thing(1, 2), Placeholder)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_read(tmp_path_factory, position, value, cut):
    folder = tmp_path_factory.mktemp("damaged")
    torch.save(lightning({"backbone.a": torch.ones(3)}, folder), folder / "a.ckpt")
    content = bytearray((folder / "a.ckpt").read_bytes())
    if cut:
        content = content[: position % len(content)]
    else:
        content[position % len(content)] = value
    (folder / "a.ckpt").write_bytes(content)
    with contextlib.suppress(UserError):
        read_state_dict(folder / "a.ckpt")
    assert not (folder / "ran").exists()
