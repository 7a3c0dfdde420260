"""As many lanes as large chips have room for, beside golden and cycle model."""

import pytest
from core_bench import Bench
from core_graphs import random_graph


@pytest.mark.slow
@pytest.mark.parametrize("sizes,shape", [
    ((20, 300, 10), {"lanes": 256, "units": 4, "banks": 2}),
    ((12, 90, 70, 5), {"lanes": 64, "units": 2, "banks": 8}),
    ((9, 140, 9), {"lanes": 32, "units": 1, "banks": 16})])
def test_512_lanes(sizes, shape):
    run = Bench(random_graph(5, 1, 4, sizes), shape, seed=5, samples=1)

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx)

    run.run(testbench)
