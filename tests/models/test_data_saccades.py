"""The simulated camera: against a naive one, and against the genuine recordings."""

import math
from pathlib import Path

import numpy as np
import pytest

from qsnn_models import data
from qsnn_models.data import images, nmnist, saccades
from qsnn_models.data.events import Frames, frames
from qsnn_models.data.saccades import Camera, counts
from qsnn_models.errors import DataError

MEAN_EVENTS = 4133              # of the 1,000 genuine recordings


@pytest.fixture(scope="module")
def mnist():
    try:
        return data.load("mnist")
    except DataError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        try:
            return nmnist.subset()
        except DataError as missing:
            pytest.skip(str(missing))


def naive(image, steps, camera):
    """One image, pixel by pixel, look by look: events [T, 2, 34, 34]."""
    path = camera.path(max(camera.looks, steps))
    seen = np.zeros((steps, 2, 34, 34), int)

    def value(row, column):
        inside = 0 <= row < 28 and 0 <= column < 28
        return image[row, column] / 255 if inside else 0.0

    def level(row, column, corner):
        x, y = column - corner[0], row - corner[1]
        left, top = math.floor(x), math.floor(y)
        across, down = x - left, y - top
        seen = ((1 - down) * ((1 - across) * value(top, left) + across * value(top, left + 1))
                + down * ((1 - across) * value(top + 1, left) + across * value(top + 1, left + 1)))
        return math.log(seen + camera.floor)

    for row in range(34):
        for column in range(34):
            reported = level(row, column, path[0])
            for look, corner in enumerate(path[1:]):
                change = math.trunc((level(row, column, corner) - reported) / camera.threshold)
                reported += change * camera.threshold
                step = look * steps // (len(path) - 1)
                seen[step, int(change < 0), row, column] += abs(change)
    return seen


def test_a_naive_camera_sees_the_same():
    image = np.zeros((28, 28), np.uint8)
    image[5:20, 9:14] = np.random.default_rng(0).integers(100, 256, (15, 5))
    camera = Camera(looks=30)
    (events,) = counts(image.reshape(1, 784), 6, camera)
    wanted = naive(image, 6, camera)
    assert wanted.sum() > 1000
    assert np.abs(events[0] - wanted).sum() <= 4       # a level on the edge falls either way


def test_the_leading_edge_is_brighter():
    """A white square goes down during the first saccade: brighter below, darker above."""
    image = np.zeros((28, 28), np.uint8)
    image[10:18, 10:18] = 255
    (events,) = counts(image.reshape(1, 784), 3, Camera())
    rows = events[0, 0].sum(2) @ np.arange(34) / events[0, 0].sum((1, 2))
    assert rows[0] > rows[1] + 5


def test_darkness_and_even_light_send_nothing():
    for events in counts(np.zeros((2, 784), np.uint8), 2):
        assert not events.any()


def test_more_bins_than_looks_still_cover_everything():
    image = np.random.default_rng(0).integers(0, 256, (1, 784)).astype(np.uint8)
    (events,) = counts(image, 200, Camera(looks=50))
    busy = events.sum((0, 2, 3, 4)) > 0
    assert busy[10:50].all() and busy[85:110].all() and busy[150:180].all()


def test_jitter_is_another_camera_for_every_block_and_repeats_by_seed():
    image = np.random.default_rng(1).integers(0, 256, (1, 784)).astype(np.uint8)
    images = np.repeat(image, 128, 0)

    def both(seed):
        return list(counts(images, 2, Camera(jitter=0.2), seed))
    first, second = both(0)
    assert (first[0] == first[63]).all() and (first[0] != second[0]).any()
    assert (both(0)[1] == second).all() and (both(1)[1] != second).any()


@pytest.mark.parametrize("options, message", [
    ({"threshold": 0}, "the camera's threshold must be above 0, not 0"),
    ({"looks": -1}, "the camera's looks must be above 0, not -1"),
    ({"jitter": 2}, "the camera's jitter must be within 0 and 1, not 2"),
])
def test_a_camera_that_makes_no_sense(options, message):
    with pytest.raises(DataError, match=message):
        Camera(**options)


# -- the data sets made with it -------------------------------------------------------------------

@pytest.fixture
def home(mnist, monkeypatch, tmp_path):
    """A cache of this test's own, and MNIST without reading it again."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(images, "load_idx", lambda name, folder: mnist)


def test_mnist_saccades(mnist, home):
    dataset = data.load("mnist-saccades", steps=4, bits=2, train=70, test=10)
    assert dataset.train_x.shape == (70, 4, 2, 17, 17)
    assert dataset.test_x.shape == (10, 4, 2, 17, 17)
    assert dataset.train_x.max() == 3 and dataset.bits == 2 and dataset.shape == (2, 17, 17)
    assert (dataset.test_y == mnist.test_y[:10]).all()
    (raw,) = counts(mnist.test_x[:10], 4)
    pooled = raw.reshape(10, 4, 2, 17, 2, 17, 2).sum((4, 6))
    assert (dataset.test_x == np.minimum(pooled, 3)).all()
    again = data.load("mnist-saccades", steps=4, bits=2, train=70, test=10)
    assert (again.train_x == dataset.train_x).all()
    assert len(list((Path.home() / ".cache/qsnn/decoded").iterdir())) == 2


def test_images_left_out(mnist, home):
    whole = data.load("mnist-saccades?train=70&test=2")
    dataset = data.load("mnist-saccades?train=6&test=2&skip=64")
    assert (dataset.train_x == whole.train_x[64:]).all() and (dataset.test_x == whole.test_x).all()
    assert (dataset.train_y == mnist.train_y[64:70]).all()


@pytest.mark.parametrize("options, message", [
    ({"train": 60_001}, "train must be within 1 and 60000, not 60001"),
    ({"skip": 1000}, "train must be within 1 and 59000, not 60000"),
    ({"skip": -1}, "skip must be within 0 and 59999, not -1"),
    ({"test": 0}, "test must be within 1 and 10000, not 0"),
])
def test_more_images_than_there_are(home, options, message):
    with pytest.raises(DataError, match=message):
        data.load("mnist-saccades", **options)


def test_simulated_samples_show_no_recorded_digit(mnist, genuine, home, monkeypatch):
    """The subset's recordings are of MNIST's first 1,000 training digits."""
    monkeypatch.setattr(nmnist, "subset", lambda folder: genuine)
    seen = []

    def convert(x, form, camera, seed):
        seen.append(x)
        return np.full((len(x), form.steps, 2, 34, 34), 7, np.uint8)
    monkeypatch.setattr(nmnist, "convert", convert)
    dataset = data.load("nmnist-subset:2", simulated=500, steps=2)
    recorded = {image.tobytes() for image in mnist.train_x[:1000]}
    assert len(seen[0]) == 500 and not recorded & {image.tobytes() for image in seen[0]}
    assert (dataset.train_x[:500] == 7).all() and dataset.train_x[500:].max() == 1
    assert len(dataset.train_x) == len(dataset.train_y) == 1300 and len(dataset.test_x) == 200
    with pytest.raises(DataError, match="simulated must be within 0 and 59000, not 59001"):
        data.load("nmnist-subset:2", simulated=59_001)


# -- against the genuine recordings ---------------------------------------------------------------

def test_the_recordings_are_of_mnists_first_thousand_digits(mnist, genuine):
    _, labels = genuine
    assert (labels == mnist.train_y[:1000]).all()


def test_events_are_as_many_and_where_the_genuine_ones_are(mnist, genuine):
    events, _ = genuine
    assert len(events.t) // 1000 == MEAN_EVENTS
    simulated = np.concatenate(list(counts(mnist.train_x[:192], 9)))
    assert simulated.sum() / 192 == pytest.approx(MEAN_EVENTS, rel=0.1)
    recorded = frames(events, Frames(9, 8), saccades.MICROSECONDS)[:192]
    assert agreement(simulated, recorded) > 0.78
    assert agreement(simulated[:, :, ::-1], recorded) < 0.2


def agreement(a, b):
    """Mean correlation of each sample's two sets of counts."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(a, b, strict=True)]))


def test_a_linear_classifier_of_simulated_events_reads_genuine_ones(mnist, genuine):
    """And falls to nearly nothing when the sign of the events is wrong."""
    events, labels = genuine
    form = Frames(steps=10)
    chosen = slice(1000, 2500)      # no digit that was recorded
    simulated = np.concatenate([form.clip(block) for block in
                                counts(mnist.train_x[chosen], form.steps)])
    recorded = frames(events, form, saccades.MICROSECONDS)
    weights = ridge(flat(simulated), mnist.train_y[chosen])
    assert (classes(recorded, weights) == labels).mean() >= 0.85
    assert (classes(recorded[:, :, ::-1], weights) == labels).mean() < 0.45


def flat(x):
    return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], 1).astype(np.float32)


def ridge(x, y, penalty=100.0):
    """Least squares with a penalty, by the samples' inner products: they are fewer."""
    wanted = 2 * np.eye(10, dtype=np.float32)[y] - 1
    return x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x), dtype=np.float32), wanted)


def classes(x, weights):
    return (flat(x) @ weights).argmax(1)
