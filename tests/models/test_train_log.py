"""What is seen of a training: bar, lines, warnings, TensorBoard's log."""

import builtins
import io

import pytest
import torch
from rich.console import Console

from qsnn_models.training.loop import Batch, Epoch
from qsnn_models.training.progress import TrainingProgress, warnings_of
from qsnn_models.training.tensorboard_log import BoardLog, scalars


def epoch(rates, saturation, number=1, name="tiny", holdout=0.75):
    return Epoch(number, 0.5, 0.875, rates, saturation, holdout, name, 0.86)


@pytest.mark.parametrize("rate, limit, said", (
    (0.004, 0.0, "layer 2 is silent: it fires at 0.4% of the steps; raise target_rate or "
                 "rate_weight, or lower learning_rate"),
    (0.96, 0.9, "layer 2 is saturated: it fires at 96.0% of the steps; lower target_rate, or "
                "raise rate_weight"),
    (0.3, 0.51, "layer 2 is saturated: 51.0% of its stored membranes are at a limit; give them "
                "more membrane_bits"),
))
def test_one_line_for_a_layer_that_is_silent_or_saturated(rate, limit, said):
    assert warnings_of(epoch((0.2, rate, 0.2), (0.1, limit, 0.1))) == [said]


def test_no_warning_at_the_bounds():
    assert warnings_of(epoch((0.005, 0.95), (0.5, 0.0))) == []


def batch(share, name="tiny"):
    return Batch(name, share, torch.tensor(0.5), torch.tensor(0.875), torch.tensor([0.25, 0.125]),
                 torch.tensor([0.0625, 0.5]))


def shown(terminal):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=200, color_system=None,
                      legacy_windows=False)
    with TrainingProgress(console, "tiny", 4, 1) as progress:
        progress.tick(batch(1.0))
        progress.report(epoch((0.25, 0.001), (0.0625, 0.5), 2))
    return text.getvalue()


def test_the_bar_shows_accuracy_rates_and_saturation_of_each_layer():
    assert "loss 0.500 accuracy 87.5% rate 25.0% 12.5% at limit 6.2% 50.0%" in shown(True)


def test_without_a_terminal_a_line_an_epoch():
    assert shown(False) == (
        "epoch   2/4  accuracy 87.50%  in evaluation 86.00%  held out 75.00%  "
        "loss 0.5000  rate 25.0% 0.1%  at limit 6.2% 50.0%\n"
        "  layer 2 is silent: it fires at 0.1% of the steps; raise target_rate or "
        "rate_weight, or lower learning_rate\n")


def test_tensorboard_reads_the_log_and_a_resume_replaces_what_it_repeats(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    for done, numbers in ((0, (1, 2, 3)), (1, (2, 3))):
        with BoardLog(tmp_path, "[network]\n", done) as log:
            for number in numbers:
                log.report(epoch((0.25, 0.5), (0.0, 1.0), number))
    events_read = EventAccumulator(str(tmp_path / "tiny"))
    events_read.Reload()
    assert set(events_read.Tags()["scalars"]) == set(scalars(epoch((0.25, 0.5), (0.0, 1.0))))
    points = events_read.Scalars("accuracy/held_out")
    assert [(point.step, point.value) for point in points] == [(1, 0.75), (2, 0.75), (3, 0.75)]
    assert events_read.Scalars("firing_rate/layer2")[0].value == 0.5


def test_a_log_needs_tensorboard(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *rest)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError):
        BoardLog(tmp_path, "")
