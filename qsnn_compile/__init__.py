"""The compiler of quantised spiking networks: an ONNX file in, a checked FPGA accelerator out.

Importing this loads neither onnx nor Amaranth nor torch; `compile` does. It may import
`qsnn_compile.builds`, `qsnn_compile.chips`, `qsnn_compile.compiler`, `qsnn_compile.dialect`,
`qsnn_compile.foreign`, `qsnn_compile.ir`, `qsnn_compile.lower`, `qsnn_compile.passes`,
`qsnn_compile.search` and `qsnn_compile.system`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .compiler import Build

__all__ = ["compile"]


def compile(model: str | Path, *, target: str = "ice40", output: str | Path | None = None,
            bitstream: bool = False, lanes: int | None = None, steps: int | None = None,
            readout: Literal["count", "potential", "last"] | None = None,
            goal: Literal["latency", "area", "energy"] = "latency", max_lc: int | None = None,
            latency_us: float | None = None, stream: bool = False,
            exit_margin: int | None = None, clock: float | None = None) -> "Build":
    """Compile the ONNX file *model* for *target* and write the build folder *output* (None: write
    nothing). What `qsnnc` does, and with its options.

    Returns the `Build`: its ``graph`` (fixed-point IR), ``program`` (machine and memory image) and
    ``report`` (as in report.json, docs/report-schema.md).

    Raises QsnnError, whose message says what was expected, what came and what to do; its child
    DoesNotFit where the network needs more than the target has, or than the limits leave it, or
    where a bitstream doesn't reach its *clock*, MHz.
    """
    from qsnn_compile.lower.mapping import Mode
    from qsnn_compile.search.choose import Aim

    from .compiler import compile_model
    mode = Mode(stream, exit_margin)
    return compile_model(model, target_name=target, output=output, bitstream=bitstream,
                         aim=Aim(goal, lanes, max_lc, latency_us, mode), steps=steps,
                         readout=readout, clock=clock)
