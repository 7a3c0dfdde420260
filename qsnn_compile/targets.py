"""Targets: what a chip has, and the board that a family's bitstreams are for."""

from dataclasses import dataclass

from .errors import QsnnError

LANES = (64, 32, 16)        # the widest first
SPRAM_WORDS = 16_384        # an SPRAM is 16,384 × 16, one port


class TargetError(QsnnError):
    """A target that there isn't, or that has no such lanes."""


@dataclass(frozen=True)
class Device:
    """A chip: its resources, and how nextpnr names it."""

    name: str
    family: str
    description: str
    lc: int                 # logic cells: a 4-input table and a flip-flop each
    ebr: int                # block RAMs of 4 kbit, 256 × 16 .. 2,048 × 2
    spram: int              # single-port RAMs of 256 kbit
    dsp: int                # 16 × 16 multipliers
    nextpnr: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A board: its chip, and the clock that its bitstreams run the core at."""

    name: str
    description: str
    device: str
    clock_mhz: float


@dataclass(frozen=True)
class Target:
    """What a network is compiled for. ``name`` is what the user said."""

    name: str
    device: Device
    board: Board


DEVICES = (
    Device("up5k", "ice40", "Lattice iCE40 UltraPlus UP5K", 5_280, 30, 4, 8,
           ("--up5k", "--package", "sg48")),
)
BOARDS = (
    Board("icebreaker", "1BitSquared iCEBreaker", "up5k", 30.0),
)
FAMILIES = {"ice40": "icebreaker"}      # a family stands for one board


def target(name: str) -> Target:
    """The target called *name*: a family, a device or a board. Raises TargetError."""
    boards = {board.name: board for board in BOARDS}
    by_device = {board.device: board for board in reversed(BOARDS)}
    devices = {device.name: device for device in DEVICES}
    board = boards.get(FAMILIES.get(name, name)) or by_device.get(name)
    if board is None:
        raise TargetError(f"target must be one of {', '.join(target_names())}, not {name!r}; "
                          "qsnn targets lists them")
    return Target(name, devices[board.device], board)


def target_names() -> list[str]:
    """Everything that `target` takes: families, devices, boards."""
    return [*FAMILIES, *(device.name for device in DEVICES), *(board.name for board in BOARDS)]
