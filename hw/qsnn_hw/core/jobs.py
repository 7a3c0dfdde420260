"""What a walker hands on: the requests of words, the jobs of transfers; and the width of each."""

from amaranth.hdl import *
from amaranth.lib import data

from qsnn_hw.machine import schedule
from qsnn_hw.machine.layers import WORD

__all__ = ["address_bits", "bits_of", "job_layout", "listed_planes", "progress_bits",
           "request_layout"]


def bits_of(top):
    """Bits that hold 0 .. *top*."""
    return max(int(top).bit_length(), 1)


def job_layout(machine):
    """What the rotation needs to know of the transfer that starts it.

    ``slot``: parameter address of slot 0, ``membrane``: its membrane address; ``line``: where its
    first spike word goes, ``column`` in that line, ``words`` how many follow; ``start``: membranes
    start at u0; ``opens``, ``closes``: the first and the last pass of a pooling window;
    ``silent``: no channel is there; ``step`` matters where passes are combined, ``settled`` says
    that its scores are compared; ``opening`` and ``final`` groups are the first and the last of the
    layer. ``ending`` says that it is the last step, where others are compared too; ``halves`` that
    a stream's totals are.
    """
    flags = ["start", "opens", "closes", "silent", "settled", "opening", "final"]
    flags += ["ending"] * machine.exits + ["halves"] * machine.streaming
    combined = machine.order == "layer" and any(
        layer.pooling == "or" for layer in machine.layers)
    return data.StructLayout({
        "layer": range(max(len(machine.layers), 2)),
        "slot": range(max(machine.neuron_slots, machine.readout_slots, 2)),
        "membrane": range(max(machine.membrane_slots, 2)),
        "line": range(max(machine.lines, 2)), "column": range(max(machine.columns, 2)),
        "words": range(max(machine.lanes // WORD, 2)),
        "step": range(max(machine.steps, 2) if combined else 2), **dict.fromkeys(flags, 1)})


def request_layout(machine):
    """A word to be read: where, and what becomes of it.

    ``row``: the weight row of its first bit's plane 0; ``format``: which of the machine's formats
    its weights have. ``skip``: there is nothing; ``pad``: it lies outside, and is the pad.
    ``listed``: an entry of the list; ``begun``: whose plane 0 the lanes have; ``value``: of
    the value memory; ``merged``: all columns, as one count or (``paired``) apart. ``ends``: a
    transfer follows.
    """
    flags = ("listed", "value", "merged", "paired", "pad", "skip", "ends")
    return data.StructLayout({
        "address": address_bits(machine), "column": range(max(machine.columns, 2)),
        "row": range(max(machine.rows, 2)), "format": range(len(machine.formats)),
        "begun": int(listed_planes(machine) > 1), **dict.fromkeys(flags, 1)})


def listed_planes(machine):
    """Planes of the weights that the pixels of the list meet; 0 without one."""
    return machine.layers[0].maps[0].planes if machine.lists else 0


def address_bits(machine):
    """Of a line of the spike memory, or a word of the value memory."""
    return bits_of(max(machine.lines, machine.value_words) - 1)


def progress_bits(machine):
    """Two's complement differences of rounds, of all that lie between two banks."""
    return bits_of(schedule.total_rounds(machine) + machine.steps + 1) + 1
