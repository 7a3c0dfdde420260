"""A board on a serial port, by pyserial."""

import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qsnn_hw.link import frames

from .device import Device, DeviceError

TIMEOUT_S = 2.0             # for bytes that should come at once; an inference takes under 10 ms
BREAK_S = 0.01              # many bytes' time at any usual rate
SETTLE_S = 0.05             # a USB chip hands on within 16 ms what it has
BYTE_BITS = 10
BAUDS = range(50, 12_000_001)


class UartDevice(Device):
    """The serial port *port*, 8N1 at *baud*, which the bitstream fixes."""

    def __init__(self, port: str, baud: int = frames.BAUD, timeout_s: float = TIMEOUT_S) -> None:
        if baud not in BAUDS:
            raise DeviceError(f"baud rate must be {BAUDS[0]} to {BAUDS[-1]}, not {baud!r}; leave "
                              "it out for the bitstream's own")
        self.port, self.baud, self.timeout_s = port, baud, timeout_s
        serial = _pyserial()
        self._errors = (serial.SerialException, *_terminal_errors())
        try:
            self._serial: Any = serial.Serial(port, baud, timeout=timeout_s)
        except (*self._errors, ValueError, OverflowError) as error:
            raise DeviceError(f"port must be a serial port that can be opened, not {port!r}: "
                              f"{error}; is the board plugged in, and may you read it?") from None

    def reset(self) -> None:
        """Send a break; drop what came until the board had time to fall silent."""
        with self._plugged("it can't be reset"):
            self._serial.send_break(duration=BREAK_S)
            time.sleep(SETTLE_S)
            self._serial.reset_input_buffer()

    def send(self, data: bytes) -> None:
        """Send all of *data* and wait until it has left."""
        with self._plugged(f"{len(data)} bytes could not be sent"):
            self._serial.write_timeout = self.timeout_s + 2 * len(data) * BYTE_BITS / self.baud
            self._serial.write(data)
            self._serial.flush()

    def receive(self, count: int) -> bytes:
        """The next *count* bytes."""
        with self._plugged("nothing can be read"):
            data = bytes(self._serial.read(count))
        if len(data) < count:
            raise DeviceError(
                f"{self.port}: {count} bytes must come within {self.timeout_s:g} s, not "
                f"{len(data)}; is this the board's second port, at {self.baud} baud, and is the "
                "board programmed with the bitstream of this build folder? A board that has "
                "answered before is silent after a byte was lost or added: load the network again")
        return data

    def pending(self) -> int:
        """How many bytes came and were not received."""
        with self._plugged("nothing can be read"):
            return int(self._serial.in_waiting)

    def close(self) -> None:
        """Close the port."""
        self._serial.close()

    @contextmanager
    def _plugged(self, complaint: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise DeviceError(f"{self.port}: {complaint}: {error}; "
                              "is the board still plugged in?") from None


def _pyserial() -> Any:
    try:
        return importlib.import_module("serial")
    except ModuleNotFoundError:
        raise DeviceError("a board needs the Python package 'pyserial': "
                          'pip install "qsnn[board]"') from None


def _terminal_errors() -> tuple[type[Exception], ...]:
    """What pyserial lets through of the system's own errors."""
    try:
        return OSError, importlib.import_module("termios").error
    except ModuleNotFoundError:                 # Windows
        return (OSError,)
