"""A neuron as read is held against the file's own operators: whatever is read wrongly is found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.foreign.onnx.neurons import neurons as onnx_neurons
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.reals.normal_form import reals

ONNX = Path(__file__).parents[1] / "cases" / "onnx"


def a_bit_more(name):
    return lambda neuron: replace(neuron, **{name: reals(getattr(neuron, name) * 1.01 + 0.01)})


WRONG = {
    "snntorch_leaky_dense_step__dynamo": {
        **{name: a_bit_more(name) for name in ("threshold", "decay", "gain", "offset",
                                               "reset_value")},
        "at once": lambda neuron: replace(neuron, delayed=False),
        "no reset": lambda neuron: replace(neuron, reset="none", delayed=False),
        "hard": lambda neuron: replace(neuron, reset="hard"),
        "clamp": lambda neuron: replace(neuron, clamp=reals(0))},
    "snntorch_leaky_zero_dense_step__dynamo": {
        "soft": lambda neuron: replace(neuron, reset="soft", reset_value=neuron.threshold),
        "silenced": lambda neuron: replace(neuron, silenced=True)},
    "sj_lif_dense_step__dynamo": {
        "late": lambda neuron: replace(neuron, delayed=True),
        "strict": lambda neuron: replace(neuron, strict=True),
        "decay": a_bit_more("decay"), "reset_value": a_bit_more("reset_value")},
    "sinabs_iafmulti_dense_step__dynamo": {
        "one spike": lambda neuron: replace(neuron, max_spikes=1),
        "two spikes": lambda neuron: replace(neuron, max_spikes=2)},
    "snntorch_synaptic_dense_step__dynamo": {
        "synapse decay": lambda neuron: replace(neuron, synapse=replace(
            neuron.synapse, decay=reals(neuron.synapse.decay * 1.01))),
        "synapse gain": lambda neuron: replace(neuron, synapse=replace(
            neuron.synapse, gain=reals(neuron.synapse.gain * 1.01))),
        "a step late": lambda neuron: replace(neuron, synapse=replace(
            neuron.synapse, delayed=True))},
}


@pytest.mark.parametrize("file, what", [(file, what) for file in WRONG for what in WRONG[file]])
def test_a_neuron_read_wrongly_is_found(file, what, monkeypatch):
    right = onnx_neurons.confirm
    seen = []

    def spoiled(trace, reading, *rest):
        right(trace, reading, *rest)              # as read, it is the file's
        neuron = WRONG[file][what](reading.neuron)
        seen.append(reading.neuron)
        right(trace, replace(reading, neuron=neuron), *rest)

    monkeypatch.setattr(onnx_neurons, "confirm", spoiled)
    with pytest.raises(OnnxError) as caught:
        read_onnx(ONNX / f"{file}.onnx")
    assert "the neuron must be the equation that was read from it, but gives " in str(caught.value)
    assert str(caught.value).endswith("; please report this file")
    assert "np.float" not in str(caught.value)
    assert len(seen) == 1 and np.isfinite(seen[0].threshold).all()
