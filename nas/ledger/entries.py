"""What a ledger records: who searches what, and the trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from nas.errors import StudyError
from nas.search_spaces import ABSENT, Architecture, SearchSpace
from nas.searchers import Trial


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two searches the same search.

    Args:
        space: Its JSON document.
        space_digest: The digest of the space.
        weights: Digest of the weights that are evaluated; "" where there are none.
        data: Digest of the data; "" where there are none.
        objectives: As `str(objective)`, in order.
        constraints: As `str(constraint)`, in order.
        searcher: The searcher's strategy with its settings.
        seed: The searcher's seed.
        batch: How many architectures one ask wants.
        asynchronous: Whether results are told as they come.
        together: Whether results depend on who is evaluated together.
    """

    space: dict[str, Any]
    space_digest: str
    weights: str
    data: str
    objectives: list[str]
    constraints: list[str]
    searcher: str
    seed: int
    batch: int
    asynchronous: bool = False
    together: bool = False

    def to_json(self) -> dict[str, Any]:
        """The study's user attributes, in the order in which a difference is reported."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished trial of a ledger.

    Args:
        digest: Of its architecture.
        trial: What searchers are told.
        error: Why the evaluation failed; None where it did not.
        asked: On the first new trial of a batch: the digests of the whole batch as it was asked.
        seconds: What its evaluation took.
    """

    digest: str
    trial: Trial
    error: str | None
    asked: tuple[str, ...] | None
    seconds: float


def _architectures(space: SearchSpace, documents: Sequence[Mapping[str, Any]]) -> list[Architecture]:
    """What `space.from_document` gives for each document, all at once; what is wrong shows in the digest."""
    positions = [{None: ABSENT} | {value: i for i, value in enumerate(gene.choices)} for gene in space.genes]
    rows = [
        [position[document["genes"].get(name)] for name, position in zip(space.names, positions, strict=True)]
        for document in documents
    ]
    return space.architectures(np.array(rows, dtype=np.int16)) if rows else []


def entries_of(study: optuna.Study, space: SearchSpace, where: str) -> Iterator[Entry]:
    """The finished trials, oldest first, each architecture once; half-written and foreign ones are left out."""
    finished = (TrialState.COMPLETE, TrialState.FAIL)
    ours = [
        trial
        for trial in study.get_trials(deepcopy=False, states=finished)
        if trial.user_attrs.keys() >= {"arch", "digest", "metrics", "batch", "seconds"}
    ]
    try:
        archs = _architectures(space, [trial.user_attrs["arch"] for trial in ours])
    except (KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{where} holds an architecture that is not of this space: {error}") from error
    seen = set[str]()
    for trial, arch in zip(ours, archs, strict=True):
        attrs, digest = trial.user_attrs, arch.digest
        if digest != attrs["digest"]:
            raise StudyError(f"{where}: the architecture of trial {trial.number} does not have its digest; restore it")
        if digest not in seen:
            asked = tuple(attrs["asked"]) if "asked" in attrs else None
            told = Trial(len(seen), arch, attrs["metrics"], attrs["batch"])
            yield Entry(digest, told, attrs.get("error"), asked, float(attrs["seconds"]))
            seen.add(digest)
