from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import CONFIG, NETWORK, X, Y

from qsnn_models.errors import ModelsError
from qsnn_models.training import augment
from qsnn_models.training.train import train


def moved(text, x, frames=False, seed=0):
    torch.manual_seed(seed)
    return augment.apply(augment.parse(text), torch.from_numpy(x), frames).numpy()


def places(shape, at):
    """300 samples of zeros, and one 9 each."""
    x = np.zeros((300, *shape), np.uint8)
    x[:, *at] = 9
    return x


@pytest.mark.parametrize("reach, word", ((1, "shift"), (1, "shift1"), (2, "shift2")))
@pytest.mark.parametrize("shape", ((49,), (1, 7, 7), (3, 7, 7)))
def test_images_move_by_up_to_the_reach_each_by_its_own(reach, word, shape):
    flat = len(shape) == 1
    y = moved(word, places(shape, (24,) if flat else (0, 3, 3)))
    at = np.argwhere(y.reshape(300, -1, 7, 7)[:, 0] == 9)[:, 1:] - 3
    wanted = {(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)}
    assert y.dtype == np.uint8 and y.shape == (300, *shape) and y.sum() == 9 * 300
    assert set(map(tuple, at)) == wanted


def test_zeros_come_in_from_outside():
    y = moved("shift1", np.full((50, 1, 5, 5), 7, np.uint8))
    assert (y[:, 0, 1:-1, 1:-1] == 7).all() and set(np.unique(y)) == {0, 7}
    assert (y == 7).all((1, 2, 3)).any()


def test_half_of_the_images_are_flipped_whole():
    x = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4).repeat(200, 0)
    y = moved("flip", x)
    flipped = (y == x[..., ::-1]).all((1, 2, 3))
    assert ((y == x).all((1, 2, 3)) | flipped).all() and 70 < flipped.sum() < 130


def test_a_sample_s_frames_move_together():
    y = moved("shift2+flip", places((4, 1, 9, 9), (slice(None), 0, 4, 4)), frames=True)
    assert (y == y[:, :1]).all() and y.sum() == 9 * 4 * 300
    flat = moved("shift2", places((4, 81), (slice(None), 40)), frames=True)
    assert (flat == flat[:, :1]).all() and flat.sum() == 9 * 4 * 300


@pytest.mark.parametrize("word, steps, bands", (
    ("time+band", 2, 1), ("time3", 3, 0), ("band5", 0, 5)))
def test_frames_move_in_time_and_over_bands(word, steps, bands):
    y = moved(word, places((20, 20), (10, 10)), frames=True)
    at = np.argwhere(y == 9)[:, 1:] - 10
    assert y.sum() == 9 * 300
    assert np.abs(at).max(0).tolist() == [steps, bands] and at.min(0).tolist() == [-steps, -bands]


def test_the_seed_decides():
    x = np.random.default_rng(0).integers(0, 255, (20, 49)).astype(np.uint8)
    assert np.array_equal(moved("shift2+flip", x), moved("shift2+flip", x))
    assert not np.array_equal(moved("shift2+flip", x), moved("shift2+flip", x, seed=1))
    assert np.array_equal(moved("", x), x)


@pytest.mark.parametrize("text", ("rotate", "shift0", "shift+", "flip2", "shift 1"))
def test_unknown_words_are_refused(text):
    with pytest.raises(ModelsError, match="augment must be words of shift, shiftK, flip, time, "
                                          f"timeK, band, bandK, joined by \\+, not '{text[:5]}"):
        augment.parse(text)


@pytest.mark.parametrize("text, shape, frames, message", (
    ("time", (49,), False, r"augment 'time' must have frames \[N, T, C\], not inputs of \(49,\); "
                           "use shift or flip"),
    ("shift", (48,), False, r"must have images \[.., H, W\] or flat squares for shift and flip, "
                            r"not inputs of \(48,\)"),
))
def test_inputs_without_such_axes_are_refused(text, shape, frames, message):
    with pytest.raises(ModelsError, match=message):
        moved(text, np.zeros((2, *shape), np.uint8), frames)


def test_training_sees_moved_batches():
    losses, short = [], replace(CONFIG, epochs=1)
    for text in ("", "shift2"):
        train(NETWORK, replace(short, augment=text), X, Y,
              report=lambda epoch: losses.append(epoch.loss))
    assert losses[0] != losses[1]
    frames = (np.random.default_rng(0).random((64, 4, 16)) < 0.3).astype(np.uint8)
    spiking = replace(NETWORK, coding="spikes", input_bits=1)
    train(spiking, replace(short, augment="time+band"), frames, Y[:64])
