"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 0.8466,
    "rings": 0.0,
    "units": 1.1077,
    "walkers": 0.0,
    "readers": 1.6715,
    "loads": 0.0,
    "readout": 0.0,
    "layers": 165.3941,
    "tables": 1.3383,
    "one": 156.0321,
}
