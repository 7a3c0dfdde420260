from dataclasses import replace

import numpy as np
import pytest

from qsnn_compile.ir import Conv2d, Dense, Flatten, Graph, Input, Node, Readout, ints
from qsnn_compile.system.errors import QsnnError
from qsnn_sim.measure.data import Build, read_samples
from qsnn_sim.measure.tables import MISMATCHES, print_verify


def graph(coding):
    dense = Dense(ints(np.ones((2, 6))), 1)
    return Graph("g", 4, Input((6,), 8 if coding == "direct" else 1, coding),
                 (Node("fc", dense, ("x",)),), Readout("potential", "fc"))


def save(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def refused(path, coding="direct"):
    with pytest.raises(QsnnError) as caught:
        read_samples(path, graph(coding))
    assert caught.value.exit_code == 2
    return str(caught.value).removeprefix(f"{path}: ")


def test_samples_with_labels(tmp_path):
    x = np.arange(18).reshape(3, 6)
    samples = read_samples(save(tmp_path, x=x, y=np.array([1, 0, 1], np.uint8)), graph("direct"))
    assert np.array_equal(samples.x, x) and samples.y.tolist() == [1, 0, 1]
    assert read_samples(save(tmp_path, x=x), graph("direct")).first(2).x.shape == (2, 6)


@pytest.mark.parametrize("low, high, warned", [
    (0, 255, False), (0, 64, False), (0, 63, True), (0, 16, True), (0, 1, True), (7, 7, True),
    (190, 255, False), (200, 255, True)])
def test_a_small_part_of_the_codes_is_warned_of(low, high, warned, tmp_path, capsys):
    x = np.full((3, 6), low, np.uint8)
    x[1, 2] = high
    scaled = replace(graph("direct"), input=Input((6,), 8, "direct", 0.25, 8))
    samples = read_samples(save(tmp_path, x=x), scaled).first(2)
    samples.warn("qsnn sim")
    assert capsys.readouterr().err == (
        "" if not warned else
        f"qsnn sim: warning: x uses the codes {low} … {high} of 0 … 255, the real numbers "
        f"{(low - 8) / 4:g} … {(high - 8) / 4:g}: right if the network was trained on such "
        "numbers; else say what a code is worth with qsnnc --input-scale, or store x in real "
        "numbers as floats\n")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_bytes_for_a_network_of_real_numbers_are_codes_and_that_is_said(kind, tmp_path):
    plain = images("direct")
    graph = replace(plain, input=replace(plain.input, scale=0.5, zero_point=3, takes="reals"))
    x = np.random.default_rng(0).integers(0, 100, (4, *graph.input.shape)).astype(kind)
    samples = read_samples(save(tmp_path, x=x), graph)
    expected = x if kind == np.uint8 else np.clip(2 * x.astype(int) + 3, 0, graph.input.top)
    assert samples.x.tolist() == expected.tolist()
    said = ("x is uint8, so it is taken as the network's codes, not as real numbers: store real "
            "numbers as floats or as other integers")
    assert samples.warning == (said if kind == np.uint8 else "")


def test_spikes_are_no_small_part(tmp_path):
    assert read_samples(save(tmp_path, x=np.zeros((2, 4, 6))), graph("spikes")).warning == ""


def test_accuracy_is_the_golden_models(tmp_path):
    columns = np.array([[1, 1, 1, -1, -1, -1], [-1, -1, -1, 1, 1, 1]])
    two = replace(graph("direct"), nodes=(Node("fc", Dense(ints(columns), 1), ("x",)),))
    x = np.zeros((4, 6), np.uint8)
    x[:2, :3], x[2:, 3:] = 200, 100
    samples = read_samples(save(tmp_path, x=x, y=np.array([0, 1, 1, 1])), two)
    assert samples.accuracy(two) == 0.75
    assert read_samples(save(tmp_path, x=x), two).accuracy(two) is None


def test_verify_prints_the_accuracy(capsys):
    report = {"samples": 4, "name": "net", "simulator": "icarus", "core_clocks": 10,
              "seconds": 1.0, "first": None, **dict.fromkeys(MISMATCHES, 0)}
    print_verify(report | {"accuracy": 0.75})
    assert "accuracy 75.00%, of the golden model\n" in capsys.readouterr().out
    print_verify(report | {"accuracy": None})
    assert "accuracy" not in capsys.readouterr().out


def images(coding):
    """A network of images of 2 channels, 3 x 2."""
    nodes = (Node("conv", Conv2d(ints(np.ones((2, 2, 1, 1))), 1), ("x",)),
             Node("flat", Flatten(), ("conv",)))
    source = Input((2, 3, 2), 8 if coding == "direct" else 1, coding)
    return Graph("g", 4, source, nodes, Readout("potential", "flat"))


def test_flat_images_are_row_by_row(tmp_path):
    flat = np.arange(24).reshape(2, 12)
    x = read_samples(save(tmp_path, x=flat), images("direct")).x
    assert np.array_equal(x, flat.reshape(2, 2, 3, 2))


def test_images_with_steps_are_not_flat(tmp_path):
    with pytest.raises(QsnnError, match=r"x must be \[N, T, ...\]"):
        read_samples(save(tmp_path, x=np.zeros((2, 12))), images("spikes"))


def test_missing_file(tmp_path):
    assert refused(tmp_path / "none.npz") == (
        "data must be a readable .npz file: No such file or directory")


def test_folder(tmp_path):
    assert refused(tmp_path) == "data must be a readable .npz file: Is a directory"


def test_other_file(tmp_path):
    (tmp_path / "x.npz").write_text("0 0 1\n")
    assert refused(tmp_path / "x.npz") == (
        "data must be a whole .npz file, not a truncated one or one of another kind; "
        "write it with numpy.savez(file, x=..., y=...)")


@pytest.mark.parametrize("cut", (10, 100, 300))
def test_truncated(tmp_path, cut):
    path = save(tmp_path, x=np.zeros((9, 6), np.uint8))
    path.write_bytes(path.read_bytes()[:cut])
    assert "data must be a whole .npz file, not a truncated one" in refused(path)


def test_damaged_inside(tmp_path):
    path = save(tmp_path, x=np.zeros((9, 6), np.uint8))
    data = bytearray(path.read_bytes())
    data[180] ^= 1
    path.write_bytes(data)
    assert refused(path).startswith("data must be a readable .npz file: ")


def test_no_x(tmp_path):
    assert refused(save(tmp_path, images=np.zeros((3, 6)))) == (
        "data must hold an array 'x' [N, ...], not only ['images']; "
        "write it with numpy.savez(file, x=..., y=...)")


def test_objects(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([{}]), allow_pickle=True)
    assert refused(path).startswith("data must be a readable .npz file: Object arrays cannot")


def test_wrong_shape(tmp_path):
    assert refused(save(tmp_path, x=np.zeros((3, 5), np.uint8))) == (
        "x must be [N, ...] = [N, 6], not [3, 5]")


def test_transposed(tmp_path):
    path = save(tmp_path, x=np.zeros((4, 9, 6), np.uint8))
    assert refused(path, "spikes") == (
        "x must be [N, T, ...] = [N, 4, 6], not [4, 9, 6]: it looks transposed ([T, N]); "
        "use x.swapaxes(0, 1)")


def test_no_samples(tmp_path):
    assert refused(save(tmp_path, x=np.zeros((0, 6), np.uint8))) == (
        "x must hold at least one sample, not [0, 6]")


@pytest.mark.parametrize("y,said", [
    (np.zeros((3, 2), int), "int64 [3, 2]"), (np.zeros(2, int), "int64 [2]"),
    (np.zeros(3), "float64 [3]")])
def test_wrong_labels(tmp_path, y, said):
    assert refused(save(tmp_path, x=np.zeros((3, 6), np.uint8), y=y)) == (
        f"y must be whole numbers [N] = [3], not {said}")


def test_build_of_nothing(tmp_path):
    with pytest.raises(QsnnError, match="must be a folder that qsnnc wrote"):
        Build.load(tmp_path)


@pytest.mark.parametrize("wrong", (-1, 2))
def test_labels_that_are_no_class(tmp_path, wrong):
    path = save(tmp_path, x=np.zeros((3, 6), np.uint8), y=[0, 1, wrong])
    assert refused(path) == f"y must be classes 0..1, not {wrong}"
