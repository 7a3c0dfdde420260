"""Weights of the resource model. Written by tests/bench/fit_resources.py."""

WEIGHTS = {
    "lanes": 1.0469,
    "rings": 0.0,
    "units": 0.8735,
    "walkers": 2.6856,
    "readers": 0.8386,
    "loads": 0.0,
    "readout": 1.629,
    "layers": 48.2662,
    "tables": 0.7337,
    "one": 264.9549,
}
