"""A worker of a pool: one process that keeps the evaluator it has built."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from nas.cluster.batches import Answer, Kind
from nas.errors import NasError, UsageError
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.population.malloc import keep_freed_memory
from nas.evaluation.totals import Totals
from nas.search_spaces import Architecture


@runtime_checkable
class Counted(Protocol):
    """An evaluator that says what it has done."""

    @property
    def totals(self) -> Totals:
        """Sums over all calls."""
        ...


class Worker:
    """The actor; errors leave it as values, because not every error survives pickling.

    Args:
        build: Makes the evaluator.
        arguments: Its keyword arguments, in the object store.
        threads: For torch.
    """

    def __init__(self, build: Callable[..., Evaluator], arguments: Mapping[str, Any], threads: int) -> None:
        self._build, self._arguments, self._threads = build, arguments, threads
        self._evaluator: Evaluator | None = None

    def arrive(self) -> Answer:
        """Answers as soon as the process runs."""
        keep_freed_memory()
        return Answer("done")

    def prepare(self) -> Answer:
        """Build the evaluator."""
        import ray

        try:
            self._limit_threads()
            names = list(self._arguments)
            values = ray.get([self._arguments[name] for name in names])
            self._evaluator = self._build(**dict(zip(names, values, strict=True)))
            self._limit_threads()
        except Exception as error:  # whatever it is, the driver decides
            return _answer_of(error)
        return Answer("done")

    def evaluate(self, archs: Sequence[Architecture]) -> Answer:
        """Outcomes in the order of `archs`, or what went wrong."""
        assert self._evaluator is not None
        try:
            before = _totals(self._evaluator)
            outcomes = list(self._evaluator.evaluate(archs))
            added = _totals(self._evaluator) - before
            if len(outcomes) != len(archs):
                raise RuntimeError(f"the evaluator gave {len(outcomes)} outcomes for {len(archs)} architectures")
        except Exception as error:  # whatever it is, the driver decides
            failed = _answer_of(error)
        else:
            return Answer("done", outcomes=outcomes, totals=added)
        if failed.kind == "memory":  # what it remembers is part of the trouble, and may be half changed
            self._evaluator = None
            _return_freed_memory()
            again = self.prepare()
            return failed if again.kind == "done" else replace(again, kind="lost")
        return failed

    def _limit_threads(self) -> None:
        if "torch" in sys.modules:  # an evaluator that does without it need not load it
            import torch

            torch.set_num_threads(self._threads)


def _answer_of(error: Exception) -> Answer:
    kind = _kind(error)
    if kind == "broken":
        return Answer(kind, "".join(traceback.format_exception(error)).rstrip())
    text = next((line for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
    return Answer(kind, f"out of memory: {text}" if kind == "memory" else text)


def _kind(error: Exception) -> Kind:
    if isinstance(error, UsageError):
        return "usage"
    if isinstance(error, NasError):
        return "refused"
    if isinstance(error, MemoryError):
        return "memory"
    import torch

    # On the CPU torch has no class of its own for it.
    if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
        return "memory"
    return "lost" if isinstance(error, torch.AcceleratorError) else "broken"


def _return_freed_memory() -> None:
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()


def _totals(evaluator: Evaluator) -> Totals:
    return evaluator.totals if isinstance(evaluator, Counted) else Totals()
