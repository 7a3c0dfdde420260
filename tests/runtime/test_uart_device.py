"""A board's serial port, in place of which a fake one stands: nothing waits for a clock."""

import pytest

from qsnn_hw.link import frames
from qsnn_runtime.devices import uart as uart_device
from qsnn_runtime.devices.device import DeviceError
from qsnn_runtime.devices.uart import UartDevice

termios = pytest.importorskip("termios")


class FakeSerial:
    """pyserial's module and its port in one. *answers* is what comes; *broken* raises
    *error*."""

    SerialException = OSError

    def __init__(self, answers=b"", broken="", error=None):
        self.answers, self.broken, self.error, self.log = answers, broken, error, []

    def Serial(self, port, baud, timeout):
        self.timeout = timeout
        return self

    def _do(self, name, *facts):
        self.log.append((name, *facts))
        if name == self.broken:
            raise self.error

    def write(self, data):
        self._do("write", len(data), self.write_timeout)

    def flush(self):
        self._do("flush")

    def send_break(self, duration):
        self._do("break", duration)

    def reset_input_buffer(self):
        self._do("drop")
        self.answers = b""

    def read(self, count):
        self._do("read")
        data, self.answers = self.answers[:count], self.answers[count:]
        return data

    @property
    def in_waiting(self):
        self._do("in_waiting")
        return len(self.answers)

    def close(self):
        self._do("close")


@pytest.fixture
def device(monkeypatch):
    """Makes a UartDevice on a FakeSerial."""
    def make(serial, baud=frames.BAUD):
        monkeypatch.setattr(uart_device, "_pyserial", lambda: serial)
        monkeypatch.setattr(uart_device, "SETTLE_S", 0)
        return UartDevice("tty", baud)
    return make


@pytest.mark.parametrize("answers,came", [(b"", 0), (b"ab", 2)])
def test_a_silent_port(device, answers, came):
    serial = FakeSerial(answers)
    with device(serial) as silent, pytest.raises(DeviceError, match=(
            f"tty: 3 bytes must come within 2 s, not {came}; is this the board's second port, at "
            "1000000 baud, and is the board programmed with the bitstream of this build folder. "
            "A board that has answered before is silent after a byte was lost or added: load ")):
        silent.receive(3)
    assert serial.timeout == 2 and serial.log == [("read",), ("close",)]


@pytest.mark.parametrize("baud", [9600, 1_000_000])
@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
def test_a_write_has_twice_the_time_that_its_bits_take(device, baud, size):
    serial = FakeSerial()
    device(serial, baud).send(bytes(size))
    assert serial.log == [("write", size, pytest.approx(2 + 2 * size * 10 / baud)), ("flush",)]


def test_a_reset_drops_what_came_after_a_break(device):
    serial = FakeSerial(b"left over")
    board = device(serial)
    assert board.pending() == 9
    board.reset()
    assert serial.log == [("in_waiting",), ("break", 0.01), ("drop",)]
    assert board.pending() == 0


@pytest.mark.parametrize("error", [OSError("gone"), termios.error(5, "gone")])
@pytest.mark.parametrize("broken,call,message", [
    ("write", lambda board: board.send(b"abc"), "3 bytes could not be sent"),
    ("flush", lambda board: board.send(b"abc"), "3 bytes could not be sent"),
    ("read", lambda board: board.receive(1), "nothing can be read"),
    ("in_waiting", lambda board: board.pending(), "nothing can be read"),
    ("break", lambda board: board.reset(), "it can't be reset"),
    ("drop", lambda board: board.reset(), "it can't be reset")])
def test_an_unplugged_board(device, broken, call, message, error):
    board = device(FakeSerial(broken=broken, error=error))
    with pytest.raises(DeviceError, match=f"^tty: {message}: .*gone.*; is the board still plugged"):
        call(board)


@pytest.mark.parametrize("baud", [0, -1, 10**9, 2**70])
def test_a_baud_rate_that_there_is_not(device, baud):
    with pytest.raises(DeviceError, match=f"baud rate must be 50 to 12000000, not {baud}; leave"):
        device(FakeSerial(), baud)


def test_a_port_that_there_is_not():
    pytest.importorskip("serial")
    with pytest.raises(DeviceError, match="port must be a serial port that can be opened, "
                                          "not '/dev/no-such-port'"):
        UartDevice("/dev/no-such-port")
