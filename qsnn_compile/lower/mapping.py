"""A legalised graph as a machine and what its memories hold, as `qsnn_hw.machine` defines them."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from qsnn_compile.ir import Delay, Graph
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layers import Layer, Map
from qsnn_hw.machine.layout import Layout
from qsnn_hw.machine.parameters import Arithmetic, Parameters

from .channels import Channels, Shared, channels, shared
from .lowered import lowered
from .lowering import has_values
from .parameter_fields import Pad, neuron_fields, readout_fields
from .program import digest
from .widths import with_widths
from .windows import Shape, input_map, layers


@dataclass(frozen=True)
class Mode:
    """What a machine answers: a window of steps, once; or, ``stream``, after every step. With a
    ``margin`` an answer is settled when its score leads the next by so much."""

    stream: bool = False
    margin: int | None = None

    @property
    def stepwise(self) -> bool:
        """Whether it has to run step by step."""
        return self.stream or self.margin is not None

    def check(self) -> None:
        """Raise QsnnError for a margin that is none."""
        if self.margin is not None and self.margin < 0:
            raise QsnnError(f"exit margin must be 0 or more, not {self.margin!r}; it is how far "
                            "the best score must lead the next; leave it out for none")


WINDOW = Mode()


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all machines of a network share: its layers as they are stored, the proven ranges."""

    graph: Graph
    mapped: list[Channels]
    common: Shared
    stepwise: bool
    mode: Mode = WINDOW


def prepare(graph: Graph, stepwise: bool | None = None, mode: Mode = WINDOW) -> Prepared:
    """*graph*, legalised, ready for `machine_of`. Step by step where it must (a Delay, *mode*) or
    *stepwise* says so."""
    must = recurrent(graph) or mode.stepwise
    stepwise = must if stepwise is None else stepwise
    low = lowered(graph, endless=mode.stream)
    common = shared(graph, low.bounds)
    mapped = [channels(graph, stage, common, stepwise) for stage in low.stages]
    return Prepared(graph, mapped, common, stepwise, mode)


def map_graph(graph: Graph, *, lanes: int, units: int = 2, banks: int = 1,
              columns: int | None = None, batch: bool = False,
              stepwise: bool | None = None, mode: Mode = WINDOW) -> tuple[Machine, Image]:
    """The machine that runs *graph* on *banks* of *lanes* accumulators and *units* neuron units
    each, and its image; *batch*: two steps a pass, if `batches`. Raises MachineError
    (`qsnn_hw.machine.validity`) for a machine that could not work."""
    prepared = prepare(graph, stepwise, mode)
    machine, pads = machine_of(prepared, banks, lanes, units, columns, batch)
    return with_image(prepared, machine, pads)


def mapped_again(graph: Graph, machine: Machine) -> tuple[Machine, Image]:
    """The machine of *graph* by the choices that made *machine* (lanes, banks, order, memories …),
    and its image: both equal to the first ones, if *graph* is what *machine* was made of."""
    parameters = machine.parameters
    mode = Mode(parameters.streaming, parameters.exit_margin)
    stepwise = parameters.order == "step" or mode.stepwise or recurrent(graph)
    prepared = prepare(graph, stepwise, mode)
    again, pads = machine_of(prepared, parameters.banks, parameters.lanes, parameters.units,
                             parameters.columns, parameters.batch_bits > 0)
    again = again.with_parameters(weight_memory=parameters.weight_memory,
                                  small_memories=parameters.small_memories)
    return with_image(prepared, again, pads)


def machine_of(prepared: Prepared, banks: int, lanes: int, units: int,
               columns: int | None = None,
               batch: bool = False) -> tuple[Machine, tuple[Pad, Pad]]:
    """The machine without its digest, and the parameters of a neuron's and a class's pad. Raises
    MachineError."""
    columns = most_columns(prepared, columns)
    paired = batch and batches(prepared, columns)
    parameters = replace(_parameters(prepared, banks, lanes, units, columns),
                         batch_bits=int(paired))
    firing, silent = _by_kind(prepared)
    layout, common = Layout(parameters=parameters), prepared.common
    spares = any(spare(layout, index) for index in range(len(firing)))
    steps = None if prepared.mode.stream else parameters.steps
    neuron, pad = neuron_fields(firing, steps, common.shift, spares, common.clamps)
    readout, readout_pad = readout_fields(silent)
    arithmetic = Arithmetic(
        neuron_fields=neuron, readout_fields=readout,
        membrane_bits=max((int(one.parameters["bits"].max()) for one in firing), default=2),
        decay_shift=common.shift, synapse_bits=common.synapse_bits,
        synapse_shift=common.synapse_shift, clamps=common.clamps)
    machine = Machine(parameters=parameters, arithmetic=arithmetic)
    return with_widths(machine, prepared.mapped, pad, common.proved), (pad, readout_pad)


def with_image(prepared: Prepared, machine: Machine,
               pads: tuple[Pad, Pad]) -> tuple[Machine, Image]:
    """*machine* with its digest, and what its memories hold."""
    firing, silent = _by_kind(prepared)
    image = Image(_neuron_image(machine, firing, pads[0]), _readout_image(machine, silent, pads[1]),
                  tuple(_weights(machine, prepared.mapped, bank)
                        for bank in range(machine.parameters.banks)))
    return replace(machine, digest=digest(machine, image)), image


def _by_kind(prepared: Prepared) -> tuple[list[Channels], list[Channels]]:
    """The layers that fire, and the one that doesn't."""
    return ([one for one in prepared.mapped if one.fires],
            [one for one in prepared.mapped if not one.fires])


def recurrent(graph: Graph) -> bool:
    """Whether a step depends on what the step before sent, not only on membranes."""
    return any(isinstance(node.op, Delay) for node in graph.nodes)


def most_columns(prepared: Prepared, wanted: int | None = None) -> int:
    """Steps side by side in a line of the spike memory: *wanted*, or as many as save time, where
    there is a line of them. Values have no columns that a readout could take at once."""
    graph, last = prepared.graph, prepared.mapped[-1]
    mixed = not last.fires and has_values(graph) and any(
        part.synapses.spikes.origin == graph.input.name for part in last.parts)
    if prepared.stepwise or mixed:
        return 1
    return wanted or (1 if graph.steps == 1 else 2 if graph.steps == 2 else 4)


def batches(prepared: Prepared, columns: int) -> bool:
    """Whether a pass can serve two steps: they stand side by side, and none is alone."""
    return columns == 2 and prepared.graph.steps % 2 == 0 and not prepared.stepwise


def _parameters(prepared: Prepared, banks: int, lanes: int, units: int,
                columns: int) -> Parameters:
    """What is chosen of the machine."""
    graph, mode, kind = prepared.graph, prepared.mode, prepared.graph.readout.kind
    assert kind != "last", "the graph must be legalised"
    source, listed = _laid_out(prepared, banks, lanes)
    return Parameters(
        name=graph.name, steps=graph.steps, coding=graph.input.coding,
        input_bits=graph.input.bits, input_map=source, layers=listed, readout=kind,
        banks=banks, lanes=lanes, units=units, columns=columns,
        order="step" if prepared.stepwise else "layer", streaming=mode.stream,
        exit_margin=mode.margin)


@lru_cache(maxsize=4)                       # machines that differ in units and columns share it
def _laid_out(prepared: Prepared, banks: int, lanes: int) -> tuple[Map, tuple[Layer, ...]]:
    """The map of the input, and the layers with their windows."""
    shape = Shape(banks, lanes, prepared.stepwise)
    return (input_map(prepared.graph, prepared.mapped, shape),
            layers(prepared.graph, prepared.mapped, shape))


def spare(layout: Layout, index: int) -> int:
    """Lanes of layer *index* that rotate and hold no channel: pads."""
    parameters = layout.parameters
    rotating = layout.used_slots[index] * (1 if parameters.is_last(index) else parameters.units)
    return layout.groups[index] * rotating - parameters.layers[index].channels


def lane_channels(layout: Layout, index: int, group: int) -> tuple[np.ndarray, np.ndarray]:
    """The channels of a group, and the lanes that they are on."""
    parameters, size = layout.parameters, layout.group_size[index]
    channel = np.arange(group * size, min((group + 1) * size, parameters.layers[index].channels))
    lane = channel - group * size
    alone = parameters.is_last(index) and parameters.layers[index].fires
    return channel, lane * parameters.units if alone else lane


def _weights(machine: Machine, mapped: list[Channels], bank: int) -> tuple[int, ...]:
    """Rows [layer][turn][part][tap][channel][plane], lane l in bit l."""
    rows: list[int] = []
    for index, layer in enumerate(machine.parameters.layers):
        bits = np.concatenate([part.row_bits() for part in mapped[index].parts])
        for turn in range(machine.layout.group_rounds[index]):
            group = bank % layer.group_banks + turn * layer.group_banks
            if not layer.fires:
                group = turn
            channel, lane = lane_channels(machine.layout, index, group)
            lanes = np.zeros((len(bits), machine.parameters.lanes), dtype=np.uint8)
            if len(channel):
                lanes[:, lane] = bits[:, channel]
            packed = np.packbits(lanes, axis=1, bitorder="little")
            rows.extend(int.from_bytes(row.tobytes(), "little") for row in packed)
    return tuple(rows)


def _neuron_image(machine: Machine, firing: list[Channels],
                  pad: Pad) -> dict[str, tuple[tuple[tuple[int, ...], ...], ...]]:
    image = {}
    for field in machine.arithmetic.neuron_fields:
        if field.constant is None:
            banks = [_bank_table(machine, firing, field.name, bank, pad[field.name])
                     for bank in range(machine.parameters.banks)]
            image[field.name] = tuple(
                tuple(tuple(row) for row in (table - field.base).tolist()) for table in banks)
    return image


def _bank_table(machine: Machine, firing: list[Channels], name: str, bank: int,
                pad: int) -> np.ndarray:
    """[unit, address] of one field."""
    parameters, layout = machine.parameters, machine.layout
    table = np.full((parameters.units, layout.neuron_slots), pad, dtype=np.int64)
    for item in schedule.items(layout, bank):
        layer = parameters.layers[item.layer]
        if item.silent or not layer.fires:
            continue
        values = firing[item.layer].parameters[name]
        channel, lane = lane_channels(layout, item.layer, item.group)
        for number, place in enumerate(_neuron_places(firing[item.layer], layer, item.place)):
            address = item.slot + number * layout.used_slots[item.layer] + lane // parameters.units
            table[lane % parameters.units, address] = values[(channel, *place)]
    return table


def _neuron_places(mapped: Channels, layer: object, place: int) -> list[tuple[int, int]]:
    """Where the neurons of an output place lie in the parameters' map: one, or one a pass."""
    if not mapped.each:
        return [(0, 0)]
    stage = mapped.stage
    y, x = divmod(place, stage.shape[2])
    if stage.pooling != "or":
        return [(y, x)]
    return [(y * stage.pace[0] + py, x * stage.pace[1] + px) for py, px in stage.spread]


def _readout_image(machine: Machine, silent: list[Channels],
                   pad: Pad) -> dict[str, tuple[int, ...]]:
    image = {}
    last = len(machine.parameters.layers) - 1
    for field in machine.arithmetic.readout_fields:
        if field.constant is None:
            table = np.full(machine.layout.readout_slots, pad[field.name], dtype=np.int64)
            for group in range(machine.layout.groups[last]):
                channel, lane = lane_channels(machine.layout, last, group)
                address = group * machine.layout.used_slots[last] + lane
                table[address] = silent[0].parameters[field.name][channel]
            image[field.name] = tuple((table - field.base).tolist())
    return image
