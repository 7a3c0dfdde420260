"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 1.0,
    "rings": 1.0,
    "units": 0.95,
    "walkers": 0.6,
    "readers": 0.3,
    "loads": 1.0,
    "readout": 1.0,
    "layers": 8.0,
    "tables": 0.5,
    "one": 1100.0,
}
