"""CIFAR-10 in both of its forms, three images a batch in the place of 10,000."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from qsnn_models import data
from qsnn_models.data import cifar
from qsnn_models.data.folders import BESIDE, roots
from qsnn_models.errors import DataError

RNG = np.random.default_rng(0)
REAL = next((place / "cifar10-jpeg.tar.xz" for place in [*roots(None), BESIDE]
             if (place / "cifar10-jpeg.tar.xz").exists()), None)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setitem(cifar.COUNTS, "train", 15)
    monkeypatch.setitem(cifar.COUNTS, "test", 3)


def binary(tmp_path, packed=False):
    """Rows of label and pixels by file, written as a folder or packed."""
    rows = {}
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for names in cifar.BATCHES.values():
        for name in names:
            rows[name] = RNG.integers(0, 256, (3, 3073), np.uint8)
            rows[name][:, 0] = [9, 0, 4]
            (folder / name).write_bytes(rows[name].tobytes())
    if packed:
        with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
            archive.add(folder, folder.name)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    return rows


@pytest.mark.parametrize("packed", [False, True])
def test_the_binary_version(tmp_path, packed):
    rows = binary(tmp_path, packed)
    dataset = data.load("cifar-10", tmp_path)
    assert dataset.train_x.shape == (15, 3072) and dataset.shape == (3, 32, 32)
    assert dataset.train_y.tolist() == [9, 0, 4] * 5 and dataset.names[9] == "truck"
    assert np.array_equal(dataset.test_x, rows["test_batch.bin"][:, 1:])
    assert np.array_equal(dataset.train_x[-1], rows["data_batch_5.bin"][2, 1:])


def copy(tmp_path, packed=False, side=32):
    root = tmp_path / "cifar10-jpeg"
    for part, count in (("train", 5), ("test", 1)):
        for label in ("truck", "airplane", "deer"):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                color = (cifar.NAMES.index(label) * 20, 128, number)
                Image.new("RGB", (side, side), color).save(root / part / label / f"{number:04}.jpg")
    if packed:
        with tarfile.open(tmp_path / "cifar10-jpeg.tar.xz", "w:xz") as archive:
            for part in root.iterdir():
                archive.add(part, part.name)
        root.rename(tmp_path / "unpacked")


@pytest.mark.parametrize("packed", [False, True])
def test_the_jpeg_copy(tmp_path, packed):
    copy(tmp_path, packed)
    for _ in range(2):                                  # decoded, then from the cache
        dataset = data.load("cifar-10-jpeg", tmp_path)
        assert dataset.train_x.shape == (15, 3072) and dataset.test_x.shape == (3, 3072)
        assert sorted(dataset.test_y.tolist()) == [0, 4, 9]
        red = dataset.test_x.reshape(-1, 3, 32, 32)[:, 0].mean((1, 2))
        assert np.abs(red - dataset.test_y.astype(float) * 20).max() < 3


def test_what_is_missing_or_wrong(tmp_path):
    with pytest.raises(DataError, match="^cifar-10: cifar-10-batches-bin or cifar-10-binary.tar.gz "
                                        r"not found in .*\. The binary version, .* is at https://"):
        data.load("cifar-10", tmp_path)
    binary(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(b"1" * 3072)
    with pytest.raises(DataError, match="must hold data_batch_3.bin, rows of 3,073 bytes, but it "
                                        "has 3,072 bytes; delete it"):
        data.load("cifar-10", tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match="must hold data_batch_3.bin, .*, but it is missing"):
        data.load("cifar-10", tmp_path)


def test_a_copy_that_is_wrong(tmp_path):
    copy(tmp_path)
    (tmp_path / "cifar10-jpeg" / "test" / "deer" / "0000.jpg").unlink()
    with pytest.raises(DataError, match="must hold 3 test images of 10 classes, not 2; delete it"):
        data.load("cifar-10-jpeg", tmp_path)
    place = tmp_path / "cifar10-jpeg" / "test" / "deer" / "0000.jpg"
    Image.new("RGB", (31, 32)).save(place)
    with pytest.raises(DataError, match="test/deer/0000.jpg must be of 32 x 32 pixels in colour, "
                                        "not 31 x 32; get it again"):
        data.load("cifar-10-jpeg", tmp_path)
    content = io.BytesIO()
    Image.new("RGB", (32, 32)).save(content, "jpeg")
    place.write_bytes(content.getvalue()[:300])
    with pytest.raises(DataError, match="test/deer/0000.jpg must be an image that Pillow reads"):
        data.load("cifar-10-jpeg", tmp_path)


@pytest.mark.skipif(REAL is None, reason="cifar10-jpeg.tar.xz is not in $QSNN_DATA")
def test_the_real_copy_has_every_image():
    with tarfile.open(REAL) as file:
        names = [member.name for member in file if member.name.endswith(".jpg")]
    assert len(names) == 60_000
    assert {name.split("/")[1] for name in names} == set(cifar.NAMES)
