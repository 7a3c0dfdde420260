import shutil
import subprocess
import sys

import pytest

from qsnn_compile.system.errors import Mismatch, QsnnError
from qsnn_sim.rtl import simulators as rtl
from qsnn_sim.rtl import verilated

COUNTER = {"counter.v": """
module counter(input clk, output reg [7:0] count);
  initial count = 0;
  always @(posedge clk) count <= count + 1;
endmodule
"""}
BENCH = "qsnn_sim.rtl.benches.counter_bench"


def needs(simulator):
    try:
        rtl.check_tools(simulator)
    except QsnnError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module", params=rtl.SIMULATORS)
def counter(request, tmp_path_factory):
    needs(request.param)
    return rtl.build(COUNTER, "counter", simulator=request.param,
                     build_dir=tmp_path_factory.mktemp(request.param))


def test_bench_runs_from_any_folder(counter, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    done = rtl.run(counter, BENCH, env={"CLOCKS": "7"}).check()
    assert done.tests == 1
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_failure_carries_the_assertion(counter):
    done = rtl.run(counter, BENCH, env={"WRONG": "1"}, name="wrong")
    with pytest.raises(Mismatch, match=r"counts: (.|\n)*assert"):
        done.check()


def test_bench_runs_with_warnings_as_errors(counter):
    rtl.run(counter, BENCH, env={"PYTHONWARNINGS": "error"}).check()


def test_bad_verilog_quotes_the_simulator(tmp_path):
    needs("icarus")
    with pytest.raises(QsnnError, match=r"refused the design(.|\n)*syntax error"):
        rtl.build({"bad.v": "module bad(; endmodule"}, "bad", simulator="icarus",
                  build_dir=tmp_path)


def test_unknown_simulator():
    with pytest.raises(QsnnError, match="one of verilator, icarus, not 'questa'"):
        rtl.check_tools("questa")


@pytest.mark.parametrize("tool,message", [
    ("make", r"need 'make', which was not found: apt install make"),
    ("perl", r"need 'perl', which was not found: apt install perl"),
    ("c++", r"need 'c\+\+', which was not found: apt install g\+\+"),
])
def test_missing_tool_names_its_package(tool, message, monkeypatch):
    hidden = verilated.COMPILERS if tool == "c++" else (tool,)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in hidden else f"/bin/{name}")
    with pytest.raises(QsnnError, match=message):
        rtl.check_tools("verilator")


def test_missing_libpython_names_its_package(monkeypatch):
    find_libpython = pytest.importorskip("find_libpython")
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    with pytest.raises(QsnnError, match="need 'libpython', which was not found: apt install libp"):
        rtl.check_tools("verilator")


def test_missing_extra_names_the_install_line():
    code = ("import sys; sys.modules['cocotb_tools'] = None\n"
            "from qsnn_sim.rtl import simulators as rtl\n"
            "try: rtl.check_tools('verilator')\n"
            "except Exception as error: print(type(error).__name__, error)\n")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                         check=True).stdout
    assert out == ("QsnnError the RTL benches need the Python package 'cocotb': "
                   'pip install "qsnn[verify]"\n')


@pytest.mark.parametrize("simulator", rtl.SIMULATORS)
def test_simulators_end_when_we_are_stopped(tmp_path, monkeypatch, simulator):
    """cocotb starts its compilers and simulators by our `run`, which sees to that."""
    seen = []

    def run(command, **options):
        seen.append(command)
        return subprocess.CompletedProcess(command, len(seen) - 1)
    monkeypatch.setattr(rtl.processes, "run", run)
    runner = rtl._runner(simulator)
    runner.env = {}
    with pytest.raises(RuntimeError, match="return code: 1"):
        runner._execute_cmds([["make"], ["vvp"], ["never"]], tmp_path)
    assert seen == [["make"], ["vvp"]]
