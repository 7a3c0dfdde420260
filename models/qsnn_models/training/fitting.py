"""A network fitted to its data: the scale of its input, learnt from the training part, and the
names of its classes."""

from dataclasses import replace

import numpy as np

from qsnn_models import data
from qsnn_models.data.labelled import Array
from qsnn_models.errors import ModelsError
from qsnn_models.network.config import NetworkConfig
from qsnn_models.network.inputs import codes, shaped

REACH = 3.0         # deviations on either side of the mean, where values are standardised


def fitted(network: NetworkConfig, dataset: data.Dataset) -> NetworkConfig:
    """*network* as it takes *dataset*: raw numbers get a scale and a zero point a channel, learnt
    from the training part, unless *network* takes reals already; its classes get their names.

    ``standardise``: the codes reach 3 deviations on either side of the mean; ``range``: from the
    least to the largest value. A channel is the first axis of the network's input. Raises
    ModelsError where the data don't fit the network.
    """
    if dataset.names:
        _check_classes(network, dataset)
        network = replace(network, class_names=dataset.names)
    if not dataset.real or network.input_takes == "reals":
        return network
    x = _by_channel(network, dataset.train_x)
    low, high = (x.min(1), x.max(1)) if dataset.scaling == "range" else (
        x.mean(1) - REACH * x.std(1), x.mean(1) + REACH * x.std(1))
    span, top = high - low, network.entry.top
    scale = np.where(span > 0, span / top, 1.0)     # a channel that never changes: any will do
    zero = np.rint(-low / scale).astype(np.int64)
    scales, zeros = tuple(scale.tolist()), tuple(zero.tolist())
    one = len(scales) == 1
    return replace(network, input_takes="reals", input_scale=scales[0] if one else scales,
                   input_zero_point=zeros[0] if one else zeros)


def inputs(network: NetworkConfig, values: Array) -> data.Bytes:
    """*values* of a data set as *network* takes them: the codes of raw numbers, else see
    `data.encode`."""
    if network.input_takes == "reals":
        return codes(network, values)
    return data.encode(values, network.coding, network.input_bits, network.steps,
                       network.structure.shape)


def _by_channel(network: NetworkConfig, x: Array) -> Array:
    """*x* as ``[channels, values]``, in double precision."""
    shaped(network, x.shape)
    front = x.shape[:2 if network.coding == "spikes" else 1]
    shape = network.structure.shape
    return np.moveaxis(x.astype(np.float64).reshape(-1, shape[0], int(np.prod(shape[1:]))), 1, 0
                       ).reshape(shape[0], -1) if front else x


def _check_classes(network: NetworkConfig, dataset: data.Dataset) -> None:
    classes = network.structure.classes
    if classes != len(dataset.names):
        raise ModelsError(f"layers must end in {len(dataset.names)}, the classes of the data "
                          f"({', '.join(dataset.names)}), not {classes!r}")
