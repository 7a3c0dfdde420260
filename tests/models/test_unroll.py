import pytest
import torch

from qsnn_models.layers import unroll as module
from qsnn_models.layers.rounding import floor_ste, round_ste
from qsnn_models.layers.unroll import Cell, Rules, unroll

FLOAT = Rules(None, None, hard=True)


def plain(values, cell, rules, steps):
    """`unroll` written with autograd."""
    fired_at, kept = [], floor_ste(cell.initial * cell.step.detach() * cell.decay)
    reset = cell.reset / cell.step.detach() if rules.hard else 0
    for now in values.expand(steps, -1, -1):
        v = now + cell.bias + kept
        if cell.feedback is not None and fired_at:
            v = v + fired_at[-1] @ cell.feedback.T
        h = (v - cell.threshold) * cell.gain
        slope = torch.pi / rules.width
        s = torch.atan(slope * h) / slope               # its derivative is 1 / (1 + (slope · h)²)
        fired = (v >= cell.threshold).to(s.dtype)
        fired_at.append(s + (fired - s).detach())
        after = torch.where(fired == 1, cell.reset, v) if rules.hard else v - fired * cell.reset
        if rules.low is None:
            kept = after * cell.decay
            continue
        x = (after if not rules.hard else v) / cell.step
        inside = (x.detach() >= rules.low - 0.5) & (x.detach() < rules.high + 0.5)
        code = round_ste(torch.where(inside, x, x.detach().clamp(rules.low, rules.high)))
        stored = code * cell.step
        if rules.hard:
            stored = torch.where(fired == 1, reset * cell.step.detach(), stored)
        kept = floor_ste(stored * cell.decay)
    spikes = torch.stack(fired_at)
    return spikes, spikes.mean()


def cell(reset, feedback=None, centred=False):
    """Three channels whose sums need the floor of the decay, and don't."""
    rows = [[.01, .005, .02], [3, -5, 0], [100, 200, 50], reset, [16, 32, 1], [.5, .75, .5]]
    rows.append([2, -1, 0] if centred else [0, 0, 0])
    leaves = [torch.tensor(row).double().requires_grad_() for row in rows]
    weights = None if feedback is None else feedback.double().requires_grad_()
    return Cell(*leaves, weights)


@pytest.mark.parametrize("rules", [Rules(-8, 7, True), Rules(-8, 7, False), FLOAT,
                                   Rules(-8, 7, True, 3.0)],
                         ids=["hard", "soft", "float", "wide"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("feedback", [None, torch.tensor([[9, -5, 3], [40, 2, -60], [1, 1, -4]])])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("block", [2, 1 << 15])
def test_the_function_and_its_gradient_equal_autograd(rules, shared, feedback, centred, block,
                                                      monkeypatch):
    torch.manual_seed(1)
    monkeypatch.setattr(module, "BLOCK", 3 * block)
    values = torch.randint(-300, 400, (1 if shared else 5, 9, 3)).double()
    reset = [90.0, 200, 60] if not rules.hard else [32.0, -32, 2] if centred else [0.0, 0, 0]
    toward, results = torch.randn(5, 9, 3).double(), []
    for function in (unroll, plain):
        ours, x = cell(reset, feedback, centred), values.clone().requires_grad_()
        spikes, rate = function(x, ours, rules, 5)[:2]
        ((spikes * toward).sum() + 7 * rate).backward()
        leaves = {name: leaf for name, leaf in vars(ours).items()
                  if leaf is not None and not (name == "step" and rules.low is None)}
        results.append({"spikes": spikes.detach(), "rate": rate.detach(), "values": x.grad,
                        **{name: leaf.grad for name, leaf in leaves.items()}})
    assert 0.1 < results[0]["rate"] < 0.9
    for name, theirs in results[1].items():
        torch.testing.assert_close({name: results[0][name]}, {name: theirs})


def test_saturation_is_the_share_of_stored_codes_at_a_limit():
    settings = [torch.tensor([float(x)]) for x in (1, 0, 1000, 0, 1, 1, 0)]
    values = torch.tensor([-9.0, -8, -7, 0, 6, 7, 8, 9]).view(1, -1, 1)
    assert unroll(values, Cell(*settings), Rules(-8, 7, True), 2)[2] == 5 / 8
    assert unroll(values, Cell(*settings), Rules(-8, 7, True), 1)[2] == 0
