"""How much faster the models are than the RTL: ``python tests/bench/speed.py [BUILD NPZ]``.

Golden and cycle model together against Verilator under cocotb, one after the other on the same
samples and the same machine, so that its load is in both. The RTL's seconds are those of the
simulation alone: compiling, starting it and loading the weights are left out, in its favour.
"""

import sys
import tempfile
import time
from pathlib import Path

import qsnn_compile
from qsnn_sim.measure.data import Build, read_samples
from qsnn_sim.measure.measure import measure
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import plan

ZOO = Path(__file__).parents[2] / "models" / "zoo"
RTL_SAMPLES = 40
TARGET = 100


def main(arguments):
    with tempfile.TemporaryDirectory() as work:
        folder, data = arguments or (Path(work) / "build", ZOO / "fashion_mnist_test1k.npz")
        if not arguments:
            qsnn_compile.compile(ZOO / "fashion_mnist_mlp.onnx", output=folder)
        build = Build.load(folder)
        samples = read_samples(data, build.graph)
        built = build_core([Path(folder) / "core.v"], Path(work) / "rtl")
        few = samples.first(RTL_SAMPLES)
        one, many = run_plans(built, [plan(build.program, build.graph, part.x)
                                      for part in (few.first(1), few)])
        assert many.equal, many.first
        rtl = (many.seconds - one.seconds) / (many.samples - one.samples)
        measure(build, few)                         # numpy's first calls are slower
        began = time.perf_counter()
        measure(build, samples)
        models = (time.perf_counter() - began) / len(samples.x)
    print(f"golden + cycle model  {models * 1e3:8.3f} ms a sample ({len(samples.x)} samples)")
    print(f"RTL in Verilator      {rtl * 1e3:8.3f} ms a sample ({many.samples} samples)")
    print(f"ratio                 {rtl / models:8.0f}   (target: {TARGET})")
    return 0 if rtl >= TARGET * models else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
