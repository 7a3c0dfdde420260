"""Synthetic gestures of a sensor of six channels, gravity on the third: codes with an offset."""

import numpy as np

STEPS, CLASSES = 32, 5


def gestures(count, seed):
    """Codes ``[count, 32, 6]`` of 8 bits for -3 g to 4 g, and which gesture each is."""
    rng, t = np.random.default_rng(seed), np.arange(STEPS) / STEPS
    y = rng.integers(0, CLASSES, count)
    x = np.zeros((count, STEPS, 6))
    for sample, label in zip(x, y, strict=True):
        size, phase, pace = rng.uniform((0.6, -0.4, 0.8), (1.4, 0.4, 1.2))
        for channel, values in _moves(label, size, phase, pace, t).items():
            sample[:, channel] = values
    x += rng.normal(0, 0.35, x.shape)
    x[:, :, 2] += 1
    return np.clip(np.round((x + 3) / 7 * 255), 0, 255).astype(np.uint8), y


def _moves(label, size, phase, pace, t):
    def wave(times, more=0.0):
        return size * np.sin(2 * np.pi * pace * times * t + phase + more)
    if label < 2:                                   # shaken along x, along y
        return {label: wave(2), 5 - 2 * label: wave(2, 1)}
    if label < 4:                                   # circles, either way
        way = 5 - 2 * label
        return {0: wave(1), 1: wave(1, way * np.pi / 2), 5: way * size}
    return {2: size * np.exp(-((t - 0.5 - phase / 4) / 0.06) ** 2)}     # a tap
