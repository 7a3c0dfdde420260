import json
import re
from dataclasses import replace

import pytest
from core_graphs import random_graph
from image_graphs import image_graph

from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program, ProgramError
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.link import frames

SHAPES = (dict(lanes=16), dict(lanes=64), dict(lanes=16, units=1, banks=4))


def program(seed):
    graph = run_passes(image_graph(seed) if seed % 2 else random_graph(seed), PASSES)
    machine, image = map_graph(graph, **SHAPES[seed % 3])
    return Program(machine, image, graph.input, "ice40", "icebreaker", 30.0)


@pytest.mark.parametrize("seed", range(12))
def test_round_trip(tmp_path, seed):
    saved = program(seed)
    saved.save(tmp_path)
    assert Program.load(tmp_path) == saved


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        program(3).save(tmp_path / name)
    files = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*"))
             for n in ("a", "b")]
    assert files[0] == files[1]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes()
               for f in files[0])


def broken(folder, change):
    program(7).save(folder)
    change(folder)
    with pytest.raises(ProgramError) as changed:
        Program.load(folder)
    return str(changed.value).replace(str(folder), "build")


def shorten(name):
    def change(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:len(data) // 2])
    return change


def test_truncated_weights(tmp_path):
    text = broken(tmp_path, shorten("weights.bin"))
    size = frames.weight_bytes(program(7).machine)
    assert text == (f"build/weights.bin: must hold {size} bytes, not {size // 2}; the file is "
                    "truncated or of another program: compile the model again with qsnnc")


def test_truncated_parameters(tmp_path):
    text = broken(tmp_path, shorten("memory/neuron_threshold_0_0.hex"))
    assert text.startswith("build/memory/neuron_threshold_0_0.hex: must hold ")


def test_missing_image(tmp_path):
    text = broken(tmp_path, lambda folder: (folder / "weights.bin").unlink())
    assert text == ("build/weights.bin: must be a readable memory image: No such file or "
                    "directory; compile the model again with qsnnc")


def test_truncated_manifest(tmp_path):
    assert "must be a readable JSON file" in broken(tmp_path, shorten("program.json"))


def test_changed_weights(tmp_path):
    def flip(folder):
        data = bytearray((folder / "weights.bin").read_bytes())
        data[0] ^= 1
        (folder / "weights.bin").write_bytes(data)
    assert "memory images must have digest" in broken(tmp_path, flip)


def test_no_build(tmp_path):
    with pytest.raises(ProgramError, match="must be a folder that qsnnc wrote, not one without"):
        Program.load(tmp_path)


def test_other_format(tmp_path):
    def older(folder):
        text = (folder / "program.json").read_text()
        (folder / "program.json").write_text(text.replace('"format": 3', '"format": 0'))
    assert "format must be 3, not 0" in broken(tmp_path, older)


def test_a_damaged_window(tmp_path):
    def shorter(folder):
        text = (folder / "program.json").read_text()
        (folder / "program.json").write_text(re.sub(r'"\d+ [-\d ]+"', '"0 0 0"', text))
    assert "must be a program of format 3, not a damaged one" in broken(tmp_path, shorter)


def test_windows_that_all_banks_share_stand_in_the_file_once(tmp_path):
    made = program(2)
    made.save(tmp_path)
    layer = json.loads((tmp_path / "program.json").read_text())["machine"]["layers"][0]
    assert made.machine.parameters.banks == 4 and len(layer["windows"]) == 1


@pytest.mark.parametrize("damage", ['"lanes": 0', '"lanes": "64"', '"lanes": null'])
def test_damaged_machine(tmp_path, damage):
    def other(folder):
        text = (folder / "program.json").read_text()
        (folder / "program.json").write_text(re.sub(r'"lanes": \d+', damage, text))
    assert "must be a program of format 3, not a damaged one" in broken(tmp_path, other)


@pytest.mark.parametrize("damage,message", [
    ('"units": 8', "MachineError: neuron units of all banks must be at most 16, not 32; "),
    ('"banks": 1073741824', "ValueError: banks must be in 1..4096, not 1073741824"),
    ('"banks": 4096', "MachineError: neuron units of all banks must be at most 16, not 4096; "),
    ('"banks": 3', "MachineError: banks must be a power of two, not 3; "),
    ('"columns": 7', "MachineError: columns must be 1, 2, 4 or 8, not 7; "),
    ('"order": "time"', "ValueError: order must be one of layer, step, not 'time'")])
def test_a_machine_that_could_not_work_is_not_loaded(tmp_path, damage, message):
    graph, path = run_passes(random_graph(3), PASSES), tmp_path / "program.json"
    machine, image = map_graph(graph, lanes=16, units=1, banks=4)
    Program(machine, image, graph.input, "ice40", "icebreaker", 30.0).save(tmp_path)
    name = damage.split(":")[0]
    path.write_text(re.sub(rf"{name}: [^,\n]+", damage, path.read_text(), count=1))
    with pytest.raises(ProgramError) as changed:
        Program.load(tmp_path)
    assert (f"{path}: must be a program of format 3, not a damaged one "
            f"({message}") in str(changed.value)


def test_digest_depends_on_machine_and_image():
    one = program(3)
    assert one.machine.digest != program(4).machine.digest
    assert replace(one, target="up5k").machine.digest == one.machine.digest
