"""Boxes beside the events of an AEDAT4 file."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from data.events.formats.aedat4.boxes import holds_boxes, read_aedat4_boxes
from data.events.formats.aedat4.header import read_head, write_head
from data.events.formats.aedat4.packets import unpack
from data.events.open import open_recording
from tests.helpers.recordings.recording_files import aedat4_bytes, assert_same, random_events
from utils.errors import UserError

LZ4 = base64.b85decode(
    b"1R_lsKtRCt0002dlmP$$6aWAKLPAei0098e1^@^E1ONsA000C400;o{0!RS>00aR50Js1E0CWHV05}`~@f2$R|Nj60C_w-Kpg{lt"
    b"aY6t9pg;fsKtB)w0059s%A|gc15yB;0{{R3V_|XtnlJzrfG_|xK#j>T0Q~|90000`WpZ<GZXm;{0001rH~<kqH~?`B0002+$;dbW"
    b"1Y`j51^@sO04M+)00aOC01N;S02BZi01}1(2&e!N06+j@5C8xGpawty4tM}R5&$Gf01hO8KZpQ5P(#Ov05co_6o>#_000005QqQ)"
    b"7yu!F#y9{6^Z-!9sQ>@~00000"
)
ZSTANDARD = base64.b85decode(
    b"D77#BV3+{y1pu-MA1II;GY7xAJHfc6(Lt*99H4O<7}koQgq;lBleMzkWrCpu+9(kWBn5L=8RyesKt&e8CQGnQfllU9={}*&nfCGJ"
    b"Q9NT~z~LdHVxS(NUC+8$DJ%rICNMmxiZjvsVNVcC*b?-%Z4CvNxW<SZIoLhvDw7Ea({yLVA{zjIkO0VR4PasBa4Z0Kz|6uhfE6z>"
    b"&K@KHdZ4(KahR~iXLtaJf$QFCE}#b#cdF48vr%D@KOMLt-vzz"
)
"""One packet of six boxes, written by dv-processing 2.0.4."""

TABLE = unpack(LZ4, 1)
PACKETS = {0: struct.pack("<I", len(TABLE)) + TABLE, 1: LZ4, 2: LZ4, 3: ZSTANDARD, 4: ZSTANDARD}
EVENTS = random_events(9, 48, 64)


def write(path, packet: bytes, compression: int) -> None:
    """Boxes as stream 0; events, which only a file without compression holds, as stream 1."""
    path.write_bytes(aedat4_bytes([(1, EVENTS)], [(0, "BBOX", 48, 64), (1, "EVTS", 48, 64)]))
    head = read_head(path)
    events = path.read_bytes()[head.offset :] if compression == 0 else b""
    boxes = struct.pack("<ii", 0, len(packet)) + packet
    path.write_bytes(write_head(replace(head, compression=compression), lambda number: True) + boxes + events)


@pytest.mark.parametrize("compression", PACKETS)
def test_boxes_are_read_with_their_labels(tmp_path, compression):
    path = tmp_path / "a.aedat4"
    write(path, PACKETS[compression], compression)
    boxes, labels = read_aedat4_boxes(path)
    assert holds_boxes(path)
    assert labels == ["Person é", "car"] * 3
    assert boxes["t"].tolist() == [10**15 + 50_000 * k for k in range(6)]
    for name, value in (("x", 10.5), ("y", 20), ("w", 49.75), ("objectness", 1)):
        assert (boxes[name] == value).all()
    assert boxes["h"].tolist() == [k - 20 for k in range(6)]
    assert boxes["class_confidence"].tolist() == [0, *[0.75] * 5]
    if compression == 0:
        assert_same(open_recording(path).read(0, 10**6), EVENTS)


def test_files_without_boxes(tmp_path):
    path = tmp_path / "a.aedat4"
    path.write_bytes(aedat4_bytes([(0, EVENTS)], [(0, "EVTS", 48, 64)]))
    assert not holds_boxes(path)
    assert len(read_aedat4_boxes(path)[0]) == 0
    path.write_bytes(b"t,x,y,p")
    assert not holds_boxes(path)


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_damaged_boxes_are_refused_or_read_as_numbers(tmp_path, compression):
    path, rng, refused = tmp_path / "a.aedat4", np.random.default_rng(0), 0
    write(path, b"", compression)
    head = path.read_bytes()[: read_head(path).offset]
    for _ in range(40):
        packet = bytearray(PACKETS[compression])
        packet[rng.integers(len(packet))] = rng.integers(256)
        packet = packet[: rng.integers(len(packet) // 2, 2 * len(packet))]
        path.write_bytes(head + struct.pack("<ii", 0, len(packet)) + packet)
        with suppress(UserError):
            refused += 1
            boxes, labels = read_aedat4_boxes(path)
            refused -= 1
            assert len(boxes) == len(labels)
    assert refused > 10
