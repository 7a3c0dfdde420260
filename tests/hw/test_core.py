"""The whole core in Amaranth's simulator beside golden and cycle model, whatever its streams do."""

from dataclasses import replace

import pytest
from core_bench import Bench
from core_graphs import random_graph
from image_graphs import image_graph
from states import stateful

from qsnn_compile.ir import Conv2d, Delay, Neuron, SumPool, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes


def longer(seed):
    """Images of counts are rare beyond one step."""
    return replace(image_graph(seed), steps=3)


MAKERS = {"dense": random_graph, "images": image_graph, "longer": longer,
          "dense states": stateful(random_graph), "images states": stateful(image_graph),
          "longer states": stateful(longer), "wide": lambda seed: random_graph(seed, 13)}
ONE, FAST = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 4}
WIDE = {"lanes": 32, "units": 4}
COLUMNS = {"lanes": 16, "units": 2, "columns": 2}
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
PAIRS = {"lanes": 16, "units": 2, "columns": 2, "batch": True}
STEPWISE = {"lanes": 16, "units": 1, "banks": 2, "stepwise": True}
CASES = [
    ("dense", 0, COLUMNS), ("dense", 1, FAST), ("dense", 2, TWO), ("dense", 4, WIDE),
    ("dense", 5, ONE), ("dense", 34, FOUR), ("dense", 48, FOUR), ("dense", 49, STEPWISE),
    ("dense", 54, STEPWISE), ("images", 2, COLUMNS), ("images", 9, WIDE), ("images", 24, TWO),
    ("images", 25, WIDE), ("images", 27, TWO), ("images", 30, WIDE), ("images", 35, COLUMNS),
    ("images", 30, FOUR), ("images", 36, STEPWISE), ("images", 38, TWO), ("longer", 4, TWO),
    ("longer", 28, TWO), ("dense", 2, PAIRS), ("dense", 32, PAIRS), ("images", 17, PAIRS),
    ("images", 36, PAIRS), ("dense", 31, PAIRS | {"banks": 2}),
    ("dense states", 0, COLUMNS), ("dense states", 1, FAST), ("dense states", 34, FOUR),
    ("dense states", 54, STEPWISE), ("dense states", 32, PAIRS), ("images states", 9, WIDE),
    ("images states", 25, WIDE), ("images states", 13, TWO), ("images states", 5, FOUR),
    ("images states", 36, STEPWISE), ("images states", 17, PAIRS), ("longer states", 28, TWO),
    ("wide", 3, TWO)]
SLOW = [
    ("dense", 0, TWO, 2), ("dense", 23, FAST, 40), ("images", 25, FOUR, 2),
    ("images", 27, COLUMNS, 40), ("images", 30, TWO, 40), ("images", 35, ONE, 2),
    ("longer", 28, COLUMNS, 9)]


def bench(kind, seed, shape, **given):
    return Bench(MAKERS[kind](seed), shape, seed=seed, **given)


@pytest.mark.parametrize("kind,seed,shape", CASES)
def test_core_does_what_the_models_say(kind, seed, shape):
    run = bench(kind, seed, shape, samples=3 if kind == "dense" else 2)

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx)

    run.run(testbench)


@pytest.mark.parametrize("kind,seed,shape,gaps", SLOW)
def test_streams_may_be_slow(kind, seed, shape, gaps):
    run = bench(kind, seed, shape, samples=2, gaps=gaps, stall=60)

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx)

    run.run(testbench)


def eager():
    """A network whose neurons fire at every step."""
    graph = random_graph(6, weight_bits=1, membrane_bits=4, sizes=(5, 33, 20, 3))
    return replace(graph, nodes=tuple(
        replace(node, op=replace(node.op, threshold=ints(-1 << 20), reset="none"))
        if isinstance(node.op, Neuron) else node for node in graph.nodes))


def test_the_worst_case_is_reached():
    """With everything active, behind gaps that shift the turns in which banks write."""
    run = Bench(eager(), FOUR, samples=2, gaps=2)
    free_running = run.plan.timing().latency[1]

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx, [1] * 8)

    run.run(testbench)
    assert max(run.latencies) == run.worst > free_running


# -- loading and reset ----------------------------------------------------------------------------

RESTARTED = [("dense", 0, TWO), ("dense", 54, STEPWISE), ("images", 30, WIDE)]


@pytest.mark.parametrize("kind,seed,shape", RESTARTED)
def test_weights_can_be_loaded_again(kind, seed, shape):
    """Other weights between two samples, and then those of the network again."""
    run = bench(kind, seed, shape, samples=3)

    async def testbench(ctx):
        await run.garbage(ctx)
        await run.load(ctx)
        await run.check(ctx, [2])
        await run.garbage(ctx)
        await run.sample(ctx, 1)
        await run.load(ctx)
        await run.check(ctx)

    run.run(testbench)


@pytest.mark.parametrize("kind,seed,shape", RESTARTED)
def test_reset_in_the_middle_of_a_sample(kind, seed, shape):
    run = bench(kind, seed, shape, samples=3)
    spans = run.plan.timing().result.tolist()

    async def testbench(ctx):
        await run.load(ctx)
        for _ in range(5):
            number = run.rng.randrange(3)
            sent = run.rng.choice([1, None, None])
            await run.send(ctx, number, sent)
            await run.tick(ctx, run.rng.randrange(spans[number] + 10))
            await run.restart(ctx)
            assert not ctx.get(run.core.loaded) and not ctx.get(run.core.result.valid)
            await run.load(ctx)
            await run.check(ctx, [run.rng.randrange(3)])

    run.run(testbench)


@pytest.mark.parametrize("kind,seed,shape", RESTARTED)
def test_reset_in_the_middle_of_loading(kind, seed, shape):
    run = bench(kind, seed, shape, samples=2)

    async def testbench(ctx):
        for cut in (1, len(run.weights) // 2, len(run.weights) - 1):
            await run.load(ctx, run.weights[:cut])
            assert not ctx.get(run.core.loaded), f"loaded after {cut} of {len(run.weights)} beats"
            await run.restart(ctx)
        await run.load(ctx)
        assert ctx.get(run.core.loaded)
        await run.check(ctx)

    run.run(testbench)


def test_no_sample_is_taken_before_all_weights_are_there():
    run = bench("dense", 0, TWO)

    async def testbench(ctx):
        ctx.set(run.core.inputs.valid, 1)
        for beat in run.weights:
            assert not ctx.get(run.core.inputs.ready)
            await run.put(ctx, run.core.weights, beat)
        ctx.set(run.core.inputs.valid, 0)
        await run.check(ctx, [2])

    run.run(testbench)


def test_weights_go_before_an_input_in_the_same_clock():
    run = bench("dense", 0, TWO)

    async def testbench(ctx):
        await run.load(ctx)
        await run.tick(ctx, 2)              # until the next load may begin
        ctx.set(run.core.inputs.valid, 1)
        ctx.set(run.core.weights.valid, 1)
        assert (ctx.get(run.core.weights.ready), ctx.get(run.core.inputs.ready)) == (1, 0)
        ctx.set(run.core.inputs.valid, 0)
        await run.load(ctx)
        await run.check(ctx, [2])

    run.run(testbench)


# -- what the cases are ---------------------------------------------------------------------------

FEATURES = {
    "count", "potential", "direct", "spikes", "order layer", "order step", "list", "values",
    "words", "banks 1", "banks 2", "banks 4", "units 1", "units 2", "units 4", "columns 1",
    "columns 2", "columns 4", "merged", "replayed", "stride", "pad", "pad value", "groups",
    "depthwise", "max", "or", "max and or", "sum pool", "residual", "recurrence", "each", "planes",
    "joined banks", "several groups", "two steps a pass", "places on banks", "values of spikes",
    "synapse", "currents beside synapses", "clipped synapse", "flipped synapse", "synapse and max",
    "synapse and or", "synapse and replayed", "synapse and two steps a pass", "clamp", "clamp at 0",
    "clamp beside none", "planes of a list", "planes of values", "doubled x"}


def features(kind, seed, shape):
    graph = run_passes(MAKERS[kind](seed), PASSES)
    machine, _ = map_graph(graph, **shape)
    return {*_of_machine(machine), *_of_graph(graph), *_of_layers(machine),
            *_of_synapses(graph, machine), *_of_clamps(graph)}


def _of_machine(m):
    parameters = m.parameters
    kind = {"spikes": "words"}.get(parameters.input_map.kind, parameters.input_map.kind)
    poolings = {layer.pooling for layer in parameters.layers}
    return [parameters.readout, parameters.coding, f"order {parameters.order}", kind,
            f"banks {parameters.banks}", f"units {parameters.units}",
            f"columns {parameters.columns}", *poolings, *["joined banks"] * parameters.joins,
            *["max and or"] * (poolings >= {"max", "or"}),
            *["values of spikes"] * (parameters.coding == "spikes" and kind == "values")]


def _of_layers(m):
    parameters, layout = m.parameters, m.layout
    for index, layer in enumerate(parameters.layers):
        recurrent = any(sorts.previous for sorts in layer.maps)
        sorts = {"merged": parameters.merged(index), "two steps a pass": parameters.paired(index),
                 "replayed": parameters.is_direct(index) and m.timing.replays[index] > 1,
                 "each": layer.neuron_parameters, "several groups": layout.groups[index] > 1,
                 "recurrence": recurrent, "residual": len(layer.maps) > 1 and not recurrent,
                 "planes": any(sorts.planes > 1 for sorts in layer.maps),
                 "planes of a list": layer.maps[0].kind == "list" and layer.maps[0].planes > 1,
                 "planes of values": any(sorts.kind == "values" and sorts.planes > 1
                                         for sorts in layer.maps),
                 "doubled x": any(sorts.shift for sorts in layer.maps),
                 "places on banks": layer.places > 1 and layout.place_banks[index] > 1}
        yield from (name for name, here in sorts.items() if here)


def _of_synapses(graph, m):
    parameters, arithmetic = m.parameters, m.arithmetic
    if not arithmetic.synapses:
        return
    own = {node.name: node.op.synapse for node in graph.nodes if isinstance(node.op, Neuron)}
    fields = {field.name: field for field in arithmetic.neuron_fields}
    for index, layer in enumerate(parameters.layers):
        synapse = own.get(layer.name) if layer.fires else None
        replayed = parameters.is_direct(index) and m.timing.replays[index] > 1
        kinds = {"synapse": synapse, "currents beside synapses": layer.fires and synapse is None,
                 "clipped synapse": synapse and fields["synapse_bits"].constant is None,
                 "flipped synapse": synapse and fields["flip"].constant is None,
                 "synapse and replayed": synapse and replayed,
                 "synapse and two steps a pass": synapse and parameters.paired(index),
                 f"synapse and {layer.pooling}": synapse}
        yield from (name for name, here in kinds.items() if here)


def _of_clamps(graph):
    clamps = [node.op.clamp for node in graph.nodes if isinstance(node.op, Neuron)]
    given = [clamp for clamp in clamps if clamp is not None]
    kinds = {"clamp": given, "clamp beside none": given and len(given) < len(clamps),
             "clamp at 0": any(not clamp.any() for clamp in given)}
    return [name for name, here in kinds.items() if here]


def _of_graph(graph):
    for node in graph.nodes:
        op = node.op
        if isinstance(op, SumPool):
            yield "sum pool"
        if isinstance(op, Delay):
            yield "recurrence"
        if isinstance(op, Conv2d):
            padded = any(op.padding)
            settings = {"stride": op.stride != (1, 1), "pad": padded, "groups": op.groups > 1,
                     "pad value": padded and op.pad_value,
                     "depthwise": op.groups > 1 and op.weight.shape[1] == 1}
            yield from (name for name, here in settings.items() if here)


def test_the_cases_have_every_feature():
    assert set().union(*(features(*case) for case in CASES)) >= FEATURES
