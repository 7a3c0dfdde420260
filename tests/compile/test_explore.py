"""The mapping search, and `qsnn explore`, which shows what it chooses from."""

import json
import re
from concurrent.futures import Executor, Future
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from core_graphs import random_graph

import qsnn_compile
from qsnn_compile.builds.tools import Implementation, Placed
from qsnn_compile.chips import energy
from qsnn_compile.chips.resources import Resources, predict
from qsnn_compile.chips.targets import TargetError, target
from qsnn_compile.cli import executors, qsnn, qsnnc
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.ir import Dense, Graph, Input, Node, Readout, ints
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.search import explore as machines
from qsnn_compile.search.candidates import candidates
from qsnn_compile.search.choose import Aim, choose, nanojoules
from qsnn_compile.search.clock_estimate import typical_clocks
from qsnn_compile.search.explore import best, explore, front
from qsnn_compile.search.fit import excess
from qsnn_compile.system.errors import DoesNotFit
from qsnn_hw.machine.validity import MachineError
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import golden
from qsnn_sim.measure.measure import Clock
from qsnn_sim.rtl.plan import layer_spikes

MODEL = "models/zoo/mnist_mlp.onnx"
UP5K = target("up5k")


class Inline(Executor):
    """An executor of no processes, which counts what it is given."""

    def __init__(self):
        self.tasks = []

    def submit(self, function, *arguments):
        self.tasks.append((function, arguments))
        future = Future()
        try:
            future.set_result(function(*arguments))
        except DoesNotFit as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def graph():
    return run_passes(import_onnx(MODEL), PASSES)


@pytest.fixture(scope="module")
def fitting(graph):
    """All machines that fit, each with its typical clocks and, with its image, its needs."""
    fits = []
    for one in candidates(graph, UP5K.device, UP5K.device.lanes):
        needed = predict(*one.complete(), UP5K.device)
        if not excess(needed, UP5K.device):
            fits.append((one.clocks, needed.lc, one.machine))
    return fits


@pytest.fixture(scope="module")
def points(graph):
    return explore(graph, UP5K, Inline())


def chosen(graph, **aim):
    """Typical clocks and logic cells of the machine for an aim."""
    machine, image = choose(graph, UP5K, Aim(**aim))
    return typical_clocks(machine), predict(machine, image, UP5K.device).lc


# -- the search -----------------------------------------------------------------------------------

def test_latency_is_the_fewest_clocks(graph, fitting):
    assert chosen(graph)[0] == min(clocks for clocks, *_ in fitting)


def test_area_is_the_fewest_logic_cells(graph, fitting):
    assert chosen(graph, goal="area")[1] == min(lc for _, lc, _ in fitting)


def test_energy_is_the_least_of_the_energy_model(graph, fitting):
    clocks, lc = chosen(graph, goal="energy")
    mhz, beats = UP5K.board.clock_mhz, fitting[0][2].layout.input_beats
    least = min(energy.inference(energy.UP5K, clocks + beats - 1, mhz, lc).total
                for clocks, lc, _ in fitting)
    assert energy.inference(energy.UP5K, clocks + beats - 1, mhz, lc).total == least


def test_the_goals_differ(graph):
    assert len({chosen(graph, goal=goal) for goal in ("latency", "area", "energy")}) == 3


@pytest.mark.parametrize("rank", (0, 10, 25))
def test_fastest_within_logic_cells(graph, fitting, rank):
    max_lc = sorted(lc for _, lc, _ in fitting)[rank]
    clocks, lc = chosen(graph, max_lc=max_lc)
    assert lc <= max_lc and clocks == min(clocks for clocks, lc, _ in fitting if lc <= max_lc)


@pytest.mark.parametrize("rank", (0, 10, 25))
def test_smallest_within_time(graph, fitting, rank):
    us = sorted(clocks for clocks, *_ in fitting)[rank] / UP5K.board.clock_mhz
    clocks, lc = chosen(graph, goal="area", latency_us=us)
    assert clocks / UP5K.board.clock_mhz <= us
    assert lc == min(lc for clocks, lc, _ in fitting if clocks / UP5K.board.clock_mhz <= us)


def test_limits_that_none_keeps_name_what_would_help(graph, fitting):
    us = min(clocks for clocks, *_ in fitting) / UP5K.board.clock_mhz + 0.1
    cells = min(lc for clocks, lc, _ in fitting if clocks / UP5K.board.clock_mhz <= us)
    with pytest.raises(DoesNotFit) as caught:
        choose(graph, UP5K, Aim(max_lc=cells - 1, latency_us=us))
    text = str(caught.value)
    assert f"must fit up5k within --max-lc {cells - 1} and --latency-us {us:g}, and none" in text
    assert f"\n- --max-lc {cells}\n" in text
    clocks, lc = chosen(graph, max_lc=cells, latency_us=us)
    assert clocks / UP5K.board.clock_mhz <= us and lc == cells
    wait = float(text.rpartition("- --latency-us ")[2])
    assert chosen(graph, max_lc=cells - 1, latency_us=wait)[1] < cells


def test_limits_that_all_miss_say_by_how_much(graph, fitting):
    least = min(lc for _, lc, _ in fitting)
    with pytest.raises(DoesNotFit) as caught:
        choose(graph, UP5K, Aim(max_lc=least - 50, latency_us=0.5))
    match = re.search(r"needs ([\d,]+) logic cells, ([\d,]+) too many, and takes ([\d.]+) µs, "
                      r"([\d.]+) µs too long", str(caught.value))
    lc, over, us, late = (float(number.replace(",", "")) for number in match.groups())
    assert lc - over == least - 50 and round(us - late, 1) == 0.5
    assert str(caught.value).endswith("- both limits raised")


@pytest.mark.parametrize("aim,text", (
    (Aim(max_lc=0), "--max-lc must be 1 logic cell or more, not 0; up5k has 5,280"),
    (Aim(latency_us=-1.0), "--latency-us must be a positive number of microseconds, not -1.0; "),
    (Aim(latency_us=float("nan")), "not nan"),
    (Aim(goal="beauty"), "goal must be one of latency, area, energy, not 'beauty'"),
    (Aim(lanes=48), "lanes must be one of 16, 32, 64, not 48; ")))
def test_aims_that_nothing_can_be(graph, aim, text):
    with pytest.raises(TargetError, match=text):
        choose(graph, UP5K, aim)


def test_energy_of_a_chip_without_a_model(graph):
    with pytest.raises(TargetError, match="goal 'energy' needs a model of the device, and hx8k has "
                       "none"):
        choose(graph, target("hx8k"), Aim("energy"))


def test_both_orders_and_batching_are_in_the_space():
    deep = run_passes(import_onnx("models/zoo/fashion_mnist_mlp.onnx"), PASSES)
    shapes_made = [one.frame for one in candidates(deep, UP5K.device, (16,))]
    assert {one.parameters.order for one in shapes_made} == {"layer", "step"}
    assert any(one.parameters.batch_bits for one in shapes_made)


def test_one_step_has_one_order():
    once = replace(run_passes(random_graph(2, 1, 4, (8, 8, 4)), PASSES), steps=1)
    assert {one.frame.parameters.order for one in candidates(once, UP5K.device, (16,))} == {"layer"}


def test_no_lanes_that_no_layer_has_channels_for():
    small = run_passes(random_graph(2, 1, 4, (8, 20, 4)), PASSES)
    several = candidates(small, UP5K.device, (64, 32, 16))
    assert max(one.frame.parameters.lanes for one in several) == 32
    assert {one.frame.parameters.lanes for one in candidates(small, UP5K.device, (64,))} >= {64}


def test_banks_that_cannot_share_a_readout_are_not_in_the_space():
    """A readout of the input itself: where one bank can, several are left out."""
    nodes = (Node("fc", Dense(ints([[1, -1, 1, 1]]), 1), ("x",)),)
    graph = Graph("g", 1, Input((4,), 8, "direct"), nodes,
                  Readout("potential", "fc", ints([1]), ints([0])))
    legal = run_passes(graph, PASSES)
    machines_made = candidates(legal, target("ecp5-25f").device, (64, 32, 16))
    assert {one.frame.parameters.banks for one in machines_made} == {1}
    wrong = "Banks must be 1 for a readout of the input itself, not 4"
    with (mock.patch("qsnn_compile.search.candidates._columned", side_effect=MachineError(wrong)),
          pytest.raises(MachineError, match=wrong)):
        candidates(legal, UP5K.device, (16,))


def test_weights_go_to_block_ram_where_single_port_ram_is_short(graph):
    short = replace(UP5K.device, spram=0)
    for device, memory in ((UP5K.device, "spram"), (short, "ebr")):
        frames = [one.frame for one in candidates(graph, device, (16,))]
        assert {frame.parameters.weight_memory for frame in frames} == {memory}


# -- the machines side by side --------------------------------------------------------------------

def test_explore_rates_every_machine_that_fits(points, fitting):
    assert (sorted((point.clocks, point.needed.lc) for point in points)
            == sorted((clocks, lc) for clocks, lc, _ in fitting))


def test_the_front_is_beaten_by_none_and_beats_the_rest(points):
    shown = front(points)
    for point in points:
        better = [one for one in points if one.clocks <= point.clocks
                  and one.needed.lc <= point.needed.lc
                  and (one.clocks, one.needed.lc) != (point.clocks, point.needed.lc)]
        same = [one for one in shown if (one.clocks, one.needed.lc)
                == (point.clocks, point.needed.lc)]
        assert len(same) == (0 if better else 1)


def test_the_search_chooses_from_the_front(graph, points):
    for goal, point in best(front(points)).items():
        assert chosen(graph, goal=goal) == (point.clocks, point.needed.lc)


def test_figures_of_a_point(points):
    point = points[0]
    assert point.us == point.clocks / UP5K.board.clock_mhz
    assert point.nanojoules == nanojoules(UP5K, point.candidate.machine, point.clocks,
                                          point.needed.lc)


def test_exact_clocks_are_the_cycle_models():
    small = run_passes(random_graph(4, 2, 4, (20, 30, 6)), PASSES)
    shape = ((5, small.steps, 20) if small.input.coding == "spikes" else (5, 20))
    x = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    point = explore(small, UP5K, Inline(), lanes=16, clock=Clock.of(small, x))[-1]
    spikes = layer_spikes(small, golden.run(small, x, record="spikes"))
    timing = cycle.run(point.candidate.machine, x, spikes)
    assert point.clocks == timing.latency.mean()
    assert 0 < point.roof <= point.clocks


def test_any_executor_will_do(graph):
    executor, seen = Inline(), []
    explore(graph, UP5K, executor, lanes=16, progress=lambda done, of: seen.append((done, of)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] > len(executor.tasks) > 1


def test_nothing_fits(graph):
    small = replace(UP5K, device=replace(UP5K.device, name="small", lc=1_300))
    with pytest.raises(DoesNotFit, match="must fit small, and with 16 lanes it needs .* logic "):
        explore(graph, small, Inline())


def test_placing_keeps_the_order_and_survives_a_design_that_finds_no_place(points):
    made = Implementation((Placed(1, 40.0, {"lc": 9}),), {})
    outcomes = {id(points[0].candidate): made, id(points[1].candidate): None}
    with mock.patch.object(machines, "place", lambda one, goal: outcomes[id(one)]):
        placed = machines.placed(points[:2], UP5K, Inline())
    assert [point.placed for point in placed] == [made, None]
    assert [point.clocks for point in placed] == [point.clocks for point in points[:2]]


def test_place_writes_and_implements(points):
    made = Implementation((Placed(1, 40.0, {"lc": 9}),), {})
    with mock.patch.object(machines, "write_sources") as written, \
            mock.patch.object(machines, "implement", return_value=made):
        assert machines.place(points[0].candidate, UP5K) is made
    _, graph, program = written.call_args[0]
    assert graph.name == "mnist_mlp" and program.clock_mhz == UP5K.board.clock_mhz
    with mock.patch.object(machines, "write_sources"), \
            mock.patch.object(machines, "implement", side_effect=DoesNotFit("full")):
        assert machines.place(points[0].candidate, UP5K) is None


# -- the command line -----------------------------------------------------------------------------

def run(capsys, *arguments):
    code = qsnn.main(["explore", *map(str, arguments)])
    return code, capsys.readouterr()


def test_table_json_and_picture(capsys, tmp_path):
    files = [tmp_path / "front.json", tmp_path / "front.svg"]
    code, told = run(capsys, MODEL, "--jobs", 1, "--json", files[0], "--plot", files[1])
    assert code == 0 and "mnist_mlp on icebreaker (up5k)" in told.out
    report = json.loads(files[0].read_text())
    assert (report["device"], report["samples"], report["activity"]) == ("up5k", None, 1 / 8)
    first, last = report["front"][0], report["front"][-1]
    assert report["best"]["latency"] == 0
    assert report["best"]["area"] == len(report["front"]) - 1
    assert first["clocks"] < last["clocks"]
    assert first["predicted"]["lc"] > last["predicted"]["lc"]
    assert len(report["points"]) > len(report["front"])
    assert "beaten by none" in files[1].read_text()
    for point in report["front"]:
        assert f"{point['clocks']:,.0f}" in told.out and f"{point['predicted']['lc']:,}" in told.out


def test_a_point_of_the_front_is_built_by_its_limit(capsys):
    _, told = run(capsys, MODEL, "--jobs", 1, "--json", "-")
    point = json.loads(told.out)["front"][3]
    build = qsnn_compile.compile(MODEL, max_lc=point["predicted"]["lc"])
    assert build.report["predicted"] == point["predicted"]
    assert (build.report["lanes"], build.report["units"]) == (point["lanes"], point["units"])


def test_samples_are_timed_in_other_processes(capsys, tmp_path):
    x = np.random.default_rng(1).integers(0, 256, (3, 784), dtype=np.uint8)
    y = golden.run(import_onnx(MODEL), x).classes
    y[1] = (y[1] + 1) % 10
    np.savez(tmp_path / "x.npz", x=x, y=y)
    code, told = run(capsys, MODEL, "--jobs", 2, "--lanes", 64, "--data", tmp_path / "x.npz",
                     "--samples", 2, "--json", "-")
    report = json.loads(told.out)
    assert report["accuracy"] == 0.5
    assert code == 0 and report["samples"] == 2 and report["activity"] is None
    assert all(0 < point["roof_clocks"] <= point["clocks"] for point in report["points"])


def test_placed_figures(capsys, monkeypatch):
    used = {"lc": 3_333, "ebr": 11, "spram": 4, "dsp": 2}
    made = Implementation((Placed(1, 45.0, used),), {})
    monkeypatch.setattr(machines, "place", lambda one, goal: made)
    code, told = run(capsys, MODEL, "--jobs", 1, "--lanes", 16, "--pnr")
    assert code == 0 and "µs at Fmax" in told.out
    assert "3,333" in told.out and "45.0" in told.out


@pytest.mark.parametrize("arguments,text", (
    (["--plot", "front.txt"], "--plot must name a file that ends in .png, .svg, .pdf, not "
     "'front.txt'; choose another"),
    (["--jobs", "0"], "--jobs must be 1 or more, not 0"),
    (["--samples", "0"], "--samples must be 1 or more, not 0"),
    (["--target", "ice41"], "target must be one of "),
    (["--lanes", "48", "--jobs", "1"], "lanes must be one of 16, 32, 64, not 48"),
    (["--data", "missing.npz"], "missing.npz: data must be a readable .npz file")))
def test_bad_input(capsys, arguments, text):
    code, told = run(capsys, MODEL, *arguments)
    assert code == 2 and told.err.startswith("qsnn explore: ") and text in told.err


def test_dask_without_its_extra(capsys):
    with mock.patch.dict("sys.modules", distributed=None):
        code, told = run(capsys, MODEL, "--dask", "tcp://localhost:1")
    assert code == 2 and 'pip install "qsnn[dask]"' in told.err


def test_a_dask_cluster_does_the_work(capsys):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(1, processes=False, threads_per_worker=1, protocol="inproc",
                                  dashboard_address=None) as cluster:
        code, told = run(capsys, MODEL, "--lanes", 16, "--dask", cluster.scheduler_address,
                         "--json", "-")
    assert code == 0
    assert json.loads(told.out)["points"] == json.loads(
        run(capsys, MODEL, "--lanes", 16, "--jobs", 1, "--json", "-")[1].out)["points"]


def test_a_dask_scheduler_that_is_not_there(capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "PATIENCE", "0.2s")
    code, told = run(capsys, MODEL, "--dask", "tcp://127.0.0.1:9")
    assert code == 2 and "--dask must be the address of a scheduler that answers" in told.err


def test_qsnnc_takes_the_goal_and_the_limits(capsys, tmp_path):
    arguments = [MODEL, "-o", str(tmp_path / "build"), "--json", "-"]
    with mock.patch("qsnn_compile.compiler.write_sources"):
        assert qsnnc.main([*arguments, "--goal", "area", "--latency-us", "20"]) == 0
    small = json.loads(capsys.readouterr().out)
    fastest = qsnn_compile.compile(MODEL).report["predicted"]["lc"]
    assert small["predicted"]["lc"] == qsnn_compile.compile(
        MODEL, goal="area", latency_us=20).report["predicted"]["lc"] < fastest
    assert qsnnc.main([*arguments, "--max-lc", "1000"]) == 3
    told = capsys.readouterr().err
    assert "within --max-lc 1000, and none of its machines does; the nearest, with 16 lanes" in told
    assert qsnnc.main([*arguments, "--max-lc", "-5"]) == 2
    assert "--max-lc must be 1 logic cell or more, not -5" in capsys.readouterr().err


def test_resources_are_those_of_the_chip(graph):
    """Where a machine is rated, it is for the target's chip."""
    point = explore(graph, target("ecp5-25f"), Inline(), lanes=16)[0]
    assert isinstance(point.needed, Resources) and point.needed.spram == 0
    assert point.nanojoules is None
