"""Event recordings of one's own, written here in each camera's format, as frames."""

import struct
import sys

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data.event_files import read_recording
from qsnn_models.errors import DataError

INFO = ('<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" '
        'path="/mainloop/Recorder/outInfo/0/"><attr key="compression" type="string">NONE</attr>'
        '<attr key="typeIdentifier" type="string">EVTS</attr><node name="info" '
        'path="/mainloop/Recorder/outInfo/0/info/"><attr key="sizeX" type="int">20</attr>'
        '<attr key="sizeY" type="int">12</attr></node></node></node></dv>')


def events(seed=0, count=60):
    """Columns x, y, p, t: within 20 x 12 pixels and 6 ms, the corner and the ends included."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 6000, count))
    t[0], t[-1] = 0, 5999
    x, y = rng.integers(0, 20, count), rng.integers(0, 12, count)
    x[0], y[0] = 19, 11
    return x, y, rng.integers(0, 2, count), t


def write_bin(path, columns):
    x, y, p, t = columns
    path.write_bytes(b"".join(struct.pack(">BBI", a, b, int(c) << 23 | int(d))[:2]
                              + struct.pack(">I", int(c) << 23 | int(d))[1:]
                              for a, b, c, d in zip(x, y, p, t, strict=True)))


def write_prophesee(path, columns, encoding):
    expelliarmus = pytest.importorskip("expelliarmus")
    x, y, p, t = columns
    array = np.zeros(len(t), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    array["x"], array["y"], array["p"], array["t"] = x, y, p, t + 1_000_000
    expelliarmus.Wizard(encoding=encoding).save(path, array)


def write_aedat4(path, columns):
    flatbuffers = pytest.importorskip("flatbuffers")
    pytest.importorskip("aedat")
    head = flatbuffers.Builder(0)
    info = head.CreateString(INFO)
    head.StartObject(3)
    head.PrependInt32Slot(0, 0, 1)
    head.PrependInt64Slot(1, -1, 0)
    head.PrependUOffsetTRelativeSlot(2, info, 0)
    head.FinishSizePrefixed(head.EndObject(), b"IOHE")
    body = flatbuffers.Builder(0)
    body.StartVector(16, len(columns[0]), 8)
    for x, y, p, t in reversed(list(zip(*columns, strict=True))):
        body.Prep(8, 16)
        body.Pad(3)
        body.PrependBool(bool(p))
        body.PrependInt16(int(y))
        body.PrependInt16(int(x))
        body.PrependInt64(int(t) + 5_000_000)
    vector = body.EndVector()
    body.StartObject(1)
    body.PrependUOffsetTRelativeSlot(0, vector, 0)
    body.FinishSizePrefixed(body.EndObject(), b"EVTS")
    packet = bytes(body.Output())
    path.write_bytes(b"#!AER-DAT4.0\r\n" + bytes(head.Output())
                     + struct.pack("<ii", 0, len(packet)) + packet)


FORMATS = {
    "a.bin": write_bin, "a.bs2": write_bin, "a.aedat4": write_aedat4,
    "a.dat": lambda path, columns: write_prophesee(path, columns, "dat"),
    "a.raw": lambda path, columns: write_prophesee(path, columns, "evt3"),
    "b.raw": lambda path, columns: write_prophesee(path, columns, "evt2"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_events(tmp_path, name):
    wanted = events()
    FORMATS[name](tmp_path / name, wanted)
    recording_read = read_recording(tmp_path / name)
    assert len(recording_read) == 1
    for column, values in zip("xypt", wanted, strict=True):
        assert getattr(recording_read, column).tolist() == values.tolist()


def folder(tmp_path, name="a.bin"):
    for number, label in enumerate(("left", "right")):
        (tmp_path / "moves" / label).mkdir(parents=True)
        for take in range(2):
            FORMATS[name](tmp_path / "moves" / label / f"{take}{name}", events(2 * number + take))
    return tmp_path / "moves"


@pytest.mark.parametrize("name", ["a.bin", "a.aedat4", "a.dat"])
def test_a_folder_of_recordings_becomes_frames(tmp_path, name):
    dataset = data.load(str(folder(tmp_path, name)), steps=6, bits=3, pool=2)
    assert dataset.names == ("left", "right") and dataset.shape == (2, 6, 10)
    assert dataset.train_x.shape == (2, 6, 2, 6, 10) and dataset.bits == 3
    both = np.concatenate([dataset.train_x, dataset.test_x]).astype(int)
    assert both.sum() == 4 * 60                                 # none lost, none clipped
    x, y, p, t = events(0)
    counts = np.zeros((6, 2, 6, 10), int)
    np.add.at(counts, (t * 6 // 6000, p, y // 2, x // 2), 1)
    assert any(np.array_equal(sample, counts) for sample in both)


def test_the_sensor_and_the_time_may_be_given(tmp_path):
    dataset = data.load(str(folder(tmp_path)), width=32, height=16, milliseconds=3)
    assert dataset.shape == (2, 16, 32) and dataset.bits == 1
    whole = data.load(str(tmp_path / "moves"), width=32, height=16)
    assert dataset.train_x.sum() < whole.train_x.sum()


@pytest.mark.parametrize("options, message", [
    ({"width": 10}, r"events must lie within 10 x 12 pixels, not at \(19, 11\) \(left/0a.bin\); "
                    r"give the sensor's \?width=W&height=H"),
    ({"width": 21, "height": 12, "pool": 2}, "pool must divide the sensor's 21 x 12 pixels, not 2"),
    ({"width": 5000}, "width of event recordings must be within 0 and 4096, not 5000"),
    ({"steps": 0}, "steps of event frames must be within 1 and 1000, not 0"),
    ({"size": 3}, "an option of a folder of event recordings must be one of steps, bits, pool, "
                  "width, height, milliseconds, share, seed, not 'size'"),
])
def test_options_are_checked(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        data.load(str(folder(tmp_path)), **options)


@pytest.mark.parametrize("name, content, message", [
    ("a.bin", b"1234567", "a.bin must hold events of 5 bytes, not 7 bytes: truncated"),
    ("a.aedat4", b"nonsense", "a.aedat4 must be a whole .aedat4 recording, but reading it "),
    ("a.dat", b"", "a.dat must be a whole .dat recording"),
    ("a.raw", b"% evt 3.0\n", "a.raw must be a whole .raw recording"),
])
def test_recordings_that_are_none(tmp_path, name, content, message):
    if not name.endswith("bin"):
        pytest.importorskip("aedat" if "aedat" in name else "expelliarmus")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_recording(tmp_path / name)


@pytest.mark.parametrize("name, module", [("a.aedat4", "aedat"), ("a.dat", "expelliarmus")])
def test_a_missing_reader_is_named_by_its_extra(tmp_path, monkeypatch, name, module):
    (tmp_path / name).write_bytes(b"0")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=f"{name}: {module} reads it and is missing; pip install "
                                        r"'qsnn\[events\]'$"):
        read_recording(tmp_path / name)
