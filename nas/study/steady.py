"""The steady state: no worker waits for the slowest architecture of a batch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import final

from nas.errors import UsageError
from nas.evaluation import StreamingEvaluator
from nas.ledger import Ledger
from nas.search_spaces import Architecture
from nas.searchers import Searcher, Trial
from nas.study.recording import Recorder


@final
class SteadyState:
    """Keeps every slot of a streaming evaluator at work.

    The first ask is for all slots. Each chunk that comes back is recorded and told as one batch, and the next ask
    refills what it left free, so every ask follows a tell and has its own random stream. What a search finds depends
    on the order in which chunks come back: the same seed does not give the same trials.

    Args:
        searcher: Proposes architectures; new, nothing told yet.
        evaluator: Measures them.
        ledger: Where the trials are.
        recorder: Writes them there.
        size: How many architectures are under way at the same time, at least one a slot.
    """

    def __init__(
        self, searcher: Searcher, evaluator: StreamingEvaluator, ledger: Ledger, recorder: Recorder, size: int
    ) -> None:
        self._searcher, self._evaluator, self._ledger, self._recorder = searcher, evaluator, ledger, recorder
        self._size = size
        self._told = 0
        self._idle = 0
        self._flight: dict[Architecture, float] = {}  # since when each is under way

    @property
    def idle(self) -> int:
        """How many tells in a row brought nothing new."""
        return self._idle

    def begin(self) -> None:
        """Tell what the ledger holds, batch by batch.

        Raises:
            UsageError: An earlier run was interrupted; its evaluator may still hold results that nobody takes.
        """
        if self._flight:
            raise UsageError(
                f"{len(self._flight)} architectures of an interrupted run are under way; "
                "go on with a new study, a new evaluator and resume"
            )
        batches = defaultdict[int, list[Trial]](list)
        for trial in self._ledger.trials:
            batches[trial.batch].append(trial)
        for batch in range(self._told, max(batches, default=-1) + 1):
            self._tell(batches[batch])

    def step(self, left: int) -> None:
        """Fill the free slots, take in the chunk that is finished first, and tell it."""
        self._fill(left)
        if not self._flight:  # another tell is another random stream, which may find what is left
            self._idle += 1
            self._tell([])
            return
        collected = self._evaluator.collect()
        archs = [arch for arch, _ in collected]
        if not archs or any(arch not in self._flight for arch in archs):
            raise UsageError("the evaluator handed back what is not under way; each result comes once")
        began = min(self._flight[arch] for arch in archs)
        seconds = (time.perf_counter() - began) / len(archs)
        outcomes, digests = [outcome for _, outcome in collected], [arch.digest for arch in archs]
        self._recorder.record(self._told, archs, outcomes, seconds=seconds, asked=digests)
        for arch in archs:
            del self._flight[arch]
        self._tell([trial for trial in map(self._ledger.get, digests) if trial is not None])

    def _tell(self, trials: Sequence[Trial]) -> None:
        self._searcher.tell(trials)
        self._told += 1

    def _fill(self, left: int) -> None:
        """Submit new architectures until every slot has its chunk, or `left` are under way."""
        slots = max(self._evaluator.slots, 1)
        chunk = max(self._size // slots, 1)
        wanted = min(slots * chunk, left) - len(self._flight)
        archs = self._new(wanted) if wanted > 0 else []
        self._idle = 0 if archs else self._idle
        for start in range(0, len(archs), chunk):
            part = archs[start : start + chunk]
            self._evaluator.submit(part)
            self._flight |= dict.fromkeys(part, time.perf_counter())

    def _new(self, n: int) -> list[Architecture]:
        """At most `n` that are neither recorded nor under way."""
        found: list[Architecture] = []
        # The searcher knows only what it was told: the second time it may lose as many as are under way.
        for ask in (n, n + len(self._flight)):
            asked = dict.fromkeys(self._searcher.ask(ask))
            found = [a for a in asked if a not in self._flight and self._ledger.get(a.digest) is None][:n]
            if len(found) == n:
                break
        return found
