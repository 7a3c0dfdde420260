"""The parameters of a network for an optimiser, each with its own learning rate."""

from typing import Any

from torch import Tensor, nn


def parameter_groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    """The parameters of *model* for a `torch.optim` optimiser, those of one learning rate together:
    membrane steps and offsets learn at 10 times *lr*, the weights', decays at 5 times, as a
    module's ``rates`` name it; what none names, of other modules too, at *lr*. ``factor`` in a
    group is how many times *lr* its rate is."""
    rates: dict[float, list[Tensor]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            factor = getattr(module, "rates", {}).get(name, 1.0)
            rates.setdefault(factor, []).append(parameter)
    return [{"params": rates[factor], "factor": factor, "lr": lr * factor}
            for factor in sorted(rates)]
