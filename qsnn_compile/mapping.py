"""A legalised graph as a machine and what its memories hold (`qsnn_hw.arch` is the contract)."""

from dataclasses import replace

import numpy as np

from qsnn_hw.arch import Image, Machine

from .channels import Channels, channels, decay_shift
from .fields import Pad, neuron_fields, readout_fields
from .ir import Graph, Ints, bounds
from .program import digest
from .widths import spare_lanes, with_widths

UNITS = 2               # neuron units: the smallest core that keeps up with the study's networks


def map_graph(graph: Graph, *, lanes: int, units: int = UNITS) -> tuple[Machine, Image]:
    """The machine that runs *graph* on *lanes* accumulators, and its image."""
    layers, shift = channels(graph), decay_shift(graph)
    firing = [layer for layer in layers if layer.layer.fires]
    silent = layers[len(firing):]
    frame = _frame(graph, layers, lanes, units, shift)
    pads = any(spare_lanes(frame, index) for index in range(len(firing)))
    neuron, pad = neuron_fields(firing, graph.steps, shift, pads)
    readout, readout_pad = readout_fields(silent)
    machine = replace(frame, neuron_fields=neuron, readout_fields=readout)
    machine = with_widths(machine, layers, pad, bounds(graph))
    image = Image(_neuron_image(machine, firing, pad),
                  _readout_image(machine, silent, readout_pad), _weights(machine, layers))
    return replace(machine, digest=digest(machine, image)), image


def _frame(graph: Graph, layers: list[Channels], lanes: int, units: int, shift: int) -> Machine:
    """The machine without its fields and widths."""
    kind = graph.readout.kind
    assert kind != "last", "the graph must be legalised"
    return Machine(
        graph.name, graph.steps, graph.input.coding, graph.input.bits,
        tuple(layer.layer for layer in layers), kind, (), (), 1, 1, 1, 1,
        max((int(c.parameters["bits"].max()) for c in layers if c.layer.fires), default=2),
        1, shift, lanes, units)


def place(machine: Machine, index: int) -> tuple[Ints, Ints, Ints]:
    """Group, slot and unit of each neuron of layer *index*."""
    neuron = np.arange(machine.layers[index].neurons)
    if machine.is_last(index):
        return neuron // machine.slots, neuron % machine.slots, np.zeros_like(neuron)
    lane = neuron % machine.lanes
    return neuron // machine.lanes, lane // machine.units, lane % machine.units


def _weights(machine: Machine, layers: list[Channels]) -> tuple[int, ...]:
    """Rows [layer][group][plane][input], lane l in bit l."""
    rows: list[int] = []
    for index, layer in enumerate(layers):
        group, slot, unit = place(machine, index)
        lanes = np.zeros((machine.groups(index), machine.lanes, layer.layer.fan_in), np.int64)
        lanes[group, slot * machine.units + unit] = layer.stored
        planes = np.stack([lanes >> plane & 1 for plane in range(layer.layer.weight_bits)], axis=1)
        bits = planes.transpose(0, 1, 3, 2).reshape(-1, machine.lanes).astype(np.uint8)
        packed = np.packbits(bits, axis=1, bitorder="little")
        rows.extend(int.from_bytes(row.tobytes(), "little") for row in packed)
    return tuple(rows)


def _neuron_image(machine: Machine, firing: list[Channels],
                  pad: Pad) -> dict[str, tuple[tuple[int, ...], ...]]:
    image = {}
    for field in machine.neuron_fields:
        if field.constant is not None:
            continue
        table = np.full((machine.units, machine.neuron_slots), pad[field.name], dtype=np.int64)
        for index, layer in enumerate(firing):
            group, slot, unit = place(machine, index)
            address = machine.slot_base(index) + group * machine.slots + slot
            table[unit, address] = layer.parameters[field.name]
        image[field.name] = tuple(tuple(row) for row in (table - field.base).tolist())
    return image


def _readout_image(machine: Machine, silent: list[Channels],
                   pad: Pad) -> dict[str, tuple[int, ...]]:
    image = {}
    for field in machine.readout_fields:
        if field.constant is None:
            table = np.full(machine.readout_slots, pad[field.name], dtype=np.int64)
            group, slot, _ = place(machine, len(machine.layers) - 1)
            table[group * machine.slots + slot] = silent[0].parameters[field.name]
            image[field.name] = tuple((table - field.base).tolist())
    return image

