"""What the blocks of a core hand on to each other, and the width of each."""

from amaranth.hdl import *
from amaranth.lib import data

from qsnn_hw.machine.layers import WORD

__all__ = ["address_bits", "bits_of", "entry_layout", "fired_layout", "job_layout",
           "listed_planes", "optional", "progress_bits", "request_layout", "slot_layout",
           "word_layout"]


def optional(present, **members):
    """*members* of a signature that has them only where *present*."""
    return members if present else {}


def bits_of(top):
    """Bits that hold 0 .. *top*."""
    return max(int(top).bit_length(), 1)


def job_layout(layout):
    """A job: what the rotation after a transfer needs to know.

    ============ =================================================================
    ``layer``    the layer's number
    ``slot``     parameter address of the first neuron
    ``membrane`` membrane address of the first neuron
    ``line``     line of the spike memory that takes the first spike word
    ``column``   column of that line
    ``words``    spike words after the first
    ``step``     the time step, where the spikes of several passes are joined by OR
    ``start``    membranes start at u0
    ``opens``    the pass is the first of a pooling window
    ``closes``   the pass is the last of a pooling window
    ``silent``   no neuron is there; nothing is written
    ``settled``  scores are compared after this rotation
    ``opening``  the group is the first of its layer
    ``final``    the group is the last of its layer
    ``ending``   the step is the last of its window (machines that exit early)
    ``halves``   totals are halved (streams)
    ============ =================================================================
    """
    parameters = layout.parameters
    flags = ["start", "opens", "closes", "silent", "settled", "opening", "final"]
    flags += ["ending"] * parameters.exits + ["halves"] * parameters.streaming
    combined = parameters.order == "layer" and parameters.ors
    return data.StructLayout({
        "layer": range(max(len(parameters.layers), 2)),
        "slot": range(max(layout.neuron_slots, layout.readout_slots, 2)),
        "membrane": range(max(layout.membrane_slots, 2)),
        "line": range(max(layout.lines, 2)), "column": range(max(parameters.columns, 2)),
        "words": range(max(layout.row_beats, 2)),
        "step": range(max(parameters.steps, 2) if combined else 2), **dict.fromkeys(flags, 1)})


def request_layout(layout):
    """A request: a word to read, and what becomes of it.

    =========== ==================================================================
    ``address`` line of the spike memory, or address of the value memory or list
    ``column``  column of the line
    ``row``     weight row of the word's first input, plane 0
    ``format``  number of the weights' format, see `Parameters.formats`
    ``listed``  the word is an entry of the list of pixels
    ``begun``   the lanes have added plane 0 of that entry already
    ``value``   the word is in the value memory
    ``merged``  all columns of the line are read
    ``paired``  the columns are two steps, which stay apart; else they become one count
    ``pad``     the word lies outside the map; every input is the pad value
    ``skip``    there is nothing to read
    ``ends``    a transfer follows the word
    =========== ==================================================================
    """
    flags = ("listed", "value", "merged", "paired", "pad", "skip", "ends")
    return data.StructLayout({
        "address": address_bits(layout), "column": range(max(layout.parameters.columns, 2)),
        "row": range(max(layout.rows, 2)), "format": range(len(layout.parameters.formats)),
        "begun": int(listed_planes(layout.parameters) > 1), **dict.fromkeys(flags, 1)})


def entry_layout(layout):
    """A pixel of the list or a value: its ``index`` (of a pixel) and its ``value``."""
    return data.StructLayout({"index": range(max(layout.value_words, 2)),
                              "value": layout.parameters.input_bits})


def word_layout(layout):
    """Spikes on their way to the spike memory; ``round``: the last ones of a round."""
    return data.StructLayout({
        "line": range(max(layout.lines, 2)),
        "column": range(max(layout.parameters.columns, 2)),
        "spikes": WORD, "stored": 1, "round": 1})


def fired_layout(units):
    """The ``spikes`` of a slot, unit by unit, and whether they are of the last layer."""
    return data.StructLayout({"spikes": units, "last_layer": 1})


def slot_layout(layout):
    """A slot of a rotation: its ``number``, the replay (``step``) and the ``job``."""
    return data.StructLayout({
        "number": range(layout.most_slots), "step": range(max(layout.parameters.steps, 2)),
        "last_layer": 1, "job": job_layout(layout)})


def listed_planes(parameters):
    """Planes of the weights that the pixels of the list meet; 0 without one."""
    return parameters.layers[0].maps[0].planes if parameters.lists else 0


def address_bits(layout):
    """Of a line of the spike memory, or a word of the value memory."""
    return bits_of(max(layout.lines, layout.value_words) - 1)


def progress_bits(timing):
    """Two's complement differences of rounds, of all that lie between two banks."""
    return bits_of(timing.total_rounds + timing.layout.parameters.steps + 1) + 1
