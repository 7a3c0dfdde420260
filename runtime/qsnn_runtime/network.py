"""The host API: a compiled network on a device.

>>> with Network.open("build/", "/dev/ttyUSB1") as network:             # doctest: +SKIP
...     network.load()
...     classes, scores = network.run(images)
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import IrError
from qsnn_compile.lower.program import Program
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.link import frames
from qsnn_runtime.devices.device import Device
from qsnn_runtime.devices.uart import UartDevice

from . import protocol
from .link import Link
from .stream import Stream


class Network:
    """One program on one device. `load` comes first; then any number of `run`. After an error of
    the link `load` comes first again."""

    def __init__(self, program: Program, device: Device) -> None:
        self.program, self.device, self._link = program, device, Link(device)

    @classmethod
    def open(cls, build: str | Path, port: str, baud: int = frames.BAUD) -> Self:
        """The program that qsnnc left in *build*, on the board at *port*."""
        program = Program.load(build)
        return cls(program, UartDevice(port, baud))

    def load(self) -> None:
        """Reset the device, check that it holds this program, load the weights, and check that it
        took as many as there are."""
        self._link.reset()
        self._link.identify(self.program.machine)
        self._link.send(protocol.load(self.program.machine, self.program.image))
        self._link.identify(self.program.machine)

    def run(self, x: Any, progress: Callable[[int], None] = lambda done: None,
            ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of each sample of *x* and its score, [N] each.

        *x* is [N, ...] (direct coding) or [N, T, ...] (spikes): integers, or the real values that
        the model was trained on; where it takes a sensor's raw numbers, these, of any type but
        uint8. ``program.class_names`` says what the classes are called, where that is known.
        *progress* hears how many samples are done. A program that streams is restarted for each
        sample, and given its steps until it is settled. Raises QsnnError, and gives no answer at
        all, where one can't be trusted.
        """
        answers = np.zeros((2, len(x)), np.int64)
        for number, sample in enumerate(self._quantized(x)):
            result = self._result(sample)
            answers[:, number] = result.index, result.score
            progress(number + 1)
        self._link.identify(self.program.machine)       # the board took every frame whole
        return answers[0], answers[1]

    def stream(self) -> Stream:
        """The network's steps one by one. Raises QsnnError for a program of windows."""
        return Stream(self.program, self._link)

    def _result(self, sample: NDArray[np.uint8]) -> protocol.Result:
        machine = self.program.machine
        if machine.parameters.streaming:
            return self._last_step(sample)
        return self._link.sample(machine, sample)

    def _last_step(self, sample: NDArray[np.uint8]) -> protocol.Result:
        stream, machine = self.stream(), self.program.machine
        stream.reset()
        for step in range(machine.parameters.steps):
            result = stream.step(sample if machine.parameters.coding == "direct" else sample[step])
            if result.settled:
                break
        return result

    def close(self) -> None:
        """Give the device back."""
        self.device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _quantized(self, x: Any) -> NDArray[np.uint8]:
        try:
            return self.program.input.quantise(x, self.program.machine.parameters.steps)
        except IrError as error:
            raise QsnnError(f"data: {error}") from None
