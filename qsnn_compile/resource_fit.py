"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 1.0,
    "units": 1.0,
    "readout": 1.0,
    "control": 1.0,
    "passes": 10.0,
    "tables": 1.0,
    "one": 250.0,
}
