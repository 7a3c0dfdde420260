"""A board on a serial port, by pyserial."""

import importlib
from typing import Any

from qsnn_hw import frames

from .device import Device, DeviceError

TIMEOUT_S = 2.0             # for bytes that should come at once; an inference takes under 10 ms
BREAK_S = 0.01              # many bytes' time at any usual rate
BYTE_BITS = 10
BAUDS = range(50, 12_000_001)


class UartDevice(Device):
    """The serial port *port*, 8N1 at *baud*, which the bitstream fixes."""

    def __init__(self, port: str, baud: int = frames.BAUD, timeout_s: float = TIMEOUT_S) -> None:
        if baud not in BAUDS:
            raise DeviceError(f"baud rate must be {BAUDS[0]} to {BAUDS[-1]}, not {baud!r}; leave "
                              "it out for the bitstream's own")
        self.port, self.baud, self.timeout_s = port, baud, timeout_s
        self._serial_module = _pyserial()
        try:
            self._serial: Any = self._serial_module.Serial(port, baud, timeout=timeout_s)
        except (self._serial_module.SerialException, ValueError, OverflowError) as error:
            raise DeviceError(f"port must be a serial port that can be opened, not {port!r}: "
                              f"{error}; is the board plugged in, and may you read it?") from None

    def reset(self) -> None:
        """Send a break."""
        self._serial.send_break(duration=BREAK_S)
        self._serial.reset_input_buffer()

    def send(self, data: bytes) -> None:
        """Send all of *data* and wait until it has left."""
        self._serial.write_timeout = self.timeout_s + 2 * len(data) * BYTE_BITS / self.baud
        try:
            self._serial.write(data)
            self._serial.flush()
        except self._serial_module.SerialException as error:
            raise DeviceError(f"{self.port}: {len(data)} bytes could not be sent: {error}; "
                              "is the board still plugged in?") from None

    def receive(self, count: int) -> bytes:
        """The next *count* bytes."""
        try:
            data = bytes(self._serial.read(count))
        except self._serial_module.SerialException as error:
            raise DeviceError(f"{self.port}: nothing can be read: {error}; "
                              "is the board still plugged in?") from None
        if len(data) < count:
            raise DeviceError(
                f"{self.port}: {count} bytes must come within {self.timeout_s:g} s, not "
                f"{len(data)}; is this the board's second port, at {self.baud} baud, and is the "
                "board programmed with the bitstream of this build folder?")
        return data

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


def _pyserial() -> Any:
    try:
        return importlib.import_module("serial")
    except ModuleNotFoundError:
        raise DeviceError("a board needs the Python package 'pyserial': "
                          'pip install "qsnn[board]"') from None
