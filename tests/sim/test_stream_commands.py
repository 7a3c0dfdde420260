"""``qsnn sim`` and ``qsnn verify`` of streams and of windows that end early."""

import json

import numpy as np
import pytest
from core_graphs import random_graph

from qsnn_compile.builds.folder import write_sources
from qsnn_compile.builds.report import make_report, write_report
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import target
from qsnn_compile.cli import qsnn
from qsnn_compile.lower.mapping import WINDOW, Mode, map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import pipeline, run_passes
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import answers as stream
from qsnn_sim.golden import golden
from qsnn_sim.rtl.plan import layer_spikes, random_samples

GRAPH, SAMPLES, MARGINS = random_graph(31), 20, [0, 1000, 10 ** 9]


def build(folder, mode, stepwise=None):
    goal, graph = target("ice40"), run_passes(GRAPH, pipeline(mode.stream))
    machine, image = map_graph(graph, lanes=16, mode=mode, stepwise=stepwise)
    program = Program(machine, image, graph.input, goal.name, goal.board.name, 20.0)
    folder.mkdir()
    write_sources(folder, graph, program)
    report = make_report(graph, program, goal, predict(machine), {})
    write_report(report, folder / "report.json")
    return machine, graph


@pytest.fixture
def data(tmp_path):
    x = random_samples(GRAPH, SAMPLES)
    np.savez(tmp_path / "data.npz", x=x, y=golden.run(GRAPH, x).classes)
    return tmp_path / "data.npz"


def sim(folder, data, capsys, *more):
    assert qsnn.main(["sim", str(folder), "--data", str(data), *more, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_stream_step_by_step(tmp_path, data, capsys):
    machine, graph = build(tmp_path / "build", Mode(True))
    report = sim(tmp_path / "build", data, capsys, "--exit-margin", "1000")
    x = np.load(data)["x"]
    result = golden.run(graph, x, record="spikes")
    spikes = [stream.shifted(train) for train in layer_spikes(graph, result)]
    latency = cycle.run(machine, x.reshape(-1, *x.shape[2:]), spikes).latency
    assert len(latency) == SAMPLES * graph.steps
    assert report["clocks"] == {
        "min": latency.min(), "median": np.median(latency), "max": latency.max(),
        "p99": sorted(latency)[79], "mean": pytest.approx(latency.mean()),
        "worst_case": cycle.worst_case(machine)}
    assert report["accuracy"] == report["accuracy_by_step"][-1] == 1.0
    answers = stream.answers(graph, result.reads)
    shares = (answers.classes == answers.classes[:, -1:]).mean(axis=0)
    assert report["accuracy_by_step"] == pytest.approx(shares.tolist())
    ends, each = answers.exits(1000), latency.reshape(SAMPLES, -1)
    until = [each[n, :end + 1].sum() for n, end in enumerate(ends)]
    (row,) = report["exits"]
    # each lead is compared in a clock of its own, which the build does without
    assert row["clocks"] == pytest.approx(np.mean(until) + ends.mean() + 1)
    assert row["steps"] == pytest.approx(ends.mean() + 1)


@pytest.mark.parametrize("mode", [Mode(margin=1000), Mode(True, 1000)])
def test_margins_side_by_side(mode, tmp_path, data, capsys):
    build(tmp_path / "build", mode)
    asked = ",".join(map(str, MARGINS))
    rows = sim(tmp_path / "build", data, capsys, "--exit-margin", asked)["exits"]
    assert [row["margin"] for row in rows] == MARGINS
    assert (rows[0]["steps"], rows[0]["settled"]) == (1, 1.0)
    assert (rows[2]["steps"], rows[2]["settled"]) == (GRAPH.steps, 0.0)
    assert (rows[2]["accuracy_lost"], rows[2]["clocks_saved"]) == (0.0, 0.0)
    assert rows[0]["clocks"] < rows[1]["clocks"] < rows[2]["clocks"]
    assert all(row["latency_us"] == pytest.approx(row["clocks"] / 20) for row in rows)
    own = sim(tmp_path / "build", data, capsys)["exits"]
    assert own == [rows[1]]


def test_clocks_of_windows_that_end_early(tmp_path, data, capsys):
    build(tmp_path / "early", Mode(margin=0))
    build(tmp_path / "whole", WINDOW, stepwise=True)
    early, whole = (sim(tmp_path / name, data, capsys) for name in ("early", "whole"))
    assert early["clocks"]["mean"] == pytest.approx(early["exits"][0]["clocks"])
    assert early["clocks"]["mean"] + early["exits"][0]["clocks_saved"] == pytest.approx(
        whole["clocks"]["mean"] + 1)
    assert early["accuracy"] == early["exits"][0]["accuracy"] == early["accuracy_by_step"][0]
    assert early["clocks"]["max"] < whole["clocks"]["min"]
    for name in ("sops", "roof_clocks"):
        assert early[name] == whole[name]
    for report in (early, whole):           # a window that may end is a clock longer
        parts = [layer.pop("utilisation") for layer in report["layers"]]
        assert sum(parts) == pytest.approx(report["utilisation"])
    assert early["layers"] == whole["layers"]


def test_tables(tmp_path, data, capsys):
    build(tmp_path / "build", Mode(True, 1000))
    assert qsnn.main(["sim", str(tmp_path / "build"), "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "after 4 steps; the times are of one" in shown
    assert "operations a step" in shown and "exit margin" in shown


def test_a_machine_without_answers_between(tmp_path, data, capsys):
    build(tmp_path / "build", WINDOW)
    assert qsnn.main(["sim", str(tmp_path / "build"), "--data", str(data),
                      "--exit-margin", "3"]) == 2
    assert "needs a machine that runs step by step" in capsys.readouterr().err
