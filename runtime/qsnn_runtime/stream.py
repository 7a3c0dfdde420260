"""A compiled stream on a device: an answer after every step.

>>> with Network.open("build/", "/dev/ttyUSB1") as network:             # doctest: +SKIP
...     network.load()
...     stream = network.stream()
...     for frame in frames:
...         answer = stream.step(frame)
...         if answer.settled:
...             stream.reset()
"""

from dataclasses import replace
from typing import Any

from qsnn_compile.ir import IrError
from qsnn_compile.lower.program import Program
from qsnn_compile.system.errors import QsnnError

from . import protocol
from .link import Link


class Stream:
    """A network's state on a device, kept from step to step until `reset`."""

    def __init__(self, program: Program, link: Link) -> None:
        parameters = program.machine.parameters
        if not parameters.streaming:
            raise QsnnError(f"program {parameters.name!r} must be a stream, not a window of "
                            f"{parameters.steps} steps; compile it with qsnnc --stream")
        self.program, self._link = program, link

    def step(self, frame: Any) -> protocol.Result:
        """The answer after one more step, whose input is *frame*: integers, or the real values
        that the model was trained on (see `Network.run`). Of a direct-coded network it may be
        another at each step."""
        return self._link.sample(self.program.machine, self._quantized(frame))

    def reset(self) -> None:
        """Make the next step a first one: nothing before it counts."""
        self._link.send(protocol.restart())

    def _quantized(self, frame: Any) -> Any:
        try:
            return replace(self.program.input, coding="direct").quantise([frame], 1)[0]
        except IrError as error:
            raise QsnnError(f"frame: {error}") from None
