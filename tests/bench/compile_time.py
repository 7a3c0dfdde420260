"""How long qsnnc takes for each network of the zoo, start of Python included::

    python tests/bench/compile_time.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    print("| model | seconds |\n| --- | ---: |")
    for model in sorted(Path("models/zoo").glob("*.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "qsnn_compile.cli.qsnnc", model,
                            "-o", f"{folder}/build", "--json", "/dev/null"],
                           check=True, capture_output=True)
            print(f"| {model.stem} | {time.perf_counter() - start:.2f} |", flush=True)


if __name__ == "__main__":
    main()
