import importlib.util
import io
from pathlib import Path

import pytest
from rich.console import Console

EXAMPLE = Path(__file__).parents[1] / "examples" / "demo.py"
REPORT = {"target": "ice40", "lanes": 64, "clock_mhz": 34.5, "bitstream_fmax_mhz": 36.26,
          "resources": {"lc": 4321, "ebr": 20, "spram": 4, "dsp": 2}}
SIM = {"samples": 1000, "accuracy": 0.891, "sops": 147299.4, "utilisation": 0.87,
       "clocks": {"min": 2500, "median": 2950.5, "p99": 3100, "max": 3200, "worst_case": 5000},
       "latency_us": {"median": 98.35, "worst_case": 166.7},
       "energy_nj": {"total": 1000.0, "low": 500.0, "high": 2000.0}}
VERIFY = {"samples": 20, "spike_mismatches": 0, "result_mismatches": 0, "clock_mismatches": 0}


@pytest.fixture
def demo():
    spec = importlib.util.spec_from_file_location("demo", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(table):
    console = Console(width=100, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_summary_says_everything_once(demo):
    text = printed(demo.summary(REPORT, SIM, VERIFY))
    for wanted in ("89.1% of 1,000 test images", "median 2,950, p99 3,100", "worst case 5,000",
                   "median 98 µs", "1.0 µJ (a model: 0.5 to 2.0 µJ)", "4,321 logic cells",
                   "147,299 synaptic operations an image, 87.0% of",
                   "20 block RAMs, 4 SPRAMs", "34.5 MHz, where the placed design reaches 36.3",
                   "equals the golden model on 20"):
        assert wanted in text


def test_summary_says_what_differs(demo):
    text = printed(demo.summary(REPORT, SIM, VERIFY | {"clock_mismatches": 3}))
    assert "differs from the golden model: 3 clock mismatches" in text
