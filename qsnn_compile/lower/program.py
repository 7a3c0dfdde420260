"""The program of one network: the machine, what its memories hold, and what its input means.

`Program.save` writes, `load` reads back equal:

- ``program.json``: the machine, the input, the names that the memory images go by;
- ``weights.bin``: the weight rows as the load port takes them, bank by bank, beats of 16 bits, low
  byte first;
- ``memory/*.hex``: one parameter memory each, a number a line, as ``$readmemh`` reads them.

In ``program.json`` a word of a window is a line of numbers, the fields of
`qsnn_hw.machine.layers.Word` in their order, and a window that all banks share stands there once.

Needs numpy and the standard library only: a board's host has no more.
"""

import hashlib
import json
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from qsnn_compile.ir import Input
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.files import read_bytes, read_json
from qsnn_hw.link import frames
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.fields import NEURON_FIELDS, READOUT_FIELDS, Field
from qsnn_hw.machine.layers import WORD, Layer, Map, Word
from qsnn_hw.machine.parameters import Arithmetic, Parameters

FORMAT = 3
CHOICES = ("banks", "lanes", "units", "columns")
MOST = 4096                     # of each: beyond any chip


class ProgramError(QsnnError):
    """A program file is missing, truncated or not one of ours."""


@dataclass(frozen=True)
class Program:
    """A compiled network. ``clock_mhz`` is the clock the board's bitstream runs the core at."""

    machine: Machine
    image: Image
    input: Input
    target: str
    board: str
    clock_mhz: float
    class_names: tuple[str, ...] = ()       # of the answers' numbers, where known

    @property
    def images(self) -> list[str]:
        """The files of its memory images, by name."""
        return [f"memory/{name}" for name in sorted(_memory_images(self))]

    def save(self, folder: Path) -> None:
        """Write the program into *folder*, which exists."""
        (folder / "memory").mkdir(exist_ok=True)
        for name, text in _memory_images(self).items():
            (folder / "memory" / name).write_text(text, encoding="utf-8")
        (folder / "weights.bin").write_bytes(frames.bytes_of_weights(self.machine, self.image))
        text = json.dumps(_manifest(self), indent=1) + "\n"
        (folder / "program.json").write_text(text, encoding="utf-8")

    @staticmethod
    def load(folder: str | Path) -> "Program":
        """The program saved in *folder*. Raises ProgramError."""
        folder = Path(folder)
        manifest = _read_manifest(folder / "program.json")
        try:
            machine = _machine(manifest["machine"])
            given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                     for name, value in manifest["input"].items()}
            program = Program(
                machine, _read_image(folder, machine),
                Input(**given),
                manifest["target"], manifest["board"], manifest["clock_mhz"],
                tuple(map(str, manifest.get("class_names", ()))))
            actual = digest(machine, program.image)
        except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ProgramError(
                f"{folder / 'program.json'}: must be a program of format {FORMAT}, not a damaged "
                f"one ({type(error).__name__}: {error}); compile the model again with "
                "qsnnc") from None
        if actual != machine.digest:
            raise ProgramError(
                f"{folder}: memory images must have digest {machine.digest!r}, "
                f"not {actual!r}; one was changed or belongs to another "
                "program: compile the model again with qsnnc")
        return program


def digest(machine: Machine, image: Image) -> str:
    """16 hexadecimal digits that name a machine together with what its memories hold."""
    parts = [_plain(replace(machine, digest="")), image.neuron, image.readout, image.weights]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _manifest(program: Program) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "target": program.target,
        "board": program.board,
        "clock_mhz": program.clock_mhz,
        "input": asdict(program.input),
        "class_names": list(program.class_names),
        "machine": _plain(program.machine),
        "weights": "weights.bin",
        "memory": sorted(_memory_images(program)),
    }


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        raise ProgramError(f"{path.parent}: must be a folder that qsnnc wrote, not one without "
                           f"{path.name!r}; compile a model into it: "
                           f"qsnnc model.onnx -o {path.parent}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ProgramError(f"{path}: must be a readable JSON file: {error}; "
                           "compile the model again with qsnnc") from None
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise ProgramError(f"{path}: format must be {FORMAT}, not {version!r}; "
                           "compile the model again with this version of qsnnc")
    return dict(manifest)


# -- the machine ----------------------------------------------------------------------------------

def _plain(machine: Machine) -> dict[str, Any]:
    """*machine* as JSON says it."""
    chosen, arithmetic = _fields(machine.parameters), _fields(machine.arithmetic)
    layers = [asdict(replace(layer, windows=())) | {"windows": _lines(layer.windows)}
              for layer in machine.parameters.layers]
    parts = {name: [asdict(field) for field in arithmetic[name]]
             for name in ("neuron_fields", "readout_fields")}
    return chosen | arithmetic | parts | {
        "layers": layers, "input_map": asdict(machine.parameters.input_map),
        "digest": machine.digest}


def _fields(part: Parameters | Arithmetic) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields(part)}


def _lines(windows: tuple[tuple[Word, ...], ...]) -> list[list[str]]:
    several = windows if len(set(windows)) > 1 else windows[:1]
    return [[" ".join(str(int(value)) for value in astuple(word)) for word in window]
            for window in several]


def _machine(given: dict[str, Any]) -> Machine:
    _check_choices(given)
    parts = {name: tuple(_field(field, known) for field in given[name])
             for name, known in (("neuron_fields", NEURON_FIELDS),
                                 ("readout_fields", READOUT_FIELDS))}
    banks = min(given["banks"], WORD)           # of more no machine is made
    layers = tuple(_layer(layer, banks) for layer in given["layers"])
    given = given | parts | {"layers": layers, "input_map": _map(given["input_map"])}
    arithmetic = {field.name: given.pop(field.name) for field in fields(Arithmetic)}
    digest = given.pop("digest")
    return Machine(parameters=Parameters(**given), arithmetic=Arithmetic(**arithmetic),
                   digest=digest)


def _check_choices(given: dict[str, Any]) -> None:
    """Raise ValueError for what no machine of any network is."""
    for name in CHOICES:
        if type(given[name]) is not int or not 1 <= given[name] <= MOST:
            raise ValueError(f"{name} must be in 1..{MOST}, not {given[name]!r}")
    margin = given["exit_margin"]
    if type(given["streaming"]) is not bool or not (
            margin is None or (type(margin) is int and margin >= 0)):
        raise ValueError(f"streaming and exit_margin must be a mode, not {given['streaming']!r} "
                         f"and {margin!r}")
    for name, hint in get_type_hints(Parameters).items():
        if get_origin(hint) is Literal and given[name] not in get_args(hint):
            raise ValueError(f"{name} must be one of {', '.join(get_args(hint))}, "
                             f"not {given[name]!r}")


def _field(given: dict[str, Any], known: tuple[str, ...]) -> Field:
    """Its name is that of a file, too."""
    if given["name"] not in known:
        raise ValueError(f"field must be one of {', '.join(known)}, not {given['name']!r}")
    return Field(**given)


def _layer(given: dict[str, Any], banks: int) -> Layer:
    windows = tuple(tuple(map(_word, window)) for window in given["windows"])
    windows = windows * banks if len(windows) == 1 else windows
    return Layer(**(given | {"maps": tuple(map(_map, given["maps"])), "windows": windows}))


def _map(given: dict[str, Any]) -> Map:
    return Map(**(given | {name: tuple(given[name]) for name in ("origin", "stride")}))


def _word(line: str) -> Word:
    given: dict[str, Any] = {
        field.name: bool(number) if field.type is bool else number
        for field, number in zip(fields(Word), map(int, line.split()), strict=True)}
    return Word(**given)


# -- memory images --------------------------------------------------------------------------------

def _memory_images(program: Program) -> dict[str, str]:
    machine, image = program.machine, program.image
    texts = {}
    for field in _stored(machine.arithmetic.neuron_fields):
        for bank, units in enumerate(image.neuron[field.name]):
            for unit, numbers in enumerate(units):
                texts[_neuron_image(field, bank, unit)] = _to_hex(numbers, field)
    for field in _stored(machine.arithmetic.readout_fields):
        texts[f"readout_{field.name}.hex"] = _to_hex(image.readout[field.name], field)
    return texts


def _neuron_image(field: Field, bank: int, unit: int) -> str:
    return f"neuron_{field.name}_{bank}_{unit}.hex"


def _read_image(folder: Path, machine: Machine) -> Image:
    parameters, arithmetic, layout = machine.parameters, machine.arithmetic, machine.layout
    memory, slots = folder / "memory", layout.neuron_slots
    neuron = {
        field.name: tuple(
            tuple(_from_hex(memory / _neuron_image(field, bank, unit), field, slots)
                  for unit in range(parameters.units))
            for bank in range(parameters.banks))
        for field in _stored(arithmetic.neuron_fields)}
    readout = {
        field.name: _from_hex(memory / f"readout_{field.name}.hex", field, layout.readout_slots)
        for field in _stored(arithmetic.readout_fields)}
    return Image(neuron, readout, _read_weights(folder / "weights.bin", machine))


def _stored(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(field for field in fields if field.constant is None)


def _to_hex(numbers: tuple[int, ...], field: Field) -> str:
    digits = -(-field.width // 4)
    mask = (1 << field.width) - 1
    return "".join(f"{number & mask:0{digits}x}\n" for number in numbers)


def _from_hex(path: Path, field: Field, count: int) -> tuple[int, ...]:
    try:
        numbers = [int(line, 16) for line in _read_bytes(path).decode().split()]
    except ValueError:
        raise ProgramError(f"{path}: must hold a hexadecimal number a line; "
                           "compile the model again with qsnnc") from None
    if len(numbers) != count:
        raise ProgramError(f"{path}: must hold {count} numbers, not {len(numbers)}; the file is "
                           "truncated or of another program: compile the model again with qsnnc")
    sign = 1 << (field.width - 1) if field.signed else 0
    return tuple((number ^ sign) - sign for number in numbers)


def _read_weights(path: Path, machine: Machine) -> tuple[tuple[int, ...], ...]:
    data, wanted = _read_bytes(path), frames.weight_bytes(machine)
    if len(data) != wanted:
        raise ProgramError(f"{path}: must hold {wanted} bytes, not {len(data)}; the file is "
                           "truncated or of another program: compile the model again with qsnnc")
    return frames.weights_from_bytes(machine, data)


def _read_bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise ProgramError(f"{path}: must be a readable memory image: {error.strerror}; "
                           "compile the model again with qsnnc") from None
