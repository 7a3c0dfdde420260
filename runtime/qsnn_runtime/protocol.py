"""Frames of the byte link: what is sent as bytes, what comes back as values. Pure functions.

`qsnn_hw.link.frames` defines the bytes; its constants are the ones the gateware is built from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.system.errors import QsnnError
from qsnn_hw.link import frames
from qsnn_hw.link.beats import input_beats
from qsnn_hw.machine.arch import Image, Machine

IDENTIFICATION_BYTES = 1 + frames.DIGEST_BYTES + len(frames.END)


class ProtocolError(QsnnError):
    """The other end's bytes are not those of this protocol or of this program."""


@dataclass(frozen=True)
class Result:
    """A sample's winning class and its score; ``settled``: it leads by the exit margin, None where
    the program has none."""

    index: int
    score: int
    settled: bool | None = None


def identify() -> bytes:
    """The frame that asks what the board holds."""
    return _frame(frames.IDENTIFY)


def identification(machine: Machine) -> bytes:
    """The reply to `identify` of a board that holds *machine*."""
    return frames.identification(machine) + frames.END


def check_identification(machine: Machine, reply: bytes) -> None:
    """Raise `ProtocolError` unless *reply* is `identification(machine)`."""
    if reply[0] != frames.VERSION:
        raise ProtocolError(f"the board's protocol version must be {frames.VERSION}, not "
                            f"{reply[0]!r}: is it the right port, and a qsnn bitstream?")
    wanted, answered = frames.identification(machine)[1:].hex(), _data(reply)[1:].hex()
    if answered != wanted:
        raise ProtocolError(f"the board's program must be {wanted!r}, not {answered!r}: "
                            "program the board with the bitstream of this build folder")


def load(machine: Machine, image: Image) -> bytes:
    """The frame that loads every weight row."""
    return _frame(frames.WEIGHTS, frames.bytes_of_weights(machine, image))


def restart() -> bytes:
    """The frame that makes a stream's next step its first."""
    return _frame(frames.RESTART)


def sample(machine: Machine, x: NDArray[np.uint8]) -> bytes:
    """The frame of one sample, the integers that the network takes: ``[*shape]`` (direct, or a step
    of a stream) or ``[T, *shape]`` (spikes and counts)."""
    beats = input_beats(machine, x[None])[0]
    payload: bytes = beats.astype(f"<u{frames.beat_bytes(machine)}").tobytes()
    return _frame(frames.INPUT, payload)


def result_bytes(machine: Machine) -> int:
    """Bytes of the reply to `sample`."""
    return frames.result_bytes(machine) + len(frames.END)


def result(machine: Machine, index: int, score: int, settled: bool = False) -> bytes:
    """The reply to `sample` that says class *index* won with *score*, and whether it is *settled*
    where the machine has an exit margin."""
    return (index.to_bytes(frames.index_bytes(machine), "little")
            + score.to_bytes(frames.SCORE_BYTES, "little", signed=True)
            + bytes([settled] * frames.settled_bytes(machine)) + frames.END)


def parse_result(machine: Machine, reply: bytes) -> Result:
    """What *reply* says. Raises `ProtocolError` where no board with *machine* says so."""
    parameters = machine.parameters
    data, size = _data(reply), frames.index_bytes(machine)
    index = int.from_bytes(data[:size], "little")
    if index >= parameters.classes:
        raise ProtocolError(f"the board's class must be below {parameters.classes}, not {index!r}: "
                            "bytes were lost on the link; reset the board and try again")
    end = size + frames.SCORE_BYTES
    score, (least, most) = int.from_bytes(data[size:end], "little", signed=True), _scores(machine)
    if not least <= score <= most:
        raise ProtocolError(f"the board's score must be within {least} and {most}, not {score!r}: "
                            "bytes were changed on the link; load the network again")
    if not set(data[end:]) <= {0, 1}:
        raise ProtocolError(f"the board's settled must be 0 or 1, not {data[end]!r}: "
                            "bytes were changed on the link; load the network again")
    return Result(index, score, bool(data[end]) if frames.settled_bytes(machine) else None)


def _scores(machine: Machine) -> tuple[int, int]:
    """The least and the highest score that *machine* can give."""
    most = (1 << machine.arithmetic.score_bits - 1) - 1
    if machine.parameters.readout == "potential":
        return -most - 1, most
    return 0, most if machine.parameters.streaming else machine.parameters.steps


def _frame(command: int, data: bytes = b"") -> bytes:
    return bytes([command]) + data + frames.END


def _data(reply: bytes) -> bytes:
    """*reply* without its end. Raises `ProtocolError` where that is not `END`."""
    data, end = reply[:-len(frames.END)], reply[-len(frames.END):]
    if end != frames.END:
        raise ProtocolError(f"the board's reply must end with {frames.END.hex()!r}, not "
                            f"{end.hex()!r}: bytes were lost, added or changed on the link; "
                            "load the network again")
    return data
