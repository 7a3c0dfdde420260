"""A spiking module of another library -> one ONNX file with all of its steps, checked on its own
inputs. The work behind `qsnn_models.from_torch`; knows the libraries by name, imports none."""

import contextlib
import copy
import inspect
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qsnn_models.errors import ExportError

SEEN = 4                # random inputs that an export is checked on, beside the example
WRONG = 0.01            # of the answers may differ: onnxruntime adds up in another order
OPSET = 20
EXPORTERS = {"torch.export (dynamo=True)": True, "TorchScript (dynamo=False)": False}
LIBRARIES = ("snntorch", "spikingjelly", "norse", "sinabs")
HIDDEN = ("snntorch", "spikingjelly", "sinabs")     # their layers keep the state in themselves


def export(module: nn.Module, example: Tensor, steps: int, path: str | Path | None = None, *,
           frames: bool = False, loops: bool | None = None) -> Path:
    """What `qsnn_models.from_torch` says."""
    example = _checked(module, example, steps, frames)
    target = Path(path or f"{type(module).__name__.lower()}.onnx")
    plain = _plain_copy(module)
    plan = _plan(plain, example, steps, frames, loops)
    inputs = [example, *_random_like(example)]
    answers = [_run(Steps(_plain_copy(plain), plan), x) for x in inputs]
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _export_by_either(plain, plan, part, inputs, answers)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


# -- what was given -------------------------------------------------------------------------------

def _checked(module: nn.Module, example: Tensor, steps: int, frames: bool) -> Tensor:
    """*example* of batch 1. Raises ExportError."""
    if not isinstance(module, nn.Module):
        raise ExportError(f"module must be a torch.nn.Module, not {module!r}; give the trained net")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ExportError(f"steps must be a whole number from 1 up, not {steps!r}; give the number "
                          "of time steps that the network was trained for")
    if not isinstance(example, Tensor) or example.ndim < (3 if frames else 2):
        shape = "[T, N, ...]" if frames else "[N, ...]"
        got = tuple(example.shape) if isinstance(example, Tensor) else example
        raise ExportError(f"example must be a tensor {shape}, not {got!r}; give what one call "
                          "of the network takes, samples included")
    if frames and len(example) != steps:
        swap = "; its second axis is: give example.transpose(0, 1)"
        raise ExportError(f"example must be [T, N, ...] with T = {steps}, not "
                          f"{tuple(example.shape)!r}{swap if example.shape[1] == steps else ''}")
    return (example[:, :1] if frames else example[:1]).detach().cpu().float()


def _library(layer: nn.Module) -> str:
    """The library that *layer*'s class comes from or inherits from; "" if none of ours."""
    packages = [base.__module__.split(".")[0] for base in type(layer).__mro__]
    return next((name for name in packages if name in LIBRARIES), "")


def _plain_copy(module: nn.Module) -> nn.Module:
    """A copy on the CPU, for inference, that shares nothing with *module*, trained or not."""
    memo: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in _tensors(module)
                            if tensor.grad_fn is not None}
    try:
        copied = copy.deepcopy(module, memo)
    except (RuntimeError, TypeError) as error:
        raise ExportError(f"module must be one that copy.deepcopy copies, not "
                          f"{type(module).__name__!r}: {_line(error)}; reset its state, or build "
                          "it anew and load its state_dict") from error
    return copied.cpu().eval().requires_grad_(False)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Every tensor that an attribute of a layer holds: a state remembers how it came about."""
    for layer in module.modules():
        for value in vars(layer).values():
            inner = list(value.values()) if isinstance(value, dict) else [value]
            yield from (item for item in inner if isinstance(item, Tensor))


# -- one step after the other ---------------------------------------------------------------------

@dataclass(frozen=True)
class Plan:
    """How a module is called. ``loops``: it runs all steps itself; ``repeated``: x is to be given
    T times then; ``axis``: a call takes [N, 1, ...], one step of time; ``given``: the states that
    the first call must be given; ``returned``: the answer's states go into the next call."""

    steps: int
    frames: bool
    loops: bool
    repeated: bool
    axis: bool
    given: int
    returned: bool


class Steps(nn.Module):
    """All steps of *module* from its reset state: [T, 1, ...] or [1, ...] -> spikes [T, 1, ...]."""

    def __init__(self, module: nn.Module, plan: Plan) -> None:
        super().__init__()
        self.module, self.plan = module, plan

    def forward(self, x: Tensor) -> Tensor:
        _reset(self.module)
        plan = self.plan
        if plan.loops:
            whole = torch.stack([x] * plan.steps) if plan.repeated else x
            answer: Tensor = _parts(self.module(whole))[0]
            return answer
        spikes, state = [], (None,) * plan.given
        for step in range(plan.steps):
            out, state = self._step(x[step] if plan.frames else x, state)
            spikes.append(out)
        return torch.stack(spikes)

    def _step(self, x: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        out, *states = _parts(self.module(x.unsqueeze(1) if self.plan.axis else x, *state))
        return (out.squeeze(1) if self.plan.axis else out,
                tuple(states) if self.plan.returned else state)


def _parts(answer: Any) -> tuple[Any, ...]:
    """What a call returned: the spikes, then states or recordings; with lists, the last spikes."""
    parts = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    spikes = parts[0][-1] if isinstance(parts[0], (tuple, list)) else parts[0]
    return (spikes, *parts[1:])


def _reset(module: nn.Module) -> None:
    """Every layer's own state as it is before a first call."""
    for layer in module.modules():
        if _library(layer) == "sinabs":
            _forget(layer)
        elif _resets(layer):
            (layer.reset_mem if hasattr(layer, "reset_mem") else layer.reset)()  # type: ignore


def _forget(layer: nn.Module) -> None:
    """A Sinabs layer without a state: the next call makes one of zeros."""
    if hasattr(layer, "init_state_with_shape"):
        for name, _ in list(layer.named_buffers(recurse=False)):
            setattr(layer, name, torch.zeros(0))


def _resets(layer: nn.Module) -> bool:
    """Whether to reset *layer* by its method. One around a library's layers is passed over: what
    it calls may reach the layers that this is a copy of."""
    around = any(inner is not layer and _library(inner) for inner in layer.modules())
    return not around and any(callable(getattr(layer, name, None))
                              for name in ("reset_mem", "reset"))


def _plan(module: nn.Module, example: Tensor, steps: int, frames: bool, loops: bool | None) -> Plan:
    """How *module* is to be called, by its layers, its signature and one call. It is called on a
    copy. Raises ExportError."""
    layers = list(module.modules())
    sequence = any(_takes_sequences(layer) for layer in layers)
    axis = any(_library(layer) == "sinabs" and hasattr(layer, "init_state_with_shape")
               and not hasattr(layer, "num_timesteps") for layer in layers)
    states = _states(module)
    given = sum(kind.default is inspect.Parameter.empty for kind in states)
    plan = Plan(steps, frames, bool(loops or sequence), sequence and not frames, axis, given, False)
    for layer in layers:
        if _library(layer) == "sinabs" and hasattr(layer, "num_timesteps"):
            layer.batch_size, layer.num_timesteps = 1, -1  # type: ignore[assignment]
    return plan if plan.loops else _probed(module, example, plan, bool(states), loops is None)


def _takes_sequences(layer: nn.Module) -> bool:
    """SpikingJelly in its multi-step mode, and Norse's layers with time."""
    norse = _library(layer) == "norse" and any(base.__name__ in ("SNN", "SNNRecurrent")
                                               for base in type(layer).__mro__)
    return norse or getattr(layer, "step_mode", "s") == "m"


def _states(module: nn.Module) -> list[inspect.Parameter]:
    """The arguments of forward after the first: states."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    return [argument for argument in parameters if argument.kind in kinds][1:]


def _probed(module: nn.Module, example: Tensor, plan: Plan, takes: bool, ask: bool) -> Plan:
    """The rest of the plan, by what one call answers. Raises ExportError."""
    trial = Steps(_plain_copy(module), plan)
    _reset(trial.module)
    x = example[0] if plan.frames else example
    with torch.no_grad(), _understood("module must take the example"):
        out, *states = _parts(trial.module(x.unsqueeze(1) if plan.axis else x,
                                           *(None,) * plan.given))
    if ask and not plan.frames and plan.steps > 1 and len(out) == plan.steps:
        return Plan(plan.steps, False, True, False, False, 0, False)
    if len(out) != 1:
        raise ExportError(f"module must answer one call with [1, ...], or [{plan.steps}, 1, ...] "
                          f"when it runs its steps itself, not {tuple(out.shape)!r}; give the "
                          "steps that it runs, or a module of one step")
    returned = takes and bool(states)
    _must_carry(module, returned)
    return Plan(plan.steps, plan.frames, False, False, plan.axis, plan.given, returned)


def _must_carry(module: nn.Module, returned: bool) -> None:
    """Raises ExportError where nothing is known to carry a state from call to call."""
    layers = list(module.modules())
    if not returned and not any(_library(layer) in HIDDEN or _resets(layer) for layer in layers):
        raise ExportError(
            f"module must carry a state from step to step, not {type(module).__name__!r} which "
            f"does not as far as can be seen; use layers of {', '.join(LIBRARIES)}, give it "
            "reset(), or forward(x, state=None) that returns (spikes, state)")


# -- export and check -----------------------------------------------------------------------------

def _export_by_either(module: nn.Module, plan: Plan, path: Path, inputs: list[Tensor],
                      answers: list[Tensor]) -> None:
    """By the first exporter whose file answers as the module. Raises ExportError."""
    failed = []
    for name, dynamo in EXPORTERS.items():
        try:
            _torch_export(Steps(_plain_copy(module), plan), inputs[0], path, dynamo)
            wrong = _wrong(path, inputs, answers)
        except Exception as error:  # noqa: BLE001 exporters raise anything, and all of it is told
            failed.append(f"{name}: {type(error).__name__}: {_line(error)}")
            continue
        if wrong <= WRONG:
            return
        failed.append(f"{name}: {wrong:.1%} of the file's answers are not the module's")
    raise ExportError("module must be one that a torch exporter writes faithfully, not "
                      f"{type(module).__name__!r}; " + "; ".join(failed) + "; export the network "
                      "without what is named, or take torch >= 2.9 with onnxscript")


def _torch_export(steps: Steps, x: Tensor, path: Path, dynamo: bool) -> None:
    """One file with the weights inside; the exporters' talk is dropped."""
    extra: dict[str, Any] = {"external_data": False} if dynamo else {}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()),
              contextlib.redirect_stderr(io.StringIO())):
            warnings.simplefilter("ignore")
            torch.onnx.export(steps, (x,), str(path), input_names=["x"], output_names=["spk"],
                              dynamo=dynamo, opset_version=OPSET, **extra)
    finally:
        logging.disable(before)
    _strip(path)


def _strip(path: Path) -> None:
    """Without the exporter's notes on each node: where on this machine its code stands."""
    model = onnx.load(str(path))
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input,
                 *model.graph.output, *model.graph.initializer, model.graph):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    path.write_bytes(model.SerializeToString(deterministic=True))


def _run(steps: Steps, x: Tensor) -> Tensor:
    with torch.no_grad(), _understood("module must run its steps"):
        answer = steps(x)
    if not isinstance(answer, Tensor) or answer.ndim < 2 or answer.shape[0] != steps.plan.steps:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ExportError(f"module must answer [{steps.plan.steps}, 1, ...], not {shape!r}; let it "
                          "run as many steps as steps says, and return the spikes first")
    return answer


@contextlib.contextmanager
def _understood(what: str) -> Iterator[None]:
    """Errors of the module's own code as ExportError."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ExportError(f"{what}, not raise {type(error).__name__}: {_line(error)}; example is "
                          "what one call takes, frames=True says [T, N, ...]") from error


def _wrong(path: Path, inputs: list[Tensor], answers: list[Tensor]) -> float:
    """The share of the file's answers that are not the module's; 1 for other shapes."""
    execute = _runtime(path)
    made = [execute(x.numpy()) for x in inputs]
    if any(got.shape != tuple(want.shape) for got, want in zip(made, answers, strict=True)):
        return 1.0
    pairs = zip(made, answers, strict=True)
    return float(np.mean([~np.isclose(got, want.numpy(), rtol=1e-3, atol=1e-4)
                          for got, want in pairs]))


def _runtime(path: Path) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """onnxruntime, or the reference of the onnx package."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator
        reference: Any = ReferenceEvaluator(str(path))
        return lambda x: np.asarray(reference.run(None, {"x": x})[0])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(session.run(None, {"x": x})[0])


def _random_like(example: Tensor) -> Iterator[Tensor]:
    """Inputs of the same kind: uniform over the example's range."""
    low, high = float(example.min()), float(example.max())
    chance = torch.Generator().manual_seed(0)
    for _ in range(SEEN):
        yield low + (max(high, low + 1.0) - low) * torch.rand(example.shape, generator=chance)


def _line(error: BaseException) -> str:
    """The first line of what *error* says that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
