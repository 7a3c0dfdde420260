"""Frames of the byte link: what is sent as bytes, what comes back as values. Pure functions.

`qsnn_hw.frames` defines the bytes; its constants are the ones the gateware is built from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.errors import QsnnError
from qsnn_hw import frames
from qsnn_hw.arch import Image, Machine
from qsnn_hw.beats import input_beats

IDENTIFICATION_BYTES = 1 + frames.DIGEST_BYTES


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
    return bytes([frames.IDENTIFY])


def identification(machine: Machine) -> bytes:
    """The reply to `identify` of a board that holds *machine*."""
    return frames.identification(machine)


def check_identification(machine: Machine, reply: bytes) -> None:
    """Raise `ProtocolError` unless *reply* is `identification(machine)`."""
    if reply[0] != frames.VERSION:
        raise ProtocolError(f"the board's protocol version must be {frames.VERSION}, not "
                            f"{reply[0]!r}: is it the right port, and a qsnn bitstream?")
    wanted, found = frames.identification(machine)[1:].hex(), reply[1:].hex()
    if found != wanted:
        raise ProtocolError(f"the board's program must be {wanted!r}, not {found!r}: "
                            "program the board with the bitstream of this build folder")


def load(machine: Machine, image: Image) -> bytes:
    """The frame that loads every weight row."""
    return bytes([frames.WEIGHTS]) + frames.bytes_of_weights(machine, image)


def restart() -> bytes:
    """The frame that makes a stream's next step its first."""
    return bytes([frames.RESTART])


def sample(machine: Machine, x: NDArray[np.uint8]) -> bytes:
    """The frame of one sample, the integers that the network takes: ``[*shape]`` (direct, or a step
    of a stream) or ``[T, *shape]`` (spikes and counts)."""
    beats = input_beats(machine, x[None])[0]
    payload: bytes = beats.astype(f"<u{frames.beat_bytes(machine)}").tobytes()
    return bytes([frames.INPUT]) + payload


def result_bytes(machine: Machine) -> int:
    """Bytes of the reply to `sample`."""
    return frames.result_bytes(machine)


def result(machine: Machine, index: int, score: int, settled: bool = False) -> bytes:
    """The reply to `sample` that says class *index* won with *score*, and whether it is *settled*
    where the machine has an exit margin."""
    return (index.to_bytes(frames.index_bytes(machine), "little")
            + score.to_bytes(frames.SCORE_BYTES, "little", signed=True)
            + bytes([settled] * frames.settled_bytes(machine)))


def parse_result(machine: Machine, reply: bytes) -> Result:
    """What *reply* says. Raises `ProtocolError` on a class that the network does not have."""
    size = frames.index_bytes(machine)
    index = int.from_bytes(reply[:size], "little")
    if index >= machine.classes:
        raise ProtocolError(f"the board's class must be below {machine.classes}, not {index!r}: "
                            "bytes were lost on the link; reset the board and try again")
    end = size + frames.SCORE_BYTES
    settled = bool(reply[end]) if frames.settled_bytes(machine) else None
    return Result(index, int.from_bytes(reply[size:end], "little", signed=True), settled)
