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
    with pytest.raises(ModelsError, match="augment must be words of shiftK, cropK, flip, cutoutK, "
                                          r"mixupK, timeK, bandK, gainK \(K may be left out\), "
                                          f"joined by \\+, not '{text[:5]}"):
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


def test_a_padded_crop_is_a_shift():
    x = np.random.default_rng(0).integers(0, 256, (20, 3, 9, 9), np.uint8)
    assert np.array_equal(moved("crop", x), moved("shift4", x))
    assert np.array_equal(moved("crop2", x), moved("shift2", x))


@pytest.mark.parametrize("shape, frames", [
    ((3, 9, 9), False), ((81,), False), ((4, 2, 9, 9), True)])
def test_a_square_is_cut_out_of_every_image_its_own(shape, frames):
    y = moved("cutout3", np.full((400, *shape), 7, np.uint8), frames).reshape(400, -1, 9, 9)
    holes = y == 0
    assert set(np.unique(y)) == {0, 7} and (holes == holes[:, :1]).all()
    sizes = holes[:, 0].sum((1, 2))
    assert sizes.max() == 9 and sizes.min() == 4                # at a corner, two rows by two
    assert (holes.any(1).mean(0) > 0).all()                     # anywhere


def test_gain_is_around_the_code_of_zero():
    ground = augment.Ground(torch.tensor([100.0, 0.0]), 255, True)
    x = torch.tensor([200, 100], dtype=torch.uint8).repeat(500, 6, 1)
    torch.manual_seed(0)
    y = augment.apply(augment.parse("gain20"), x, True, ground)
    first, second = y[:, 0, 0].float(), y[:, 0, 1].float()
    assert y.dtype == torch.uint8 and (y == y[:, :1]).all()
    assert 180 <= first.min() <= 182 and 218 <= first.max() <= 220
    assert 80 <= second.min() <= 82 and 118 <= second.max() <= 120
    assert ((first - 100 - second).abs() <= 1).all()            # one gain a sample
    assert augment.apply(augment.parse("gain99"), x * 0 + 255, True, ground).max() == 255


def test_what_moves_into_real_numbers_is_the_edge():
    ground = augment.Ground(torch.zeros(1), 255, True)
    x = torch.arange(100, 112).view(1, 12, 1).repeat(50, 1, 1)
    torch.manual_seed(0)
    y = augment.apply(augment.parse("time3"), x, True, ground)
    assert (y.min() == 100) and (y.max() == 111) and (y.diff(dim=1) >= 0).all()


def test_the_ground_is_the_network_s():
    network = replace(NETWORK, layers="2-8-4", input_takes="reals", input_scale=(1.0, 2.0),
                      input_zero_point=(-500, 30))
    ground = augment.Ground.of(network.entry, torch.device("cpu"))
    assert ground.zero.tolist() == [0, 30] and ground.real and ground.top == 255


def test_mixup_mixes_samples_and_labels_by_one_share():
    assert augment.mixing("flip+mixup") == 0.2 and augment.mixing("mixup10") == 1.0
    assert augment.mixing("flip") == 0 and augment.parse("mixup+flip") == augment.parse("flip")
    x, y = torch.arange(0, 256, 8)[:, None].float(), torch.arange(32)
    torch.manual_seed(0)
    shares = []
    for _ in range(20):
        mixed, wanted = augment.mixed(1.0, x, y)
        shares.append(wanted.share)
        expected = wanted.share * x + (1 - wanted.share) * x[wanted.other]
        assert (mixed - expected).abs().max() <= 0.5 and (mixed == mixed.round()).all()
        assert sorted(wanted.other.tolist()) == y.tolist()
    assert 0 < min(shares) < 0.3 and 0.7 < max(shares) < 1


def test_every_word_trains(tmp_path):
    """And what was trained resumes: the draws are in the checkpoint's random state."""
    config = replace(CONFIG, epochs=2, augment="crop1+cutout2+gain5+mixup4")
    whole = train(NETWORK, config, X, Y, folder=tmp_path)
    assert all(torch.isfinite(values).all() for values in whole.parameters())
    again = train(NETWORK, config, X, Y)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(),
                                                 strict=True))
