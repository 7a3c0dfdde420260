"""Arrays and tables of one's own: ``.npz`` files of x and y, and CSV files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsnn_compile.system.arrays import ArrayError, read_npz
from qsnn_compile.system.files import read_bytes
from qsnn_models.errors import DataError

from .labelled import Array, Labelled

LABELS = ("label", "class", "y", "target")          # headers of the column of classes
RECORDINGS = ("recording", "session", "id")         # and of what belongs together
WRITE = "write it with numpy.savez(file, x=..., y=...)"


def read_arrays(path: Path, *, frames: bool = False) -> Labelled:
    """The arrays ``x`` ``[N, ...]``, ``y`` ``[N]`` and, where there, ``names`` of an ``.npz`` file.
    Numbers ``[N, T, C]`` are series; bytes (uint8) are images, or, with *frames*, one frame a step.
    """
    try:
        with read_npz(path) as archive:
            missing = next((name for name in ("x", "y") if name not in archive.names), None)
            if missing is not None:
                raise DataError(f"{path}: data must hold an array {missing!r}, not only "
                                f"{archive.names!r}; {WRITE}")
            arrays = {name: archive[name] for name in ("x", "y", "names") if name in archive.names}
    except ArrayError as error:
        hint = "; recordings of several lengths go into CSV files, or are cut to one length" \
            if "Object arrays" in str(error) else f"; {WRITE}"
        raise DataError(f"{path}: data must be a whole .npz file of numbers, but reading it "
                        f"failed: {error}{hint}") from None
    except OSError as error:
        raise DataError(f"{path}: data must be a file that can be read: {error.strerror}") from None
    names = tuple(map(str, arrays["names"].ravel().tolist())) if "names" in arrays else ()
    return of_arrays(str(path), arrays["x"], arrays["y"], names=names, frames=frames)


def of_arrays(source: str, x: Array, y: Array, *, names: tuple[str, ...] = (),
              frames: bool = False) -> Labelled:
    """*x* ``[N, ...]`` and *y* ``[N]`` as samples, see `read_arrays`."""
    if x.ndim < 2:
        raise DataError(f"{source}: x must be samples [N, ...], not {list(x.shape)!r}; {WRITE}")
    if x.dtype == bool:
        x = x.astype(np.uint8)
    if x.dtype != np.uint8:
        return Labelled(source, x, y, names, series=x.ndim == 3)
    top = int(x.max(initial=0))
    if frames:
        return Labelled(source, x, y, names, series=True, bits=max(1, top.bit_length()))
    shape = x.shape[1:] if x.ndim != 3 else (1, *x.shape[1:])
    return Labelled(source, x.reshape(len(x), -1), y, names, shape=shape)


@dataclass(frozen=True)
class Sheet:
    """A CSV file: its header (made up where it has none) and its rows of texts."""

    source: str
    header: list[str]
    rows: list[list[str]]

    def column(self, wanted: str, usual: Sequence[str]) -> int | None:
        """The place of the column called *wanted*, else of one of the *usual* names."""
        lower = [name.lower() for name in self.header]
        if wanted and wanted not in self.header:
            raise DataError(f"{self.source}: a column must be one of {', '.join(self.header)}, not "
                            f"{wanted!r}")
        if wanted:
            return self.header.index(wanted)
        return next((lower.index(name) for name in usual if name in lower), None)

    def numbers(self, places: Sequence[int]) -> Array:
        """The columns at *places* as numbers ``[rows, columns]``. Raises DataError by row."""
        values = np.empty((len(self.rows), len(places)), np.float64)
        for number, row in enumerate(self.rows):
            for column, place in enumerate(places):
                try:
                    values[number, column] = float(row[place])
                except ValueError:
                    raise DataError(f"{self.source}: column {self.header[place]!r} must be "
                                    f"numbers, not {row[place]!r} (row {number + 1}); mend it, or "
                                    "choose columns with ?columns=A,B") from None
        return values.astype(np.float32)


def read_sheet(path: Path) -> Sheet:
    """The CSV file at *path*; commas, semicolons or tabs. Raises DataError."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: a CSV file must be text in UTF-8; save it so") from None
    except OSError as error:
        raise DataError(f"{path}: data must be a file that can be read: {error.strerror}") from None
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if row]
    except csv.Error as error:
        raise DataError(f"{path}: must be a CSV file, but reading it failed: {error}") from None
    header = [] if not rows or any(map(_is_number, rows[0])) else [t.strip() for t in rows.pop(0)]
    if not rows:
        raise DataError(f"{path}: a CSV file must have rows of numbers, not none")
    for number, row in enumerate(rows):
        if len(row) != len(header or rows[0]):
            raise DataError(f"{path}: rows must be of one length, {len(header or rows[0])} "
                            f"columns, not {len(row)} (row {number + 1})")
    return Sheet(str(path), header or [f"column{n}" for n in range(1, len(rows[0]) + 1)], rows)


def read_csv(path: Path, *, steps: bool, channels: int = 0, columns: str = "", label: str = "",
             recording: str = "") -> Labelled:
    """A CSV file: its column *label* (else one called label, class, y or target, else the last) are
    the classes, *columns* (else all that are left) the numbers.

    A row is a sample; with *channels*, a window, ``[T, channels]`` step by step. Where there is a
    column *recording* (or one called recording, session or id), or with *steps*, a row is a step,
    and rows of one recording, else neighbours of one class, are a series.
    """
    sheet = read_sheet(path)
    classes = sheet.column(label, LABELS)
    classes = len(sheet.header) - 1 if classes is None else classes
    group = sheet.column(recording, RECORDINGS)
    chosen = _columns(sheet, columns, {classes, group})
    values = sheet.numbers(chosen)
    labels = [row[classes].strip() for row in sheet.rows]
    if group is not None or steps:
        marks = labels if group is None else [row[group] for row in sheet.rows]
        return _series(sheet, values, labels, marks, named=group is not None)
    return _rows(sheet, values, labels, channels)


def read_recording(path: Path, *, columns: str = "") -> Array:
    """A CSV file of one recording, ``[T, C]``: a row a step, all columns or *columns*."""
    sheet = read_sheet(path)
    return sheet.numbers(_columns(sheet, columns, set()))


def _columns(sheet: Sheet, wanted: str, others: set[int | None]) -> list[int]:
    if wanted:
        places = [sheet.column(name.strip(), ()) for name in wanted.split(",") if name.strip()]
        return [place for place in places if place is not None]
    return [place for place in range(len(sheet.header)) if place not in others]


def _rows(sheet: Sheet, values: Array, labels: list[str], channels: int) -> Labelled:
    y = _labels(labels)
    if not channels:
        return Labelled(sheet.source, values, y, place=_row)
    if channels < 0 or values.shape[1] % channels:
        raise DataError(f"{sheet.source}: channels must divide the {values.shape[1]} numbers of a "
                        f"row, not {channels!r}")
    return Labelled(sheet.source, values.reshape(len(values), -1, channels), y, series=True,
                    place=_row)


def _row(index: int) -> str:
    return f"row {index + 1}"


def _series(sheet: Sheet, values: Array, labels: list[str], marks: list[str], named: bool
            ) -> Labelled:
    """Neighbouring rows of one mark as a recording each. Raises DataError where its label changes.
    """
    starts = [n for n in range(len(marks)) if n == 0 or marks[n] != marks[n - 1]]
    ends = [*starts[1:], len(marks)]
    for start, end in zip(starts, ends, strict=True):
        other = next((n for n in range(start, end) if labels[n] != labels[start]), None)
        if other is not None:
            raise DataError(f"{sheet.source}: a recording must be of one class, but "
                            f"{marks[start]!r} is {labels[start]!r} and {labels[other]!r} "
                            f"(row {other + 1}); split it")
    return Labelled(sheet.source, [values[s:e] for s, e in zip(starts, ends, strict=True)],
                    _labels([labels[start] for start in starts]), series=True,
                    place=lambda n: f"recording {marks[starts[n]]!r}" if named else
                    f"rows {starts[n] + 1} to {ends[n]}")


def _labels(texts: list[str]) -> Array:
    """Numbers where all are whole numbers, else texts."""
    if all(text.isascii() and text.isdecimal() and len(text) < 9 for text in texts):
        return np.array([int(text) for text in texts])
    if all(map(_is_number, texts)):
        return np.array([float(text) for text in texts])
    return np.array(texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
