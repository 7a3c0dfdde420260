"""Who ends when somebody tells us to end."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import active_children
from pathlib import Path

import pytest

from qsnn_compile.cli import errors, executors
from qsnn_compile.system import processes
from qsnn_compile.system.processes import Stopped, held, run, stoppable

SHELL = ["sh", "-c", "sleep 60 & echo started; wait"]


def stopped(work):
    with pytest.raises(Stopped), stoppable():
        work()


def stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def test_what_a_program_says():
    done = run([sys.executable, "-c", "import sys; print(1); sys.stderr.write('2'); sys.exit(3)"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "1\n", "2")


@pytest.mark.parametrize("number, code, word", (
    (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up"),
    (signal.SIGINT, 130, "interrupted")))
def test_signals_end_a_command_in_one_line(number, code, word, capsys):
    before = [signal.getsignal(number) for number in processes.STOPS]
    cleared = []

    def command():
        try:
            stop(number)
        finally:
            stop(number)                        # those who kill twice: timeout, Ctrl-C Ctrl-C
            stop(signal.SIGTERM)
            cleared.append(True)
    assert errors.run("qsnnc", command) == code
    assert capsys.readouterr().err == f"qsnnc: {word}\n" and cleared
    assert [signal.getsignal(number) for number in processes.STOPS] == before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            stop(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_step_that_is_held_comes_to_its_end():
    done = []

    def work():
        with held():
            stop()
            done.append(1)
        done.append(2)
    stopped(work)
    assert done == [1]


@pytest.mark.parametrize("in_thread", (False, True))
def test_a_program_dies_with_all_that_it_started(in_thread):
    """The pipe that they write into ends when the last of them has."""
    reader, writer = os.pipe()
    teller = threading.Thread(target=lambda: (os.read(reader, 8), stop()))
    teller.start()
    with ThreadPoolExecutor() as pool:
        if in_thread:
            stopped(pool.submit(run, SHELL, output=writer, errors=None).result)
        else:
            stopped(lambda: run(SHELL, output=writer, errors=None))
    teller.join()
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_none_is_started_any_more():
    def work():
        try:
            stop()
        finally:
            run(["true"])
            pytest.fail("it ran")
    stopped(work)


def test_a_library_s_program_is_ended_too():
    """Amaranth starts yosys itself."""
    if not Path("/proc/self/task").exists():
        pytest.skip("children are listed by Linux")
    with pytest.raises(Stopped), stoppable(), subprocess.Popen(["sleep", "60"]) as child:
        stop()
    assert child.returncode == -signal.SIGTERM


def alive(number):
    active_children()                           # buries the dead
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_with_an_error_and_not_with_their_work():
    numbers = []

    def work():
        with executors.processes(1) as executor:
            numbers.append(executor.submit(os.getpid).result())
            executor.submit(time.sleep, 60)
            raise RuntimeError
    with pytest.raises(RuntimeError):
        work()
    while alive(numbers[0]):
        time.sleep(0.01)                        # for a minute, if it was not told


def test_errors_of_a_full_disk_are_one_line(capsys):
    def command():
        Path("/dev/full").write_text("x")
    assert errors.run("qsnn sim", command) == 2
    assert capsys.readouterr().err == (
        "qsnn sim: disk must have room for what is written, and standard output or a folder for "
        "temporary files has none: No space left on device; free some, or set TMPDIR to another "
        "folder\n")


def test_nobody_else_starts_programs():
    """A compiler, a simulator or a worker that none of us knows of would be left behind."""
    root = Path(__file__).parents[2]
    starters = ("subprocess.run(", "Popen(", "check_call(", "check_output(", "os.system(",
                "os.spawn", "multiprocessing.Process(")
    starting = {str(path.relative_to(root)) for folder in ("qsnn_compile", "sim", "runtime",
                                                           "models", "hw")
                for path in (root / folder).rglob("*.py")
                if any(word in path.read_text() for word in starters)}
    assert starting == {"qsnn_compile/system/processes.py"}
