"""A folder for each class, a file for each sample: images, sounds, tables or event recordings."""

import io
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.system.files import read_bytes
from qsnn_models.errors import DataError

from .cochlea import Cochlea, encode_sound
from .dataset import Bytes
from .labelled import Array, Labelled
from .tables import read_recording

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".gif")
SOUNDS = (".wav",)
TABLES = (".csv",)
MOST_SIDE = 1024


@dataclass(frozen=True)
class Files:
    """The files of a folder by class: ``paths`` and the class of each, ``labels``, texts."""

    folder: Path
    paths: list[Path]
    labels: list[str]

    def labelled(self, x: Sequence[Array], **options: Any) -> Labelled:
        """*x*, a sample a file, with the classes."""
        return Labelled(str(self.folder), x, np.array(self.labels), place=self.place, **options)

    def place(self, index: int) -> str:
        """File *index* as messages name it, class/file."""
        return str(self.paths[index].relative_to(self.folder))


def files_of(folder: Path, suffixes: tuple[str, ...]) -> Files:
    """The files of these *suffixes* in the folders of *folder*, one folder a class. Raises
    DataError where a class has none."""
    paths, labels = list[Path](), list[str]()
    for place in class_folders(folder):
        own = sorted(file for file in place.rglob("*") if file.suffix.lower() in suffixes
                     and file.is_file() and not file.name.startswith("."))
        if not own:
            raise DataError(f"{place}: the folder of a class must hold files "
                            f"{' '.join(f'*{suffix}' for suffix in suffixes)} as the others do, "
                            "not none; fill it or delete it")
        paths += own
        labels += [place.name] * len(own)
    return Files(folder, paths, labels)


def class_folders(folder: Path) -> list[Path]:
    """The folders in *folder*, but hidden ones."""
    try:
        return sorted(place for place in folder.iterdir()
                      if place.is_dir() and not place.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: data must be a folder that can be read: {error.strerror}"
                        ) from None


# -- images ---------------------------------------------------------------------------------------

def read_images(folder: Path, *, size: int = 0, gray: bool = False) -> Labelled:
    """Images as bytes ``[N, C · H · W]``: in colour (C = 3), unless all are gray or *gray*; scaled
    to *size* x *size* where that is not 0, else all must be of one size."""
    if not 0 <= size <= MOST_SIDE:
        raise DataError(f"{folder}: size must be within 0 and {MOST_SIDE}, not {size!r}")
    files = files_of(folder, IMAGES)
    images = [decode_image(read_file(path), str(path), size, gray) for path in files.paths]
    colour = any(len(image) == 3 for image in images)
    images = [np.repeat(image, 3, 0) if colour and len(image) == 1 else image for image in images]
    other = next((n for n, image in enumerate(images) if image.shape != images[0].shape), None)
    if other is not None:
        sizes = [f"{image.shape[2]} x {image.shape[1]}" for image in (images[0], images[other])]
        raise DataError(f"{folder}: images must be of one size, not {sizes[0]} ({files.place(0)}) "
                        f"and {sizes[1]} ({files.place(other)}); add ?size=32 to the data's name")
    return files.labelled([image.ravel() for image in images], shape=images[0].shape)


def decode_image(content: bytes, name: str, size: int = 0, gray: bool = False) -> Bytes:
    """An image as ``[C, H, W]``, C = 1 of a gray one, else 3. Raises DataError naming *name*."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{name}: Pillow reads images and is missing; pip install 'qsnn[train]'"
                        ) from None
    try:
        with Image.open(io.BytesIO(content)) as image:
            plain = gray or image.mode in ("1", "L", "LA", "I;16", "I")
            made = image.convert("L" if plain else "RGB")
        made = made.resize((size, size)) if size else made
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} must be an image that Pillow reads, but it says: {error!s:.100}; "
                        "delete it, or save it again") from None
    pixels = np.asarray(made, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_file(path: Path) -> bytes:
    """All of *path*. Raises DataError."""
    try:
        return read_bytes(path)
    except OSError as error:
        raise DataError(f"{path}: must be a file that can be read: {error.strerror}") from None


# -- sounds ---------------------------------------------------------------------------------------

def read_sounds(folder: Path, **options: Any) -> Labelled:
    """Sounds as frames ``[N, T, C]`` of a `Cochlea`, whose fields are the *options*; its rate is
    that of the files, which all must have."""
    files = files_of(folder, SOUNDS)
    sounds, rates = zip(*(decode_wav(read_file(path), str(path)) for path in files.paths),
                        strict=True)
    other = next((n for n, rate in enumerate(rates) if rate != rates[0]), None)
    if other is not None:
        raise DataError(f"{folder}: recordings must be of one sample rate, not {rates[0]} Hz "
                        f"({files.place(0)}) and {rates[other]} Hz ({files.place(other)}); "
                        "resample them")
    ear = Cochlea(**{"rate": rates[0]} | options)
    return files.labelled([encode_sound(sound, ear) for sound in sounds], series=True,
                          bits=ear.bits)


def decode_wav(content: bytes, name: str) -> tuple[NDArray[np.int16], int]:
    """A wav file's samples, the mean of its channels, as 16 bits, and its rate. Raises DataError
    naming *name*."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            count, data = file.getnframes(), file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:
        raise DataError(f"{name} must be a wav file of plain samples (PCM), but reading it failed: "
                        f"{error!s:.100}; save it so") from None
    if not count or len(data) != count * channels * width or not rate:
        raise DataError(f"{name} must hold the {count} samples that its header says, and one or "
                        f"more, not {len(data) // max(channels * width, 1)}; get it again")
    values = _WIDTHS[width](np.frombuffer(data, np.uint8)).reshape(count, channels)
    return np.rint(values.mean(1)).astype(np.int16), rate


def _three(data: Bytes) -> Array:
    """The upper 16 of 24 bits."""
    return np.ascontiguousarray(data.reshape(-1, 3)[:, 1:]).view("<i2").ravel()


_WIDTHS: dict[int, Callable[[Bytes], Array]] = {
    1: lambda data: (data.astype(np.int16) - 128) * 256, 2: lambda data: data.view("<i2"),
    3: _three, 4: lambda data: data.view("<i4") >> 16}


# -- tables ---------------------------------------------------------------------------------------

def read_tables(folder: Path, *, columns: str = "") -> Labelled:
    """CSV files as series ``[T, C]``, a row a step: all columns, or *columns*."""
    files = files_of(folder, TABLES)
    x = [read_recording(path, columns=columns) for path in files.paths]
    other = next((n for n, sample in enumerate(x) if sample.shape[1] != x[0].shape[1]), None)
    if other is not None:
        raise DataError(f"{folder}: recordings must have the same columns, not {x[0].shape[1]} "
                        f"({files.place(0)}) and {x[other].shape[1]} ({files.place(other)}); "
                        "choose some with ?columns=A,B")
    return files.labelled(x, series=True)
