"""How every command ends when its work raises."""

import pytest

from qsnn_compile.cli.errors import run
from qsnn_compile.ir import IrError
from qsnn_compile.system.errors import DoesNotFit, Mismatch, QsnnError


def raising(error):
    def command():
        raise error
    return command


@pytest.mark.parametrize("error, code, message", (
    (QsnnError("steps must be 1"), 2, "steps must be 1"),
    (DoesNotFit("too large"), 3, "too large"),
    (Mismatch("layer 2, neuron 7"), 1, "layer 2, neuron 7"),
    (IrError("node 'a': bits"), 2, "node 'a': bits"),
    (ModuleNotFoundError("no", name="cocotb_tools.runner"), 2,
     "module 'cocotb_tools' must be installed for this command; pip install \"qsnn[verify]\""),
    (ModuleNotFoundError("no", name="torch"), 2,
     "module 'torch' must be installed for this command; pip install \"qsnn[train]\""),
    (ModuleNotFoundError("no", name="serial"), 2,
     "module 'serial' must be installed for this command; pip install \"qsnn[board]\""),
    (KeyboardInterrupt(), 130, "interrupted"),
))
def test_message_and_exit_code(error, code, message, capsys):
    assert run("qsnn verify", raising(error)) == code
    assert capsys.readouterr().err == f"qsnn verify: {message}\n"


@pytest.mark.parametrize("error", (ValueError("of ours it is not"), ZeroDivisionError(),
                                   ModuleNotFoundError("no", name="colorama")))
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run("qsnn", raising(error))


def test_done():
    assert run("qsnn", lambda: 0) == 0


def test_bad_input_is_one_line_of_printable_characters(capsys):
    name = "a\nb\x1b[31m" + "c" * 100_000
    assert run("qsnnc", raising(QsnnError(f"{name}: must be one; mend it"))) == 2
    err = capsys.readouterr().err
    assert err.startswith(r"qsnnc: a\nb\x1b[31mccc") and err.endswith("ccc: must be one; mend it\n")
    assert err.count("\n") == 1 and len(err) < 300


def test_what_does_not_fit_keeps_its_list(capsys):
    assert run("qsnnc", raising(DoesNotFit("too large:\n  8 lanes\n  2\x07"))) == 3
    assert capsys.readouterr().err == "qsnnc: too large:\n  8 lanes\n  2\\x07\n"
