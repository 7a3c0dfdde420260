"""Whole exchanges with a device, and none after one that failed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine.arch import Machine
from qsnn_runtime.devices.device import Device

from . import protocol


class Link:
    """What a device is asked, and what it answers.

    An exchange that did not end well, for whatever reason, leaves both ends out of step: the next
    answer could be to another question. So there is none until `reset`.
    """

    def __init__(self, device: Device) -> None:
        self.device, self._in_step = device, False

    def reset(self) -> None:
        """Put the device in its first state; drop what came from it."""
        self._in_step = False
        self.device.reset()
        self._in_step = True

    def send(self, frame: bytes) -> None:
        """Send a *frame* that has no reply."""
        with self._exchange():
            self.device.send(frame)

    def identify(self, machine: Machine) -> None:
        """Raise `ProtocolError` unless *machine* answers."""
        with self._exchange():
            self.device.send(protocol.identify())
            reply = self.device.receive(protocol.IDENTIFICATION_BYTES)
            protocol.check_identification(machine, reply)

    def sample(self, machine: Machine, x: NDArray[np.uint8]) -> protocol.Result:
        """What *machine* answers to the sample, or step of a stream, *x*."""
        with self._exchange():
            self.device.send(protocol.sample(machine, x))
            return protocol.parse_result(
                machine, self.device.receive(protocol.result_bytes(machine)))

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        if not self._in_step:
            raise protocol.ProtocolError("the board must be loaded before it is asked, and again "
                                         "after an error: call load()")
        self._in_step = False
        self._check_silence()
        yield
        self._check_silence()
        self._in_step = True

    def _check_silence(self) -> None:
        if pending := self.device.pending():
            raise protocol.ProtocolError(
                f"the board must be silent until it is asked, not send {pending} bytes more: "
                "bytes were added on the link; load the network again")
