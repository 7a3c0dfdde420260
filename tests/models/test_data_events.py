"""Event files, frames, folds, and the loader of the genuine N-MNIST subset."""

import io
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data import folders as places
from qsnn_models.data import nmnist
from qsnn_models.data.events import Events, Frames, decode, frames
from qsnn_models.errors import DataError


def recording(*events):
    """Events (x, y, p, t) as N-MNIST writes them."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events)


def test_decode_takes_every_field_apart():
    decoded = decode(recording((33, 1, 1, 0x7FFFFF), (0, 33, 0, 65_537)), "1.bs2")
    assert [values.tolist() for values in (decoded.x, decoded.y, decoded.p)] == [
        [33, 0], [1, 33], [1, 0]]
    assert decoded.t.tolist() == [0x7FFFFF, 65_537] and decoded.starts.tolist() == [0, 2]


@pytest.mark.parametrize("content, message", [
    (b"", "1.bs2 must hold events of 5 bytes, not 0 bytes: truncated"),
    (recording((1, 1, 1, 1))[:-1], "1.bs2 must hold events of 5 bytes, not 4 bytes: truncated"),
    (recording((1, 34, 1, 1)), r"1.bs2 must have events within 34 x 34 pixels, not at \(1, 34\)"),
])
def test_decode_refuses(content, message):
    with pytest.raises(DataError, match=message):
        decode(content, "1.bs2")


def random_events(samples, seed=0):
    random = np.random.default_rng(seed)
    size = random.integers(0, 300, samples)
    total = int(size.sum())
    return Events(*(random.integers(0, top, total).astype(kind) for top, kind in
                    ((34, np.uint16), (34, np.uint16), (2, np.uint8), (400_000, np.uint32))),
                  np.concatenate([[0], np.cumsum(size)]))


@pytest.mark.parametrize("steps, bits, pool", [(1, 1, 1), (7, 1, 2), (10, 3, 17), (3, 8, 2)])
def test_frames_count_as_a_loop_does(steps, bits, pool):
    events = random_events(70)
    wanted = np.zeros((70, steps, 2, 34 // pool, 34 // pool), int)
    for n in range(70):
        for i in range(events.starts[n], events.starts[n + 1]):
            if events.t[i] < 315_000:
                place = (int(events.t[i]) * steps // 315_000, events.p[i],
                         events.y[i] // pool, events.x[i] // pool)
                wanted[(n, *place)] += 1
    binned = frames(events, Frames(steps, bits, pool), 315_000)
    assert binned.dtype == np.uint8 and wanted.max() > 1
    assert (binned == np.minimum(wanted, 2 ** bits - 1)).all()


def test_frames_of_a_line_have_no_polarity():
    events = Events(np.array([0, 4, 5, 699], np.uint16), np.zeros(4, np.uint16),
                    np.array([0, 1, 0, 1], np.uint8), np.array([0, 1, 1, 9], np.uint32),
                    np.array([0, 4]))
    binned = frames(events, Frames(2, 2, 5), 10, 700, 1)
    assert binned.shape == (1, 2, 140)
    assert [binned[0, 0, 0], binned[0, 0, 1], binned[0, 1, 139], binned.sum()] == [2, 1, 1, 4]


@pytest.mark.parametrize("options, message", [
    ({"steps": 0}, "steps of event frames must be within 1 and 1000, not 0"),
    ({"bits": 9}, "bits of event frames must be within 1 and 8, not 9"),
    ({"pool": 2.0}, "pool of event frames must be within 1 and 64, not 2.0"),
    ({"pool": 3}, "pool must divide the sensor's 34 x 34 pixels, not 3"),
])
def test_frames_that_make_no_sense(options, message):
    with pytest.raises(DataError, match=message):
        frames(random_events(2), Frames(**options), 315_000)


def test_folds_are_stratified_equal_and_always_the_same():
    labels = np.random.default_rng(3).integers(0, 10, 1000).astype(np.uint8)
    folds = nmnist.folds(labels)
    assert np.bincount(folds).tolist() == [200] * 5
    for label in range(10):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert np.ptp(counts) <= 1
    assert (folds == nmnist.folds(labels)).all() and (folds != nmnist.folds(labels, 1)).any()


# -- the loader, on files made here ---------------------------------------------------------------

SAMPLES = 20


@pytest.fixture
def subset(monkeypatch, tmp_path):
    """A folder with 20 recordings of one event each, at x = number, of class number % 10."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(nmnist, "RECORDINGS", SAMPLES)
    folder = tmp_path / "data" / "nmnist-subset"
    folder.mkdir(parents=True)
    rows = ["#sample #class"]
    for n in range(1, SAMPLES + 1):
        (folder / f"{n}.bs2").write_bytes(recording((n, 2, 1, 1000)))
        rows.append(f"{n}\t{n % 10}")
    (folder / "labels.txt").write_text("\n".join(rows))
    return folder


def pack(folder, form):
    path = folder.with_name(f"nmnist-subset.{form}" if form != "zip" else "NMNISTsmall.zip")
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"NMNISTsmall/{file.name}")
    else:
        with tarfile.open(path, "w:xz") as archive:
            archive.add(folder, folder.name)
    shutil.rmtree(folder)
    return path


@pytest.mark.parametrize("form", ["folder", "tar.xz", "zip"])
def test_the_subset_from_folder_and_archive(subset, form):
    if form != "folder":
        pack(subset, form)
    seen = []
    for fold in range(5):
        dataset = data.load(f"nmnist-subset:{fold}", subset.parent, steps=3)
        assert dataset.train_x.shape == (16, 3, 2, 34, 34) and dataset.test_x.shape[0] == 4
        assert dataset.shape == (2, 34, 34) and dataset.bits == 1 and dataset.steps == 3
        x = dataset.test_x[:, 0, 1, 2].argmax(1)
        assert (x % 10 == dataset.test_y).all()
        seen += x.tolist()
    assert sorted(seen) == list(range(1, SAMPLES + 1))


def test_what_was_decoded_is_kept_and_found_again(subset, monkeypatch, tmp_path):
    first = data.load("nmnist-subset:0", subset.parent)
    monkeypatch.setattr(nmnist, "_decode", None)
    again = data.load("nmnist-subset:0", subset.parent)
    assert (again.train_x == first.train_x).all()
    (subset / "1.bs2").write_bytes(recording((1, 2, 1, 1), (1, 2, 1, 1)))
    with pytest.raises(TypeError):      # another file, so decoded anew
        data.load("nmnist-subset:0", subset.parent)


@pytest.mark.parametrize("damage", [b"", b"PK nonsense", None])
def test_a_broken_cache_is_made_again(subset, tmp_path, damage):
    first = data.load("nmnist-subset:0", subset.parent)
    (kept,) = (tmp_path / "home/.cache/qsnn/decoded").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:len(content) // 2] if damage is None else damage)
    assert (data.load("nmnist-subset:0", subset.parent).test_x == first.test_x).all()
    assert kept.read_bytes() == content


def test_a_cache_that_cannot_be_written_only_costs_time(subset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert len(data.load("nmnist-subset:0", subset.parent).test_y) == 4


def test_the_subset_is_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QSNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "BESIDE", tmp_path / "beside")
    message = (r"nmnist-subset: nmnist-subset.tar.xz or .* not found in data, .*/.cache/qsnn. "
               r"Recordings N.bs2 with a labels.txt are in SLAYER's example, https://")
    with pytest.raises(DataError, match=message):
        data.load("nmnist-subset:0")


@pytest.mark.parametrize("name", ["nmnist-subset", "nmnist-subset:5", "nmnist-subset:x"])
def test_the_fold_must_be_named(name):
    message = f"nmnist-subset must name its fold, nmnist-subset:0 to nmnist-subset:4, not '{name}'"
    with pytest.raises(DataError, match=message):
        data.load(name)


def damage(folder, kind):
    if kind == "recording gone":
        (folder / "7.bs2").unlink()
    elif kind == "recording cut":
        (folder / "7.bs2").write_bytes(b"1234")
    elif kind == "no labels":
        (folder / "labels.txt").unlink()
    elif kind == "odd labels":
        (folder / "labels.txt").write_text("1 two")
    elif kind == "few labels":
        (folder / "labels.txt").write_text("1 1")
    elif kind == "a far label":
        (folder / "labels.txt").write_text("1 300")
    elif kind == "a number twice":
        (folder / "labels.txt").write_text("1 3\n1 4")


@pytest.mark.parametrize("kind, message", [
    ("recording gone", "must hold 20 recordings and their labels, but 7.bs2 is missing"),
    ("recording cut", "7.bs2 must hold events of 5 bytes, not 4 bytes: truncated"),
    ("no labels", "must hold a labels.txt with a number and a class a line"),
    ("odd labels", "must hold a labels.txt with a number and a class a line"),
    ("few labels", "must hold 20 recordings and their labels, but 1 are there"),
    ("a far label", "must have a class of 0 to 9 for each number, once, but has class 300; delete"),
    ("a number twice", "for each number, once, but names 1 twice; delete it and get it again"),
])
def test_a_damaged_subset(subset, kind, message):
    damage(subset, kind)
    with pytest.raises(DataError, match=message):
        data.load("nmnist-subset:0", subset.parent)


@pytest.mark.parametrize("form", ["tar.xz", "zip"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_archive(subset, form, share):
    path = pack(subset, form)
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    message = f"{path.name} must be a complete archive, but reading it failed: .*; delete it"
    with pytest.raises(DataError, match=message):
        data.load("nmnist-subset:0", subset.parent)


def test_an_archive_of_something_else(subset):
    shutil.rmtree(subset)
    with tarfile.open(subset.with_name("nmnist-subset.tar.xz"), "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(DataError, match="must hold a labels.txt"):
        data.load("nmnist-subset:0", subset.parent)
