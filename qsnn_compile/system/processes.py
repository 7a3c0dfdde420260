"""Other programs, and the signals that stop us: whoever is told to end takes them along.

Every program is started by `run`, as the leader of a process group of its own. Within `stoppable`
SIGINT (Ctrl-C), SIGTERM and SIGHUP end those groups, with the compilers and simulators that they
started, and raise `Stopped`, so that folders which are not finished go the way they go with any
error. What SIGKILL leaves behind nobody can clear away: the programs then run to their end.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType
from typing import IO, Any

STOPS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
GRACE = 2.0                     # seconds from SIGTERM to SIGKILL, for programs that don't mind


class Stopped(KeyboardInterrupt):
    """A signal ends this command. ``exit_code`` is what a shell expects, 128 + its number."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)            # it travels between processes
        self.exit_code = 128 + number
        self.word = STOPS[signal.Signals(number)]


@dataclass
class _State:
    """Of this process: the programs that run, and what a signal has asked for."""

    running: set["subprocess.Popen[str]"] = field(default_factory=set)
    held = 0                    # steps of the main thread that must not be cut in two
    asked: int | None = None    # the signal that stops us


_STATE = _State()


def run(command: Sequence[str | Path], *, cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None, output: IO[Any] | int = subprocess.PIPE,
        errors: IO[Any] | int | None = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """Run *command* to its end; its texts are kept unless *output* and *errors* go elsewhere.

    It and all that it starts end when we are stopped, in whatever thread it was started.
    """
    child = None
    try:
        with held():
            child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=errors, text=True, errors="replace",
                                     process_group=0)
            _STATE.running.add(child)
        check()                             # this may be a thread that no signal reaches
        texts = child.communicate()
    except BaseException:
        if child is not None:
            _finish(child)
        raise
    finally:
        if child is not None:
            _STATE.running.discard(child)
    return subprocess.CompletedProcess(command, child.returncode, *texts)


def check() -> None:
    """Raise `Stopped` if we are: before more work in a thread, or in a process that is told."""
    if _STATE.asked is not None:
        raise Stopped(_STATE.asked)


@contextmanager
def held() -> Iterator[None]:
    """Within it a stop waits until the block ends: for steps that must not be cut in two."""
    main = threading.current_thread() is threading.main_thread()
    _STATE.held += main
    try:
        yield
    finally:
        _STATE.held -= main
    if main and not _STATE.held:
        check()


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it the three signals raise `Stopped` in the main thread, once: those that follow are
    ignored, so that clearing away comes to its end. A signal that was ignored before stays so
    (nohup). In other threads it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _STATE.asked = None
    before = {number: handler for number in STOPS
              if (handler := signal.getsignal(number)) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, _stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _STATE.asked = None


def follow() -> None:
    """For a worker process: end when its parent says so (SIGTERM) or is gone, with all programs.

    Ctrl-C, which reaches all processes of a terminal, is the parent's to act upon.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_outlived, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    if _STATE.asked is not None:
        return
    _STATE.asked = number
    _end_all()
    if not _STATE.held:                     # else `held` raises
        raise Stopped(number)


def _leave(number: int, frame: FrameType | None) -> None:
    _STATE.asked = number
    _end_all()
    raise SystemExit(128 + number)


def _outlived() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _end_all() -> None:
    """Ask all programs to end, and kill later those that don't."""
    for number in _children():
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    running = tuple(_STATE.running)
    for child in running:
        _end(child, signal.SIGTERM)
    if running:
        later = threading.Timer(GRACE, _kill, [running])
        later.daemon = True
        later.start()


def _children() -> set[int]:
    """Our children as Linux lists them: those too that a library started, as Amaranth its yosys."""
    with suppress(OSError):
        return {int(number) for task in Path("/proc/self/task").glob("*/children")
                for number in task.read_text().split()}
    return set()


def _finish(child: "subprocess.Popen[str]") -> None:
    with child:
        _end(child, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        _end(child, signal.SIGKILL)


def _kill(running: Sequence["subprocess.Popen[str]"]) -> None:
    for child in running:
        if child.returncode is None:        # else another program may have its number
            _end(child, signal.SIGKILL)


def _end(child: "subprocess.Popen[str]", number: int) -> None:
    """Send a signal to the program's group: it may be gone, and those that it started not."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
