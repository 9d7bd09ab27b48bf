"""The loop that tells results in asked order: a search that was killed goes on to the trials it would have had."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, final

from nas.errors import NasError, StudyError, UsageError, WorkersLost
from nas.evaluation import Evaluator, Failure, Outcome
from nas.ledger import Ledger
from nas.search_spaces import Architecture
from nas.searchers import Searcher, Trial
from nas.study.recording import Recorder


class Loop(Protocol):
    """How a study gets from one tell to the next."""

    @property
    def idle(self) -> int:
        """How many tells in a row brought nothing new."""
        ...

    def begin(self) -> None:
        """Get ready for a run, with the ledger as it is now."""
        ...

    def step(self, left: int) -> None:
        """Go on to the next tell, with at most `left` new trials."""
        ...


@final
class InOrder:
    """Asks for batches of a fixed size and ends each before the next.

    Args:
        searcher: Proposes architectures.
        evaluator: Measures them.
        ledger: Where the trials are.
        recorder: Writes them there.
        size: How many architectures one ask wants.
        together: Whether what the evaluator says depends on who is in the call: a batch of which the ledger holds a
            part is then evaluated again in full.
    """

    def __init__(
        self, searcher: Searcher, evaluator: Evaluator, ledger: Ledger, recorder: Recorder, size: int, *,
        together: bool = False,
    ) -> None:  # fmt: skip
        self._searcher, self._evaluator, self._ledger = searcher, evaluator, ledger
        self._recorder, self._size, self._together = recorder, size, together
        self._told = 0  # complete batches
        self._idle = 0  # the last of them that brought nothing new

    @property
    def idle(self) -> int:
        """How many tells in a row brought nothing new."""
        return self._idle

    def begin(self) -> None:
        """Nothing: each step reads from the ledger what it holds."""

    def step(self, left: int) -> None:
        """Bring one batch to its end, from the ledger as far as it holds it; with too few trials left, part of it."""
        batch = self._told
        recorded = self._ledger.asked(batch)
        told = self._known(recorded) if recorded is not None else None
        if told is None:
            archs = self._searcher.ask(self._size)
            digests = [arch.digest for arch in archs]
            if recorded is not None and list(recorded) != digests:
                raise StudyError(
                    f"the searcher asks for other architectures than the ledger has for batch {batch}; "
                    "use the version of nas that began this search, or another --out"
                )
            self._evaluate(batch, archs, digests, left)
            told = self._known(digests)
        if told is not None:
            self._searcher.tell(told)
            self._told += 1
            self._idle = 0 if any(trial.batch == batch for trial in told) else self._idle + 1

    def _known(self, digests: Sequence[str]) -> list[Trial] | None:
        """The trials of a batch in asked order; None unless all are finished."""
        found = [trial for trial in map(self._ledger.get, digests) if trial is not None]
        return found if len(found) == len(digests) else None

    def _evaluate(self, batch: int, archs: Sequence[Architecture], digests: Sequence[str], left: int) -> None:
        """Evaluate and record what the ledger lacks, at most `left` of it."""
        missing = {d: a for d, a in zip(digests, archs, strict=True) if self._ledger.get(d) is None}
        fresh = list(missing.values())[:left]
        if not fresh:
            return
        began = time.perf_counter()
        if self._together:
            call = {d: a for d, a in zip(digests, archs, strict=True) if self._of(d) in (None, batch)}
            found = dict(zip(call.values(), self._outcomes(batch, list(call.values())), strict=True))
            outcomes: Sequence[Outcome] = [found[arch] for arch in fresh]
        else:
            outcomes = self._outcomes(batch, fresh)
        seconds = (time.perf_counter() - began) / len(fresh)
        asked = digests if self._ledger.asked(batch) is None else None
        self._recorder.record(batch, fresh, outcomes, seconds=seconds, asked=asked)

    def _of(self, digest: str) -> int | None:
        """The batch of a finished trial."""
        trial = self._ledger.get(digest)
        return None if trial is None else trial.batch

    def _outcomes(self, batch: int, archs: Sequence[Architecture]) -> Sequence[Outcome]:
        """The metrics of each architecture, or why it has none."""
        try:
            return self._measured(archs)
        except (UsageError, WorkersLost):  # speaks against no architecture
            raise
        except NasError as error:
            outcomes = [Failure(str(error))] if len(archs) == 1 else [self._alone(arch) for arch in archs]
            if all(isinstance(outcome, Failure) for outcome in outcomes) and self._is_broken(batch, len(archs)):
                raise
            return outcomes

    def _measured(self, archs: Sequence[Architecture]) -> Sequence[Outcome]:
        rows = self._evaluator.evaluate(archs)
        if len(rows) != len(archs):
            raise UsageError(
                f"the evaluator gave {len(rows)} results for {len(archs)} architectures; it must give each one"
            )
        return rows

    def _alone(self, arch: Architecture) -> Outcome:
        try:
            return self._measured([arch])[0]
        except (UsageError, WorkersLost):
            raise
        except NasError as error:
            return Failure(str(error))

    def _is_broken(self, batch: int, failures: int) -> bool:
        """Whether a call without a success speaks against the set-up; the same before and after a resume."""
        succeeded = [trial.batch for trial in self._ledger.trials if trial.metrics]
        return not succeeded or (failures > 1 and batch not in succeeded)
