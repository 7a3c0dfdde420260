"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 0.8135,
    "units": 0.9726,
    "readout": 0.0,
    "control": 1.8879,
    "passes": 188.8302,
    "tables": 0.6291,
    "one": 309.8949,
}
