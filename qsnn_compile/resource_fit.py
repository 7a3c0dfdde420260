"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 0.8553,
    "units": 0.9146,
    "readout": 0.0,
    "control": 2.044,
    "passes": 138.7739,
    "tables": 0.8605,
    "one": 249.3932,
}
