"""The Free Spoken Digit Dataset: 3,000 recordings of ten digits by six speakers."""

import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .cochlea import Cochlea, encode_sound
from .dataset import Bytes, Dataset
from .folders import cached, contents, find, fingerprint

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50                      # of every digit by every speaker
TEST_TAKES = 5                  # the official test split: takes 0 to 4
RATE = 8000
FILES = ("fsdd.tar.xz", "fsdd", "free-spoken-digit-dataset")
GET = ("Its wav files are at https://github.com/Jakobovski/free-spoken-digit-dataset: "
       "git clone it there")


def load_spoken(name: str, folder: str | Path | None = None, **options: Any) -> Dataset:
    """Spoken digits as frames ``[N, T, C]``; *options* are a `Cochlea`'s fields.

    ``spoken-digits``: the official split, takes 0 to 4 of every digit and speaker (300) for
    testing. ``spoken-digits:SPEAKER``: all 500 of that speaker for testing, none in training.
    """
    ear = Cochlea(**options)
    speaker = _speaker(name)
    path = find("spoken-digits", FILES, folder, GET)
    arrays = cached("spoken-digits", (fingerprint(path), ear), lambda: _frames(path, ear))
    x, labels, speakers, takes = (arrays[key] for key in ("x", "digit", "speaker", "take"))
    test = takes < TEST_TAKES if speaker is None else speakers == SPEAKERS.index(speaker)
    return Dataset(name, x[~test], labels[~test], x[test], labels[test], bits=ear.bits)


def recordings(path: Path) -> dict[tuple[int, str, int], NDArray[np.int16]]:
    """Digit, speaker and take -> samples at 8 kHz, of all 3,000 files of the archive or folder
    *path*, sorted."""
    sounds = {}
    for name, content in contents(path, (".wav",)).items():
        match = re.fullmatch(r"(\d)_([a-z]+)_(\d+)\.wav", name)
        if match is None or match[2] not in SPEAKERS:
            raise DataError(f"{path} must hold files DIGIT_SPEAKER_TAKE.wav, not {name!r}; get the "
                            f"release of 3,000. {GET}")
        sounds[int(match[1]), match[2], int(match[3])] = _samples(content, f"{path}: {name}")
    wanted = 10 * len(SPEAKERS) * TAKES
    if len(sounds) != wanted:
        raise DataError(f"{path} must hold {wanted:,} recordings, not {len(sounds):,}; "
                        f"delete it and get it again. {GET}")
    return dict(sorted(sounds.items()))


def _samples(content: bytes, name: str) -> NDArray[np.int16]:
    try:
        with wave.open(io.BytesIO(content)) as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            count, data = file.getnframes(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(f"{name} must be a wav file: {error}; get it again") from None
    if form != (1, 2, RATE):
        raise DataError(f"{name} must be mono, 16 bits, {RATE} Hz, not {form[0]} channels, "
                        f"{8 * form[1]} bits, {form[2]} Hz")
    if not count:
        raise DataError(f"{name} must hold at least one sample; get it again")
    if len(data) != 2 * count:
        raise DataError(f"{name} must hold {count} samples, not {len(data) // 2}: truncated; "
                        "get it again")
    return np.frombuffer(data, "<i2")


def _frames(path: Path, ear: Cochlea) -> dict[str, NDArray[Any]]:
    sounds = recordings(path)
    digits, speakers, takes = zip(*sounds, strict=True)
    x: Bytes = np.stack([encode_sound(sound, ear) for sound in sounds.values()])
    return {"x": x, "digit": np.array(digits, np.uint8), "take": np.array(takes, np.uint8),
            "speaker": np.array([SPEAKERS.index(name) for name in speakers], np.uint8)}


def _speaker(name: str) -> str | None:
    _, colon, speaker = name.partition(":")
    if colon and speaker not in SPEAKERS:
        raise DataError(f"spoken-digits must hold out one of {', '.join(SPEAKERS)}, "
                        f"not {speaker!r}")
    return speaker or None
