"""Every error a user can cause, one class each, one line each.

NasError
├── UsageError          wrong use: the command line exits with 2
│   ├── UnknownName     a name that is not in a registry; carries the nearest valid one
│   └── MissingPackage  an optional package that is not installed; carries its install command
├── InfeasibleBudget    no architecture meets the constraints; names the smallest reachable value
├── DataError           a data set that is missing, corrupt or not of the promised form
├── CheckpointError     a checkpoint that is missing, truncated or foreign
├── WriteError          a file that cannot be written; names it
├── Diverged            a loss that is not finite
├── ClusterError        a Ray cluster that does not answer or does not start
├── WorkersLost         worker processes that die again and again
├── ExportError         an exported network that does not reproduce the supernet
├── ContractError       a space, searcher or supernet that breaks a promise of its contract
├── PluginError         a plug-in of another distribution that cannot be loaded or is of another kind
└── StudyError          a ledger that is locked by another driver or belongs to another search
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal


class NasError(Exception):
    """Root of all errors that a user can cause; its text is one line that says what to do.

    Every subclass travels between processes, whatever arguments it takes.
    """

    def __reduce__(self) -> tuple[Callable[..., NasError], tuple[type[NasError], tuple[Any, ...], dict[str, Any]]]:
        return _restored, (type(self), self.args, vars(self))


def _restored(cls: type[NasError], args: tuple[Any, ...], attributes: dict[str, Any]) -> NasError:
    """The error with this text and these attributes; its own `__init__` would want what the text was made of."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class UsageError(NasError):
    """The request itself is wrong."""


LISTED = 12  # names at most that fit one line


class UnknownName(UsageError):
    """A name that no registry holds.

    Args:
        kind: What was asked for, such as "space".
        name: The name that was given.
        known: The valid names.
        advice: What else to do, a sentence without its full stop.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, advice: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        others = f" Known: {', '.join(names)}" if 0 < len(names) <= LISTED else ""
        if len(names) > LISTED and not close:
            others = f" Known: {', '.join(names[:LISTED])} and {len(names) - LISTED} more"
        more = f"{'.' if others else ''} {advice}" if advice else ""
        super().__init__(f"unknown {kind} {name!r}.{hint}{others}{more}")


class MissingPackage(UsageError):
    """An optional package is not installed.

    Args:
        purpose: What it is needed for, to begin the message with.
        package: Its name.
        extra: The extra of this distribution that brings it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        self.package = package
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'elastic-nas[{extra}]'")


class InfeasibleBudget(NasError):
    """No architecture of the space meets the constraints.

    Args:
        metric: The metric whose bound cannot be met, such as "macs".
        bound: The bound that was asked for.
        reach: The smallest value that the space can reach, for ">=" the largest; None where only the
            combination of several bounds is impossible.
        sense: "<=" or ">=".
    """

    def __init__(self, metric: str, bound: float, reach: int | None, *, sense: Literal["<=", ">="] = "<=") -> None:
        self.metric, self.bound, self.reach, self.sense = metric, bound, reach, sense
        end = "smallest" if sense == "<=" else "largest"
        hint = f"; the {end} reachable value is {reach:,}" if reach is not None else " together with the other bounds"
        super().__init__(f"no architecture has {metric} {sense} {bound:,.12g}{hint}")


class DataError(NasError):
    """A data set that is missing, corrupt, or not of the promised form."""


class CheckpointError(NasError):
    """A checkpoint that is missing, truncated or belongs to something else."""


class WriteError(NasError):
    """A file or folder that cannot be written; what was there before is untouched.

    Args:
        path: What should have been written.
        why: The reason, and what to do.
    """

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"cannot write {path}: {why}")


class Diverged(NasError):
    """Training met a loss that is not finite."""


class ClusterError(NasError):
    """No Ray cluster answers at an address, or none starts on this machine."""


class WorkersLost(NasError):
    """Worker processes died again and again: in training before the next checkpoint, in evaluation while starting."""


class ExportError(NasError):
    """An exported network does not reproduce the supernet's logits."""


class ContractError(NasError):
    """A space, a searcher or a supernet breaks a promise of its contract."""


class PluginError(NasError):
    """A plug-in of another distribution cannot be loaded, or is not what its group is for."""


class StudyError(NasError):
    """A ledger that is locked by another driver or belongs to another search."""
