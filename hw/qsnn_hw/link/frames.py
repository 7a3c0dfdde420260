"""The byte link's frames, as both of its ends know them: plain constants and sizes, no HDL.

A frame, either way, ends with the two bytes of ``END``. To the board, before them, a command byte
and its data:

- ``W``: every weight row, bank by bank, beats of 16 bits, low byte first;
- ``X``: one sample's input beats (`qsnn_hw.link.beats`), one or two bytes each, low byte first;
  of a stream one step's;
- ``R``: no data; a stream's next sample is a first step;
- ``I``: no data.

From the board: to ``X`` the class (one byte, two above 256 classes) and the score (four bytes,
two's complement), with an exit margin one byte more, 1 where the result is settled; to ``I`` the
identification; all low byte first. ``W`` and ``R`` have no reply. The host waits for a reply before
it sends the next sample. A break (the line low for longer than a byte) resets link and core; the
weights must then be sent again.

A frame with a byte too many or too few ends in the wrong place: one of the two bytes at its end is
not ``END``'s, whatever the data are, for the two differ. Such a frame, or another command, has no
reply, and nothing after it has, until a break. What ``END`` can't show is a byte that was changed.
"""

from qsnn_hw.machine.arch import Image, Machine

VERSION = 2
WEIGHTS = ord("W")
INPUT = ord("X")
RESTART = ord("R")
IDENTIFY = ord("I")
END = b"\xa5\x5a"           # two that differ, and no command
SCORE_BYTES = 4
DIGEST_BYTES = 4
BAUD = 1_000_000            # a divisor of 12 MHz, so that the board's USB chip makes it exactly


def weight_bytes(machine: Machine) -> int:
    """Data bytes of a ``W`` frame."""
    return machine.parameters.banks * machine.layout.rows * _row_bytes(machine)


def _row_bytes(machine: Machine) -> int:
    return machine.parameters.lanes // 8


def bytes_of_weights(machine: Machine, image: Image) -> bytes:
    """The data of a ``W`` frame."""
    size = _row_bytes(machine)
    return b"".join(row.to_bytes(size, "little") for bank in image.weights for row in bank)


def weights_from_bytes(machine: Machine, data: bytes) -> tuple[tuple[int, ...], ...]:
    """The weight rows of each bank that the data of a ``W`` frame hold."""
    size = _row_bytes(machine)
    rows = [int.from_bytes(data[i:i + size], "little") for i in range(0, len(data), size)]
    return tuple(tuple(rows[bank * machine.layout.rows:(bank + 1) * machine.layout.rows])
                 for bank in range(machine.parameters.banks))


def beat_bytes(machine: Machine) -> int:
    """Bytes of an input beat."""
    return -(-machine.layout.beat_bits // 8)


def input_bytes(machine: Machine) -> int:
    """Data bytes of an ``X`` frame."""
    return machine.layout.input_beats * beat_bytes(machine)


def index_bytes(machine: Machine) -> int:
    """Bytes of a class in the reply."""
    return 1 if machine.parameters.classes <= 256 else 2


def settled_bytes(machine: Machine) -> int:
    """Bytes in the reply that say whether it is settled."""
    return 0 if machine.parameters.exit_margin is None else 1


def result_bytes(machine: Machine) -> int:
    """Data bytes of the reply to ``X``."""
    return index_bytes(machine) + SCORE_BYTES + settled_bytes(machine)


def identification(machine: Machine) -> bytes:
    """The data of the reply to ``I``: protocol version, first bytes of the program's digest."""
    return bytes([VERSION]) + bytes.fromhex(machine.digest.ljust(16, "0"))[:DIGEST_BYTES]
