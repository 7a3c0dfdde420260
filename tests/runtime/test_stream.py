import numpy as np
import pytest
from boards import FakeBoard
from core_graphs import random_graph

from qsnn_compile.lower.mapping import WINDOW, Mode, map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import pipeline, run_passes
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.link import frames
from qsnn_runtime import protocol
from qsnn_runtime.network import Network
from qsnn_sim.golden import answers as stream
from qsnn_sim.golden import golden
from qsnn_sim.rtl.plan import random_samples


class FakeStream(FakeBoard):
    """A streaming board. The test puts the frames that it will send into ``coming``."""

    def reset(self):
        super().reset()
        self.steps = []

    def sizes(self):
        return {**super().sizes(), frames.RESTART: 0}

    def obey(self, command, data):
        if command == frames.RESTART:
            self.steps = []
        elif command == frames.INPUT:
            self.replies += self.answer(data)
        else:
            super().obey(command, data)

    def answer(self, data):
        frame = self.coming.pop(0)
        assert data == protocol.sample(self.machine, frame)[1:-2]
        self.steps.append(frame)
        longer = stream.by_frames(self.graph, len(self.steps))
        reads = golden.run(longer, np.array([self.steps])).reads
        answers = stream.answers(self.graph, reads, stream=True)
        settled = answers.settled(self.machine.parameters.exit_margin or 0)[0, -1]
        return protocol.result(self.machine, int(answers.classes[0, -1]),
                               int(answers.scores[0, -1]), bool(settled))


def network(seed, mode):
    graph = run_passes(random_graph(seed), pipeline(mode.stream))
    machine, image = map_graph(graph, lanes=16, mode=mode)
    program = Program(machine, image, graph.input, "ice40", "icebreaker", 30.0)
    return Network(program, FakeStream(program, graph)), graph


@pytest.mark.parametrize("margin", [None, 1000])
def test_an_answer_after_every_step(margin):
    made, graph = network(31, Mode(True, margin))
    x = random_samples(graph, 2)
    answers = stream.answers(graph, golden.run(graph, x).reads)
    made.device.coming = [*x[0], *x[1], *x[0]]
    made.load()
    steps = made.stream()
    for sample in (0, 1, 0):
        steps.reset()
        for t in range(graph.steps):
            settled = None if margin is None else bool(answers.settled(margin)[sample, t])
            wanted = (answers.classes[sample, t], answers.scores[sample, t], settled)
            answer = steps.step(x[sample, t])
            assert (answer.index, answer.score, answer.settled) == wanted


def test_state_stays_without_a_reset():
    made, graph = network(31, Mode(True))
    x = random_samples(graph, 1)[0]
    longer = stream.by_frames(graph, 2 * graph.steps)
    reads = golden.run(longer, np.array([[*x, *x]])).reads
    made.device.coming, steps = [*x, *x], made.stream()
    made.load()
    got = [steps.step(frame).score for frame in (*x, *x)]
    assert got == stream.answers(graph, reads, stream=True).scores[0].tolist()


def test_samples_are_streams_until_they_are_settled():
    made, graph = network(1, Mode(True, 2000))          # direct-coded
    x = random_samples(graph, 6)
    answers, n = stream.answers(graph, golden.run(graph, x).reads), np.arange(6)
    ends = answers.exits(2000)
    assert len(set(ends.tolist())) > 1
    made.device.coming = [sample for sample, end in zip(x, ends, strict=True)
                          for _ in range(end + 1)]
    made.load()
    classes, scores = made.run(x)
    assert np.array_equal(classes, answers.classes[n, ends])
    assert np.array_equal(scores, answers.scores[n, ends])
    assert not made.device.coming


def test_a_window_is_no_stream():
    made, _ = network(31, WINDOW)
    with pytest.raises(QsnnError, match="must be a stream, not a window of 4 steps; compile it "
                                        "with qsnnc --stream"):
        made.stream()


def test_a_frame_of_another_shape():
    made, graph = network(31, Mode(True))
    with pytest.raises(QsnnError, match="frame: x must be"):
        made.stream().step(np.zeros(graph.input.shape[0] + 1, np.uint8))
