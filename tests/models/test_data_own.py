"""Data of one's own: files and folders as they lie on a disk, and what is wrong with some."""

import csv
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qsnn_models import data
from qsnn_models.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 8, 3)).astype(np.float32)
Y = np.arange(20) % 4


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QSNN_DATA", raising=False)
    return tmp_path


def npz(name="a.npz", **arrays):
    np.savez(name, **({"x": X, "y": Y} | arrays))
    return name


def table(name, header, rows):
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return name


# -- arrays ---------------------------------------------------------------------------------------

def test_an_npz_file_is_split_by_class_and_the_same_each_time():
    dataset = data.load(npz())
    assert dataset.train_x.shape == (16, 8, 3) and dataset.test_x.shape == (4, 8, 3)
    assert sorted(dataset.test_y.tolist()) == [0, 1, 2, 3] and dataset.real and dataset.own
    assert (dataset.shape, dataset.steps, dataset.scaling) == ((3,), 8, "standardise")
    again, other = data.load("a.npz"), data.load("a.npz?seed=1")
    assert np.array_equal(again.test_x, dataset.test_x)
    assert not np.array_equal(other.test_x, dataset.test_x)
    both = np.concatenate([dataset.train_x, dataset.test_x])
    assert np.array_equal(np.sort(both.ravel()), np.sort(X.ravel()))


@pytest.mark.parametrize("share, tested", [(0.5, 8), (0.9, 16), (0.001, 4)])
def test_the_share_is_of_every_class(share, tested):
    assert len(data.load(npz(), share=share).test_y) == tested


def test_a_test_part_of_its_own():
    npz("b.npz", x=X[:6] + 1, y=Y[:6])
    dataset = data.load(npz(), test_data="b.npz")
    assert np.array_equal(dataset.test_x, X[:6] + 1) and len(dataset.train_x) == 20


def test_names_and_texts_are_the_names_of_the_classes():
    names = np.array(["run", "sit", "fall", "walk"])
    assert data.load(npz(names=names)).names == tuple(names)
    dataset = data.load(npz(y=names[Y]))
    assert dataset.names == ("fall", "run", "sit", "walk")            # sorted
    assert dataset.classes == 4 and set(dataset.train_y.tolist()) == {0, 1, 2, 3}
    assert data.load(npz(y=np.array(["10", "9", "2", "1"])[Y])).names == ("1", "2", "9", "10")


def test_windows_are_cut_from_each_recording_after_the_split():
    x = np.arange(20 * 8 * 3, dtype=np.float32).reshape(20, 8, 3)
    dataset = data.load(npz(x=x), window=4, stride=2)
    assert dataset.train_x.shape == (16 * 3, 4, 3) and dataset.test_x.shape == (4 * 3, 4, 3)
    assert not set(dataset.train_x.ravel()) & set(dataset.test_x.ravel())       # no leak
    assert np.array_equal(dataset.train_x[1], dataset.train_x[0] + 2 * 3)
    assert data.load("a.npz?window=3").train_x.shape == (32, 3, 3)          # stride: a window


def test_bytes_are_images_or_frames():
    x = RNG.integers(0, 4, (20, 3, 5, 5), np.uint8)
    dataset = data.load(npz(x=x))
    assert dataset.train_x.shape == (16, 75) and dataset.shape == (3, 5, 5) and not dataset.real
    assert data.load(npz(x=x[:, 0])).shape == (1, 5, 5)
    dataset = data.load(npz(x=x), frames=True)
    assert dataset.train_x.shape == (16, 3, 5, 5) and dataset.bits == 2
    assert data.load(npz(x=x > 1), frames=True).bits == 1
    dataset = data.load(npz(x=x.reshape(20, -1).astype(float)), scaling="none")
    assert dataset.train_x.dtype == np.uint8 and dataset.scaling == ""


def test_integers_of_a_converter_are_real_numbers():
    dataset = data.load(npz(x=(X * 1000).astype(np.int16)))
    assert dataset.real and dataset.train_x.dtype == np.float32


def test_a_path_is_found_in_the_folder_too(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    npz("there/c.npz")
    assert len(data.load("c.npz", "there").train_y) == 16
    monkeypatch.setenv("QSNN_DATA", str(tmp_path / "there"))
    assert len(data.load("c.npz").train_y) == 16


@pytest.mark.parametrize("arrays, options, message", [
    ({"y": Y + 1}, {}, "a.npz: y must be labels from 0, not 1 to 4; store y - 1"),
    ({"y": Y * 0}, {}, "a.npz: y must be of two classes or more, not only 0; a network tells "
                       "classes apart"),
    ({"y": np.array(["up"] * 20)}, {}, "not only 'up'"),
    ({"y": Y * 2}, {}, "every class must have samples to train on, but class 1 has none"),
    ({"y": Y - 1}, {}, "y must be labels from 0, or texts, not -1; number the classes from 0"),
    ({"y": Y + 0.5}, {}, "y must be labels from 0, or texts, not 0.5"),
    ({"y": Y[:5]}, {}, "y must be one label for each of 20 samples, not [5]"),
    ({"y": np.eye(4)[Y]}, {}, "not [20, 4]; of one-hot rows store y.argmax(1)"),
    ({"y": np.r_[Y[:18], 4, 5]}, {},
     "a class must have 2 samples or more to be split into training and test, but class 4 has 1; "
     'record more, or name a test part: test = "…"'),
    ({"x": np.where(X > 2, np.nan, X)}, {}, "x must be finite numbers, not nan (sample "),
    ({"x": np.where(X > 2, np.inf, X)}, {}, "x must be finite numbers, not inf (sample "),
    ({"x": X[:0], "y": Y[:0]}, {}, "x must hold samples, not none; record some"),
    ({"x": np.arange(20.0)}, {}, "x must be samples [N, ...], not [20]"),
    ({"x": X.astype(complex)}, {}, "x must be numbers, not of type complex128 (sample 0)"),
    ({}, {"window": 9}, "a recording must have 9 steps, a window, or more, not 8 (sample "),
    ({}, {"window": -1}, "window must be 1 step or more and stride not negative, not -1 and 0"),
    ({}, {"stride": 2}, "stride must come with window, not alone"),
    ({"x": X[:, 0]}, {"window": 2}, "window must be left out, not 2: its samples have no time "),
    ({}, {"share": 1.0}, "share, the test part, must be above 0 and below 1, not 1.0"),
    ({}, {"scaling": "log"}, "scaling must be one of standardise, range, none, not 'log'"),
    ({}, {"scaling": "none"}, "x must be codes, whole numbers in 0..255, for scaling none, not "),
    ({"names": np.array(["a", "b"])}, {}, "y must be labels below 2, the number of classes, not 3"),
])
def test_an_npz_file_that_can_not_be_trained_on(arrays, options, message):
    with pytest.raises(DataError) as error:
        data.load(npz(**arrays), **options)
    assert message in str(error.value) and str(error.value).startswith("a.npz: ")


def test_files_that_are_none():
    np.savez("a.npz", x=X)
    with pytest.raises(DataError, match=r"^a.npz: data must hold an array 'y', not only \['x'\]; "
                                        r"write it with numpy.savez\(file, x=..., y=...\)$"):
        data.load("a.npz")
    ragged = np.empty(2, object)
    ragged[:] = [X[0], X[1, :5]]
    np.savez("a.npz", x=ragged, y=Y[:2])
    with pytest.raises(DataError, match="^a.npz: data must be a whole .npz file of numbers, .*; "
                                        "recordings of several lengths go into CSV files"):
        data.load("a.npz")
    with Path("a.npz").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="^a.npz: data must be a whole .npz file"):
        data.load("a.npz")
    Path("a.txt").touch()
    with pytest.raises(DataError, match="^a.txt: data must be an .npz or a CSV file, or a folder "
                                        r"of a folder a class, not a file \*.txt$"):
        data.load("a.txt")
    with pytest.raises(DataError, match="^data set must be one of mnist, .*, or a file or folder "
                                        "that is here or in data, .*, not 'b.npz'$"):
        data.load("b.npz")


@pytest.mark.parametrize("x, y, message", [
    (X[:, :7], Y, r"a test samples must be as|test samples must be as the training ones, float32 "),
    (X, np.array(["a", "b", "c", "e"])[Y], "y must be classes of the training part, a, b, c, d, "
                                           "not 'e'; add it there, or drop it"),
])
def test_a_test_part_that_does_not_fit(x, y, message):
    npz("b.npz", x=x, y=y)
    with pytest.raises(DataError, match=message):
        data.load(npz(y=np.array(["a", "b", "c", "d"])[Y]) if y.dtype.kind == "U" else npz(),
                  test_data="b.npz")


def test_options_of_other_kinds_are_refused():
    with pytest.raises(DataError, match="^an option of an .npz file must be one of frames, window, "
                                        "stride, scaling, share, seed, not 'pool'$"):
        data.load(npz(), pool=2)
    with pytest.raises(DataError, match="^option window of an .npz file must be an integer, not "
                                        "'long'$"):
        data.load("a.npz?window=long")
    with pytest.raises(DataError, match="^test must be left out, not 'b.npz': mnist has a test "):
        data.load("mnist", test_data="b.npz")


# -- CSV ------------------------------------------------------------------------------------------

def test_a_row_is_a_sample_or_a_window():
    rows = [[*sample.ravel().tolist(), "abcd"[label]] for sample, label in zip(X, Y, strict=True)]
    table("a.csv", [*(f"v{n}" for n in range(24)), "label"], rows)
    dataset = data.load("a.csv")
    assert dataset.train_x.shape == (16, 24) and dataset.names == ("a", "b", "c", "d")
    dataset = data.load("a.csv?channels=3")
    assert dataset.train_x.shape == (16, 8, 3)
    assert any(np.allclose(dataset.train_x[0], sample) for sample in X)
    assert data.load("a.csv?columns=v0,v2").train_x.shape == (16, 2)


def rows_of(lengths, labels, marks=True):
    """Rows of a step each: time, two channels, the recording and its class."""
    return [[step, step * 0.5, number, *([f"r{number}"] if marks else []), label]
            for number, (length, label) in enumerate(zip(lengths, labels, strict=True))
            for step in range(length)]


def test_a_row_is_a_step_where_there_are_recordings():
    table("a.csv", ["time", "ax", "ay", "Recording", "Activity"],
          rows_of([9, 12, 10, 8], ["sit", "run", "sit", "run"]))
    dataset = data.load("a.csv?window=4&columns=ax,ay&label=Activity")
    assert dataset.train_x.shape[1:] == (4, 2) and dataset.names == ("run", "sit")
    assert len(dataset.train_x) + len(dataset.test_x) == 2 + 3 + 2 + 2


def test_neighbours_of_one_class_are_a_recording():
    table("a.csv", ["time", "ax", "ay", "label"],
          rows_of([9, 12, 10, 8], [0, 1, 0, 1], marks=False))
    assert data.load("a.csv?window=8").train_x.shape == (2, 8, 3)


def test_a_file_without_a_header_and_with_semicolons():
    Path("a.csv").write_text("".join(f"{n};{n + 1};{n % 2}\n" for n in range(10)))
    assert data.load("a.csv").train_x.shape == (8, 2)


@pytest.mark.parametrize("rows, options, message", [
    ([[1, 2, "a"], ["-", 3, "b"]], {}, "column 'ax' must be numbers, not '-' (row 2); mend it"),
    ([[1, "nan", "a"], [1, 3, "b"]], {}, "x must be finite numbers, not nan (row 1)"),
    ([[1, 2, "a"], [1, 3]], {}, "rows must be of one length, 3 columns, not 2 (row 2)"),
    ([], {}, "a CSV file must have rows of numbers, not none"),
    ([[1, 2, "a"]] * 4, {"channels": 3}, "channels must divide the 2 numbers of a row, not 3"),
    ([[1, 2, "a"]] * 4, {"label": "who"}, "a column must be one of ax, ay, label, not 'who'"),
    ([[1, 2, "a"]] * 4, {}, "y must be of two classes or more, not only 'a'"),
    ([[1, 2, "a"], [1, 2, "b"]] * 4, {"recording": "ax"},
     "a recording must be of one class, but '1' is 'a' and 'b' (row 2); split it"),
    ([[1, 2, "a"]] * 4 + [[2, 2, "b"]] * 3, {"recording": "ax", "columns": "ay"},
     "a class must have 2 samples or more"),
    ([[n, 2, "ab"[n % 2]] for n in (0, 0, 1, 2, 3)], {"recording": "ax", "columns": "ay"},
     "samples must be of one length, not 2 x 1 (recording '"),
])
def test_a_csv_file_that_can_not_be_trained_on(rows, options, message):
    table("a.csv", ["ax", "ay", "label"], rows)
    with pytest.raises(DataError) as error:
        data.load("a.csv", **options)
    assert message in str(error.value) and str(error.value).startswith("a.csv: ")


def test_csv_files_of_recordings_in_a_folder_a_class(place):
    for label in ("sit", "run"):
        (place / "d" / label).mkdir(parents=True)
        for number in range(3):
            table(f"d/{label}/{number}.csv", ["ax", "ay"], RNG.normal(size=(6 + number, 2)))
    dataset = data.load("d?window=3")
    assert dataset.train_x.shape == (8, 3, 2) or dataset.train_x.shape[1:] == (3, 2)
    assert dataset.names == ("run", "sit")
    with pytest.raises(DataError, match=r"^d: samples must be of one length, not [678] x 2 "
                                        r"\(run/\d.csv\) and [678] x 2 \((run|sit)/\d.csv\); cut "
                                        r"them, or add \?window=STEPS to the data's name$"):
        data.load("d")
    table("d/run/9.csv", ["ax"], [[1]] * 9)
    with pytest.raises(DataError, match="^d: recordings must have the same columns, not 2 .* and"):
        data.load("d?window=3")


# -- images ---------------------------------------------------------------------------------------

def images(place, count=3, mode="RGB", size=(6, 4)):
    for label, level in (("cat", 40), ("dog", 200)):
        (place / "pets" / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            color = level + number if mode == "L" else (level + number, 0, 9)
            Image.new(mode, size, color).save(place / "pets" / label / f"{number}.png")


def test_a_folder_of_images(place):
    images(place)
    dataset = data.load("pets")
    assert dataset.names == ("cat", "dog") and dataset.shape == (3, 4, 6) and not dataset.real
    assert dataset.train_x.shape == (4, 72) and dataset.train_x.dtype == np.uint8
    assert set(dataset.train_x[dataset.train_y == 0][:, 0].tolist()) <= {40, 41, 42}
    assert data.load("pets?gray=true&size=8").shape == (1, 8, 8)
    images(place, mode="L")
    assert data.load("pets").shape == (1, 4, 6)


def test_a_training_and_a_test_folder(place):
    images(place)
    (place / "both").mkdir()
    (place / "pets").rename(place / "both" / "train")
    images(place, count=2)
    (place / "pets").rename(place / "both" / "test")
    dataset = data.load("both")
    assert len(dataset.train_y) == 6 and len(dataset.test_y) == 4
    with pytest.raises(DataError, match="^both: test must be left out, not 'both': the folder has"):
        data.load("both", test_data="both")


def test_images_that_can_not_be_trained_on(place):
    images(place)
    Image.new("RGB", (5, 5)).save("pets/dog/7.png")
    with pytest.raises(DataError, match=r"^pets: images must be of one size, not 6 x 4 "
                                        r"\(cat/0.png\) and 5 x 5 \(dog/7.png\); add \?size=32 "):
        data.load("pets")
    (place / "pets/dog/7.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="^pets/dog/7.png must be an image that Pillow reads, but "
                                        "it says: .*; delete it, or save it again$"):
        data.load("pets")
    content = (place / "pets/cat/0.png").read_bytes()
    (place / "pets/dog/7.png").write_bytes(content[:len(content) // 2])
    with pytest.raises(DataError, match="^pets/dog/7.png must be an image that Pillow reads"):
        data.load("pets")
    for file in (place / "pets/dog").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="^pets/dog: the folder of a class must hold files .*png"):
        data.load("pets")
    (place / "pets/dog/a.wav").write_bytes(b"")
    with pytest.raises(DataError, match="^pets: data must be folders, one a class, of images, .*, "
                                        "not images and wav files"):
        data.load("pets")
    (place / "empty").mkdir()
    with pytest.raises(DataError, match="not none; name the folder above the classes$"):
        data.load("empty")


# -- sounds ---------------------------------------------------------------------------------------

def sound(path, rate=8000, count=2000, tone=440, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.sin(2 * np.pi * tone * np.arange(count) / rate) * 0.5
    values = np.repeat((values * 2 ** (8 * width - 1)).astype(np.int64)[:, None], channels, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            file.writeframes((values + 128).astype(np.uint8).tobytes())
        else:
            file.writeframes(values.astype("<i8").tobytes() if width == 8 else b"".join(
                int(v).to_bytes(width, "little", signed=True) for v in values.ravel()))


def sounds(place):
    for label, tone in (("low", 300), ("high", 1500)):
        for number in range(2):
            sound(place / "tones" / label / f"{number}.wav", tone=tone, count=2000 + 99 * number)


def test_a_folder_of_sounds(place):
    sounds(place)
    dataset = data.load("tones")
    assert dataset.names == ("high", "low") and dataset.train_x.shape == (2, 25, 72)
    assert dataset.bits == 4 and dataset.train_x.max() == 15 and not dataset.real
    assert data.load("tones?steps=10&bands=8&edges=false").train_x.shape == (2, 10, 8)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_every_width_sound_alike(place, width):
    from qsnn_models.data.class_folders import decode_wav
    sound(place / "a.wav", width=width, channels=2)
    values, rate = decode_wav((place / "a.wav").read_bytes(), "a.wav")
    wanted = np.sin(2 * np.pi * 440 * np.arange(2000) / 8000) * 2 ** 14
    assert rate == 8000 and values.dtype == np.int16
    assert np.abs(values - wanted).max() <= (256 if width == 1 else 1)


def test_sounds_that_can_not_be_trained_on(place):
    sounds(place)
    sound(place / "tones/low/2.wav", rate=16000)
    with pytest.raises(DataError, match=r"^tones: recordings must be of one sample rate, not 8000 "
                                        r"Hz \(high/0.wav\) and 16000 Hz \(low/2.wav\); "
                                        r"resample them$"):
        data.load("tones")
    (place / "tones/low/2.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="^tones/low/2.wav must be a wav file of plain samples"):
        data.load("tones")
    sound(place / "tones/low/2.wav", count=0)
    with pytest.raises(DataError, match="^tones/low/2.wav must hold the 0 samples"):
        data.load("tones")


# -- from a program -------------------------------------------------------------------------------

def test_arrays_tensors_and_torch_data_sets():
    import torch
    from torch.utils.data import TensorDataset
    tensors = torch.from_numpy(X), torch.from_numpy(Y)
    wanted = data.load(npz(), window=4)
    for dataset in (data.from_arrays(X, Y, window=4), data.from_arrays(*tensors, window=4),
                  data.from_arrays(TensorDataset(*tensors), window=4)):
        assert np.array_equal(dataset.train_x, wanted.train_x) and dataset.own
        assert np.array_equal(dataset.test_y, wanted.test_y)
    dataset = data.from_arrays(X, Y, test=(X[:4], Y[:4]), names=("a", "b", "c", "d"))
    assert len(dataset.test_y) == 4 and dataset.names == ("a", "b", "c", "d")


@pytest.mark.parametrize("given, message", [
    ((X, Y + 1), "x: y must be labels from 0, not 1 to 4; store y - 1"),
    ((7, None), "data must be x and y, or a Dataset of samples with their labels .*, not int"),
    (([(X[0], 0), (X[1, :2], 1)], None), r"samples of a Dataset must be of one shape, not \[8, 3\] "
                                         r"and \[2, 3\]; cut or pad them"),
    (([X[0], X[1, :2]], [0, 1]), "x must be an array of numbers, not rows of several lengths"),
])
def test_what_a_program_gives_is_checked_too(given, message):
    with pytest.raises(DataError, match=f"^{message}"):
        data.from_arrays(*given)
