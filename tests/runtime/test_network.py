import functools
import json
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from boards import FakeBoard

from qsnn_compile.builds.report import make_report, write_report
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import target
from qsnn_compile.cli import qsnn
from qsnn_compile.ir import Dense, Graph, Input, Node, Readout, ints, to_text
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.system.errors import QsnnError
from qsnn_runtime import protocol
from qsnn_runtime.devices.uart import UartDevice
from qsnn_runtime.network import Network
from qsnn_sim.golden import golden


def classifier():
    rng = np.random.default_rng(5)
    dense = Dense(ints(rng.choice([-1, 1], (4, 6))), 1)
    readout = Readout("potential", "dense", ints([1, 2, 3, 4]), ints([5, 6, 7, 8]))
    return Graph("runtime", 2, Input((6,), 8, "direct"), (Node("dense", dense, ("x",)),), readout)


@pytest.fixture
def graph():
    return classifier()


@pytest.fixture
def program(graph):
    machine, image = map_graph(run_passes(graph, PASSES), lanes=16, units=2)
    return Program(machine, image, graph.input, "ice40", "icebreaker", 30.0)


@pytest.fixture
def x():
    return np.random.default_rng(6).integers(0, 256, (7, 6), dtype=np.uint8)


def test_network_on_any_device(program, graph, x):
    expected = golden.run(graph, x)
    heard = []
    with Network(program, FakeBoard(program, graph)) as network:
        network.load()
        classes, scores = network.run(x, heard.append)
    assert np.array_equal(classes, expected.classes)
    assert np.array_equal(scores, expected.scores.max(axis=1))
    assert heard == list(range(1, len(x) + 1))


def test_real_values_are_quantized(graph, x):
    scaled = Graph(graph.name, graph.steps, Input((6,), 8, "direct", 1 / 255), graph.nodes,
                   graph.readout)
    machine, image = map_graph(run_passes(scaled, PASSES), lanes=16, units=2)
    program = Program(machine, image, scaled.input, "ice40", "icebreaker", 30.0)
    network = Network(program, FakeBoard(program, graph))
    network.load()
    assert np.array_equal(network.run(x / 255)[0], golden.run(graph, x).classes)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
def test_raw_numbers_of_a_sensor(graph, kind):
    """One scale a channel; what lies beyond is the end. Codes (uint8) stay what they are."""
    source = Input((6,), 8, "direct", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (0, -9, 100, 50, 127, 200),
                   takes="reals")
    real = replace(graph, input=source)
    machine, image = map_graph(run_passes(real, PASSES), lanes=16, units=2)
    program = Program(machine, image, source, "ice40", "icebreaker", 30.0, ("a", "b", "c", "d"))
    x = np.random.default_rng(6).normal(0, 400, (20, 6)).round().astype(kind)
    network = Network(program, FakeBoard(program, graph))
    network.load()
    expected = golden.run(real, x)
    assert np.array_equal(network.run(x)[1], expected.scores.max(axis=1))
    assert np.array_equal(network.run(source.quantise(x, 2))[0], expected.classes)
    with pytest.raises(QsnnError, match="^data: x must be finite, not nan$"):
        network.run(np.full((1, 6), np.nan))


def test_another_program_is_refused(program, graph):
    machine = program.machine
    other = Program(type(machine)(**{**machine.__dict__, "digest": "ff" * 8}), program.image,
                    program.input, "ice40", "icebreaker", 30.0)
    with pytest.raises(protocol.ProtocolError, match="board's program must be .* not 'ffffffff'"):
        Network(program, FakeBoard(other, graph)).load()


def test_data_of_another_shape(program, graph):
    network = Network(program, FakeBoard(program, graph))
    with pytest.raises(QsnnError, match=r"data: x must be \[N, ...\] = \[N, 6\], not \[3, 5\]"):
        network.run(np.zeros((3, 5), np.uint8))


# -- a serial port --------------------------------------------------------------------------------

@pytest.fixture
def port(program, graph, monkeypatch):
    """A pseudo-terminal with a fake board at its other end."""
    pytest.importorskip("serial")
    if not hasattr(os, "openpty"):
        pytest.skip("no pseudo-terminals here")
    board_end, host_end = os.openpty()
    board = FakeBoard(program, graph)
    board.reset()

    def serve():
        while True:
            try:
                board.send(os.read(board_end, 4096))
            except OSError:                     # the other end is closed
                return
            os.write(board_end, board.replies)
            board.replies = b""

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    patient = functools.partial(UartDevice, timeout_s=600)
    monkeypatch.setattr("qsnn_runtime.devices.uart.UartDevice", patient)
    yield os.ttyname(host_end)
    os.close(host_end)
    server.join()
    os.close(board_end)


def save(program, graph, folder):
    """A build folder, but for the Verilog."""
    folder.mkdir()
    program.save(folder)
    (folder / "model.qir").write_text(to_text(graph))
    report = make_report(graph, program, target("ice40"), predict(program.machine), {})
    write_report(report, folder / "report.json")
    return folder


def test_run_command(program, graph, x, port, tmp_path, capsys):
    build = save(program, graph, tmp_path / "build")
    data, out = tmp_path / "x.npz", tmp_path / "out.json"
    expected = golden.run(graph, x)
    np.savez(data, x=x, y=expected.classes)
    assert qsnn.main(["run", str(build), "--port", port, "--data", str(data),
                         "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["classes"] == expected.classes.tolist()
    assert report["accuracy"] == 1
    text = capsys.readouterr().out
    assert f"weights loaded through {port}\n7 samples in " in text
    assert "accuracy 100.00%" in text


def test_run_command_without_data(program, graph, port, tmp_path, capsys):
    build = save(program, graph, tmp_path / "build")
    assert qsnn.main(["run", str(build), "--port", port, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"port": port, "loaded": True}
    assert captured.err == f"weights loaded through {port}\n"


def test_run_command_refuses_data_before_it_opens_the_port(program, graph, tmp_path, capsys):
    build = save(program, graph, tmp_path / "build")
    (tmp_path / "x.npz").write_bytes(b"")
    assert qsnn.main(["run", str(build), "--port", "/dev/no-such-port", "--data",
                      str(tmp_path / "x.npz")]) == 2
    assert "data must be a whole .npz file" in capsys.readouterr().err
