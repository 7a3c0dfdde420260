import sys
from pathlib import Path

# core_graphs: the compiler's random networks; cores: those on machines
sys.path[:0] = [str(Path(__file__).parents[1] / "compile"), str(Path(__file__).parent)]
