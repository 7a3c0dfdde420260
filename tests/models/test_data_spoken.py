"""The spoken digits: wav files made here, the ear, and the genuine archive."""

import io
import wave

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data import folders as places
from qsnn_models.data import spoken
from qsnn_models.data.cochlea import Cochlea, encode_sound
from qsnn_models.errors import DataError

PLAIN = {"steps": 40, "bands": 40, "edges": False, "stretch": False}     # levels, real time


def tone(hertz, samples=4000, rate=8000, loud=8000):
    return (loud * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.int16)


def wav(samples, channels=1, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


# -- the ear --------------------------------------------------------------------------------------

def test_a_higher_tone_is_a_higher_channel():
    loudest = [encode_sound(tone(hertz), Cochlea(**PLAIN)).sum(0).argmax()
               for hertz in (150, 300, 600, 1200, 2400, 3600)]
    assert loudest == sorted(set(loudest))


@pytest.mark.parametrize("options", [{}, PLAIN, {"bits": 1}, {"bits": 8, "steps": 20},
                                     {"edges": False}, {"stretch": False, "bands": 128}])
@pytest.mark.parametrize("samples", [20, 300, 4000, 30_000])
def test_frames_have_the_promised_shape(options, samples):
    ear = Cochlea(**options)
    heard = encode_sound(tone(500, samples), ear)
    assert heard.dtype == np.uint8 and heard.shape == (ear.steps, ear.channels)
    assert heard.max() == 2 ** ear.bits - 1


def test_loudness_and_silence_around_do_not_matter():
    sound = tone(700)
    wanted = encode_sound(sound, Cochlea(**PLAIN))
    louder = encode_sound((sound * 3).astype(np.int16), Cochlea(**PLAIN))
    assert np.abs(louder.astype(int) - wanted).max() <= 1
    around = encode_sound(np.pad(sound, (2000, 3000)), Cochlea(**PLAIN))
    first = np.abs(around[4:30].astype(int) - wanted[:26])
    assert np.percentile(first, 95) <= 1


def test_silence_is_nothing():
    assert not encode_sound(np.zeros(2000, np.int16), Cochlea(**PLAIN)).any()


def test_short_is_padded_and_long_is_cut():
    short = encode_sound(tone(500, 1000), Cochlea(**PLAIN))
    assert short[:8].any(1).all() and not short[11:].any()
    stretched = encode_sound(tone(500, 1000), Cochlea(**PLAIN | {"stretch": True}))
    assert stretched.any(1).all()
    long, cut = (encode_sound(tone(500, samples), Cochlea(**PLAIN)) for samples in (8000, 6000))
    assert (long == cut).all()


def test_edges_are_the_rises_and_falls():
    ear = Cochlea(**PLAIN | {"bands": 10, "edges": True, "bits": 8})
    sound = np.concatenate([tone(400, 2000), tone(2500, 2000)])
    heard = encode_sound(sound, ear)
    low = encode_sound(tone(400), Cochlea(**PLAIN | {"bands": 10})).sum(0).argmax()
    high = encode_sound(tone(2500), Cochlea(**PLAIN | {"bands": 10})).sum(0).argmax()
    rises, falls = heard[15:25, 10:20].max(0), heard[15:25, 20:].max(0)
    assert rises[high] > 20 > rises[low] and falls[low] > 20 > falls[high]


@pytest.mark.parametrize("options, message", [
    ({"steps": 0}, "steps of sound frames must be within 1 and 1000, not 0"),
    ({"bits": 9}, "bits of sound frames must be within 1 and 8, not 9"),
    ({"bands": 1.5}, "option bands of spoken-digits must be an integer, not 1.5"),
    ({"edges": 1}, "option edges of spoken-digits must be true or false, not 1"),
    ({"window": 1}, "window of sound frames must be within 2 and 100000, not 1"),
    ({"lowest": 5000}, "lowest of sound frames must be below half the rate of 8000, not 5000"),
    ({"span": 0}, "span of sound frames must be above 0, not 0"),
    ({"colour": 1}, "an option of spoken-digits must be one of steps, bands, .*, not 'colour'"),
])
def test_options_that_make_no_sense(options, message):
    with pytest.raises(DataError, match=message):
        data.load("spoken-digits", **options)


# -- the loader, on files made here ---------------------------------------------------------------

@pytest.fixture
def digits(monkeypatch, tmp_path):
    """Seven takes of ten digits by two speakers; the digit is a tone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(spoken, "SPEAKERS", ("george", "theo"))
    monkeypatch.setattr(spoken, "TAKES", 7)
    folder = tmp_path / "fsdd"
    folder.mkdir()
    for digit in range(10):
        for speaker in spoken.SPEAKERS:
            for take in range(7):
                sound = tone(300 * (digit + 1), 1500)
                (folder / f"{digit}_{speaker}_{take}.wav").write_bytes(wav(sound))
    return folder


def test_the_official_split(digits):
    dataset = data.load("spoken-digits", digits.parent, steps=12, bands=16, edges=False)
    assert dataset.train_x.shape == (40, 12, 16) and dataset.test_x.shape == (100, 12, 16)
    assert np.bincount(dataset.test_y).tolist() == [10] * 10
    assert dataset.shape == (16,) and dataset.bits == 4
    loudest = dataset.test_x.sum(1).argmax(1)
    assert [len(set(loudest[dataset.test_y == digit])) for digit in range(10)] == [1] * 10
    assert len(set(loudest)) == 10


def test_a_speaker_held_out(digits):
    for file in digits.glob("*_theo_*"):
        file.write_bytes(wav(tone(3900, 1500)))
    dataset = data.load("spoken-digits:theo", digits.parent, edges=False)
    assert len(dataset.train_y) == len(dataset.test_y) == 70
    heard, learnt = (x.sum(1).argmax(1) for x in (dataset.test_x, dataset.train_x))
    assert heard.min() > learnt.max()


def break_one(folder, content):
    (folder / "3_theo_4.wav").write_bytes(content)


@pytest.mark.parametrize("content, message", [
    (b"", "3_theo_4.wav must be a wav file: .*; get it again"),
    (b"RIFF nonsense of some length", "3_theo_4.wav must be a wav file: "),
    (wav(tone(500, 900))[:-100], "3_theo_4.wav must hold 900 samples, not 850: truncated"),
    (wav(tone(500, 0)), "3_theo_4.wav must hold at least one sample"),
    (wav(tone(500, 900), channels=2), "must be mono, 16 bits, 8000 Hz, not 2 channels, 16 bits"),
    (wav(tone(500, 900), rate=16000), "mono, 16 bits, 8000 Hz, not 1 channels, 16 bits, 16000 Hz"),
])
def test_a_damaged_recording(digits, content, message):
    break_one(digits, content)
    with pytest.raises(DataError, match=message):
        data.load("spoken-digits", digits.parent)


def test_a_recording_too_few(digits):
    (digits / "3_theo_4.wav").unlink()
    with pytest.raises(DataError, match="fsdd must hold 140 recordings, not 139; delete it"):
        data.load("spoken-digits", digits.parent)


@pytest.mark.parametrize("name", ["3_nobody_4.wav", "noise.wav"])
def test_a_recording_of_something_else(digits, name):
    (digits / name).write_bytes(wav(tone(500)))
    message = f"fsdd must hold files DIGIT_SPEAKER_TAKE.wav, not '{name}'; get the release of 3,000"
    with pytest.raises(DataError, match=message):
        data.load("spoken-digits", digits.parent)


@pytest.mark.parametrize("name", ["spoken-digits:nobody", "spoken-digits:"])
def test_a_speaker_that_is_not_there(name):
    message = "spoken-digits must hold out one of george, jackson, .*, yweweler, not '"
    with pytest.raises(DataError, match=message):
        data.load(name)


def test_the_recordings_are_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QSNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "BESIDE", tmp_path / "beside")
    message = ("spoken-digits: fsdd.tar.xz or .* not found in data, .*/.cache/qsnn. Its wav files "
               "are at https://github.com/Jakobovski/free-spoken-digit-dataset")
    with pytest.raises(DataError, match=message):
        data.load("spoken-digits")


# -- the genuine recordings -----------------------------------------------------------------------

def test_the_genuine_recordings(monkeypatch, tmp_path):
    """Every split, and a linear classifier already tells the digits apart."""
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        dataset = data.load("spoken-digits")
    except DataError as missing:
        pytest.skip(str(missing))
    assert dataset.train_x.shape == (2700, 25, 72) and dataset.test_x.shape == (300, 25, 72)
    assert np.bincount(dataset.test_y).tolist() == [30] * 10
    held = data.load("spoken-digits:lucas")
    assert np.bincount(held.test_y).tolist() == [50] * 10 and len(held.train_y) == 2500
    x, test = flat(dataset.train_x), flat(dataset.test_x)
    gram = x.T @ x + 1000 * np.eye(x.shape[1], dtype=np.float32)
    weights = np.linalg.solve(gram, x.T @ np.eye(10, dtype=np.float32)[dataset.train_y])
    assert ((test @ weights).argmax(1) == dataset.test_y).mean() >= 0.85


def flat(frames):
    x = frames.reshape(len(frames), -1).astype(np.float32)
    return np.concatenate([x, np.ones((len(x), 1), np.float32)], 1)
