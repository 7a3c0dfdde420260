"""What every command line promises: wrong ones in one line, help and completion without weight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.cli.frame import Group

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "onnx", "onnxruntime", "amaranth", "matplotlib", "distributed", "numpy"}
MORE = "{} --help lists the arguments"


@pytest.mark.parametrize("main, argv, said", (
    (qsnn, "sim b --sample 3", "option must be one that qsnn sim has, not '--sample'; did you mean "
     "--samples? "),
    (qsnn, "sim b --smaples 3", "option must be one that qsnn sim has, not '--smaples'; did you "
     "mean --samples? "),
    (qsnn, "sim b -z", "option must be one that qsnn sim has, not '-z'; "),
    (qsnn, "sim", "BUILD must be given; "),
    (qsnn, "sim b", "--data NPZ must be given; "),
    (qsnn, "sim b c --data x", "arguments must be BUILD and options, not 'c' besides; "),
    (qsnn, "sim b --data", "--data must be followed by NPZ; "),
    (qsnn, "sim b --data --record", "--data must be followed by NPZ, not '--record'; "),
    (qsnn, "sim b --samples many", "--samples must be a whole number, not 'many'; "),
    (qsnn, "verify b --idle 1", "--idle must be from 0 to below 1, not 1.0; "),
    (qsnnc, "m --goal areas", "--goal must be one of latency, area, energy, not 'areas'; did you "
     "mean area? "),
    (qsnnc, "m --clock fast", "--clock must be a number, not 'fast'; "),
    (qsnnc, "m --bitstream=1", "--bitstream must be given without a value; "),
    (qsnnc, "m -o=build", "-o/--output must be followed by DIR, not '=build'; "),
))
def test_a_wrong_command_line_is_one_line(main, argv, said, capsys):
    name = "qsnnc" if main is qsnnc else f"qsnn {argv.split()[0]}"
    assert main.main(argv.split()) == 2
    assert capsys.readouterr() == ("", f"{name}: {said}{MORE.format(name)}\n")


def test_a_wrong_command_is_told_what_was_meant(capsys):
    assert qsnn.main(["veriy"]) == 2
    assert capsys.readouterr().err == (
        "qsnn: command must be one of explore, sim, verify, check, run, train, report, targets, "
        "not 'veriy'; did you mean verify? qsnn --help describes them\n")


@pytest.mark.parametrize("place", (("--jobs", "2", "--dask", "tcp://x"),))
def test_jobs_and_a_cluster(place, capsys):
    assert qsnn.main(["explore", "m.onnx", *place]) == 2
    assert capsys.readouterr().err == ("qsnn explore: --jobs must be given without --dask, which "
                                       "says where the work is done\n")


def test_no_command_at_all_is_shown_the_help(capsys):
    assert qsnn.main([]) == 2
    assert capsys.readouterr().out.startswith("Usage: qsnn ")


def loaded(argv, **environment):
    """The modules that a command line loads."""
    code = (f"import sys\nfrom qsnn_compile.cli.{argv[0]} import main\ntry: main({argv[1:]!r})\n"
            "except SystemExit: pass\nprint(*sys.modules, file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=ROOT, env=os.environ | environment)
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("argv", (["qsnnc", "--help"], ["qsnn", "-h"], ["qsnn", "--version"],
                                  *(["qsnn", name, "--help"] for name in qsnn.COMMANDS)),
                         ids=" ".join)
def test_help_loads_nothing_heavy(argv):
    text, modules = loaded(argv)
    assert text
    assert not modules & HEAVY


def test_the_help_of_the_group_imports_no_command():
    _, modules = loaded(["qsnn", "--help"])
    assert not modules & {row.place.partition(":")[0] for row in qsnn.COMMANDS.values()}


@pytest.mark.parametrize("words, answer", (
    ("qsnn s", "plain,sim\n"), ("qsnn sim --sa", "plain,--samples\n"),
    ("qsnn verify --simulator i", "plain,icarus\n"), ("qsnn explore --target up", "plain,up5k\n")))
def test_completion_loads_nothing_heavy(words, answer):
    text, modules = loaded(["qsnn"], _QSNN_COMPLETE="bash_complete", COMP_WORDS=words,
                           COMP_CWORD=str(len(words.split()) - 1))
    assert text == answer
    assert not modules & HEAVY


def test_every_command_that_prints_a_result_takes_json():
    group = qsnn.qsnn
    assert isinstance(group, Group)
    for name in qsnn.COMMANDS:
        options = [one.opts for one in group.get_command(None, name).params]
        assert ["--json"] in options, name
