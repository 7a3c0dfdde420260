"""N-MNIST, SHD and DVS-Gesture: a few recordings in the publishers' own formats, through tonic."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data import tonic_sets
from qsnn_models.errors import DataError

tonic = pytest.importorskip("tonic")
h5py = pytest.importorskip("h5py")


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where tiny sets go; tonic's own look at the number of files is satisfied."""
    monkeypatch.setattr(tonic.dataset.Dataset, "_folder_contains_at_least_n_files_of_type",
                        lambda self, count, kind: True)
    for name, source in tonic_sets.SOURCES.items():
        monkeypatch.setitem(tonic_sets.SOURCES, name, replace(source, samples=(4, 2)))
    return tmp_path


def nmnist(place):
    """Recording k of class k: one event at (k, k), darker, at k · 31.5 ms + 1 µs."""
    for part, archive, classes in (("Train", "train.zip", range(4)), ("Test", "test.zip", (8, 9))):
        for k in classes:
            folder = place / "NMNIST" / part / str(k)
            folder.mkdir(parents=True)
            t = k * 31_500 + 1
            (folder / f"{k:05}.bin").write_bytes(
                bytes([2 * k, k, 128 | t >> 16, t >> 8 & 255, t & 255]))
        (place / "NMNIST" / archive).write_bytes(b"")


def shd(place):
    """Recording k of class k: a spike of channel 10 k at 20 k ms, and two more 10 µs later."""
    (place / "SHD").mkdir()
    for part, classes in (("train", range(4)), ("test", (18, 19))):
        with h5py.File(place / "SHD" / f"shd_{part}.h5", "w") as file:
            times, units = (file.create_dataset(
                f"spikes/{name}", (len(classes),), h5py.vlen_dtype(kind))
                for name, kind in (("times", np.float32), ("units", np.uint16)))
            for row, k in enumerate(classes):
                times[row] = np.array([0, 1e-5, 1e-5]) + 0.02 * k + 1e-3
                units[row] = [10 * k, 10 * k + 4, 10 * k + 5]
            file["labels"] = np.array(classes, np.uint16)
            file["extra/keys"] = [b"null"]
            file["extra/speaker"] = np.zeros(len(classes), np.uint16)
        (place / "SHD" / f"shd_{part}.h5.zip").write_bytes(b"")


def gesture(place):
    """Class k: events (x, y, p, ms) at (4 k, 127), one brighter at 10 ms and one of 1,600 ms."""
    for part, classes in (("Train", range(4)), ("Test", (9, 10))):
        folder = place / "DVSGesture" / f"ibmGesture{part}" / "user01_natural"
        folder.mkdir(parents=True)
        for k in classes:
            np.save(folder / f"{k}.npy",
                    np.array([[4 * k, 127, 1, 10], [0, 0, 0, 1600]], np.float64))
        (place / "DVSGesture" / f"ibmGesture{part}.tar.gz").write_bytes(b"")


def test_nmnist(place):
    nmnist(place)
    dataset = data.load("nmnist", place)
    assert dataset.train_x.shape == (4, 10, 2, 17, 17) and dataset.test_x.shape[0] == 2
    assert sorted(dataset.train_y) == [0, 1, 2, 3] and sorted(dataset.test_y) == [8, 9]
    for frames, k in zip(dataset.train_x, dataset.train_y, strict=True):
        assert np.argwhere(frames).tolist() == [[k, 1, k // 2, k]]
    assert data.load("nmnist", place, steps=3, bits=2, pool=1).shape == (2, 34, 34)


def test_shd(place):
    shd(place)
    dataset = data.load("shd", place)
    assert dataset.shape == (140,) and dataset.steps == 50
    assert dataset.bits == 2 and dataset.classes == 20
    for frames, k in zip(dataset.train_x, dataset.train_y, strict=True):
        assert np.argwhere(frames).tolist() == [[k, 2 * k], [k, 2 * k + 1]]
        assert frames.max() == 2 and frames.sum() == 3


def test_gesture(place):
    gesture(place)
    dataset = data.load("dvs-gesture", place)
    assert dataset.shape == (2, 32, 32) and dataset.steps == 20 and dataset.classes == 11
    for frames, k in zip(dataset.train_x, dataset.train_y, strict=True):
        assert np.argwhere(frames).tolist() == [[0, 1, 31, k]]
    longer = data.load("dvs-gesture", place, milliseconds=2000)
    assert longer.train_x.sum() == 2 * dataset.train_x.sum()


@pytest.mark.parametrize("name, kind", [("nmnist", "NMNIST"), ("shd", "SHD"),
                                        ("dvs-gesture", "DVSGesture")])
def test_nothing_is_downloaded(name, kind, tmp_path):
    message = (f"{name}: {kind} not found, or not whole, in {tmp_path}. tonic downloads it: "
               rf"python -c \"from tonic.datasets import {kind} as D; \[D\('{tmp_path}', ")
    with pytest.raises(DataError, match=message):
        data.load(name, tmp_path)


def test_tonic_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(DataError, match=r"shd: tonic .* missing; pip install 'qsnn\[events\]'"):
        data.load("shd")


def test_a_part_of_a_set(place):
    nmnist(place)
    (place / "NMNIST/Test/9/00009.bin").unlink()
    with pytest.raises(DataError, match="NMNIST must hold 2 test recordings, not 1; delete"):
        data.load("nmnist", place)


@pytest.mark.parametrize("content", [b"\1\1\1", b"\x22\1\1\1\1"])
def test_a_damaged_recording(place, content):
    nmnist(place)
    (place / "NMNIST/Train/3/00003.bin").write_bytes(content)
    with pytest.raises(DataError, match="nmnist: recording 3 in .*NMNIST must be whole: "):
        data.load("nmnist", place)


def test_a_damaged_gesture(place):
    gesture(place)
    file = place / "DVSGesture/ibmGestureTest/user01_natural/9.npy"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DataError, match="dvs-gesture: recording . in .*DVSGesture must be whole: "):
        data.load("dvs-gesture", place)


def test_a_damaged_shd(place):
    shd(place)
    file = place / "SHD/shd_test.h5"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="shd: .*SHD must hold whole files: "):
        data.load("shd", place)


@pytest.mark.parametrize("name, options, message", [
    ("shd", {"pool": 3}, "pool must divide the sensor's 700 x 1 pixels, not 3"),
    ("shd", {"milliseconds": 0}, "milliseconds must be at least 1, not 0"),
    ("dvs-gesture", {"pool": 5}, "pool must divide the sensor's 128 x 128 pixels, not 5"),
    ("nmnist", {"milliseconds": 9}, "an option of nmnist must be one of steps, bits, pool, not"),
])
def test_options_that_make_no_sense(name, options, message):
    with pytest.raises(DataError, match=message):
        data.load(name, **options)
