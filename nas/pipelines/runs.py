"""A run's folder: where its files are, and how to open what it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import CheckpointError, StudyError, UnknownName, UsageError
from nas.files import read_json

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.search_spaces import Architecture, SearchSpace
    from nas.supernets import StoredSupernet

SUPERNET, SEARCH, PICTURE, PROFILE = "supernet", "search.json", "front.png", "profile.json"
SUPERNET_DOCUMENT = "supernet.json"
NETWORK_DOCUMENT = "architecture.json"  # of a folder that holds one network
RESULTS = Path("results")
NAMED = ("best", "knee", "largest", "smallest")


def default_out(space: str, data: str) -> Path:
    """results/<space>-<data>; of data in files, kind and file name, or the kind alone where it says enough."""
    kind, _, rest = data.partition(":")
    name = f"{kind}-{Path(rest).stem}" if kind in ("folder", "npz") else kind
    return RESULTS / re.sub(r"[^A-Za-z0-9._-]+", "_", f"{space}-{name}")


def check_space(directory: Path, space: SearchSpace) -> None:
    """Refuse a folder with a search of another space, before a supernet is trained into it.

    Raises:
        StudyError: Names both.
    """
    from nas import ledger

    if not (directory / ledger.JOURNAL).exists():
        return
    there = ledger.find(directory)
    if there is not None and there.entries and there.space.to_json() != space.to_json():
        raise StudyError(
            f"{directory} holds a search of space {there.space.name!r} with other settings; choose another --out"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A run with a trained supernet.

    Args:
        directory: The run's folder.
        supernet: The folder of its supernet, most often inside.
        stored: Its supernet.
        document: What `nas search` wrote; None before a search has ended.
    """

    directory: Path
    supernet: Path
    stored: StoredSupernet
    document: dict[str, Any] | None

    def data(self, spec: str | None = None) -> Dataset:
        """The data set that the supernet was trained on, with its splits.

        Args:
            spec: Where it is now; None looks where it was.

        Raises:
            DataError: It is missing or damaged.
            UsageError: It is another one.
        """
        from nas.data import load

        recipe = self.stored.recipe
        if spec is None and "data" not in recipe:
            raise UsageError(f"{self.directory}: the supernet does not say what it was trained on; give --data")
        data = load(spec or str(recipe["data"]), train_images=recipe.get("train_images"))
        if data.digest != recipe.get("data_digest", data.digest):
            raise UsageError(f"--data {data.spec}: these are not the images that {self.directory} was trained on")
        return data

    def front(self) -> list[dict[str, Any]]:
        """The front's members as {"digest", "arch", "metrics"}.

        Raises:
            StudyError: No search has ended here.
        """
        if self.document is None:
            raise StudyError(
                f"{self.directory}: no finished search here; run 'nas search --supernet {self.directory}', "
                "with --resume if one was interrupted"
            )
        return list(self.document["front"])

    def find(self, which: str | Path | Architecture) -> Architecture:
        """One architecture of the space.

        Args:
            which: "best", "knee", "largest", "smallest", a digest or how it begins, a JSON file, or an architecture.

        Raises:
            StudyError: "best" or "knee" before a search has ended.
            UnknownName: Neither a name, nor a digest of this run, nor a file.
            UsageError: A file or digest prefix that does not name one architecture of this space.
        """
        space = self.stored.supernet.space
        if which in ("best", "knee"):
            self.front()
            assert self.document is not None
            return space.from_document(self.document[str(which)]["arch"])
        named = architecture_of(space, which)
        return self._by_digest(str(which)) if named is None else named

    def _by_digest(self, digest: str) -> Architecture:
        known = self._known()
        matches = [arch for name, arch in known.items() if name.startswith(digest)]
        if len(matches) > 1:
            raise UsageError(f"--arch {digest!r}: {len(matches)} digests begin like this; write more of it")
        if matches:
            return matches[0]
        front = [member["digest"] for member in self.document["front"]] if self.document else []
        raise UnknownName("architecture (no such file either)", digest, [*NAMED, *front])

    def _known(self) -> dict[str, Architecture]:
        """Every architecture that the run evaluated, by digest."""
        from nas import ledger

        space = self.stored.supernet.space
        members = self.document["front"] if self.document else []
        known = {member["digest"]: space.from_document(member["arch"]) for member in members}
        if (self.directory / ledger.JOURNAL).is_file():
            known |= {trial.arch.digest: trial.arch for trial in ledger.read(self.directory).trials}
        return known


def open_run(directory: Path | str) -> Run:
    """Open a run's folder.

    Raises:
        CheckpointError: No folder, no supernet in it, or a damaged file.
    """
    from nas.supernets import load

    directory = Path(directory)
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such folder; make a run with 'nas search --out {directory}'")
    if holds_network(directory):
        raise CheckpointError(
            f"{directory}: holds one exported network, not a run; open it with nas.load, or convert it with nas export"
        )
    document = _search_document(directory / SEARCH)
    folder = supernet_folder(directory, document)
    return Run(directory, folder, load(folder), document)


def architecture_of(space: SearchSpace, which: str | Path | Architecture) -> Architecture | None:
    """The architecture that needs no run to be found: itself, "largest", "smallest", or in a JSON file; else None.

    Raises:
        CheckpointError: A file that is no JSON.
        UsageError: What it holds is of another space, or names no member.
    """
    if not isinstance(which, str | Path):
        space.require(which)
        return which
    if which in ("largest", "smallest"):
        return space.largest() if which == "largest" else space.smallest()
    return space.from_document(_architecture_in(Path(which))) if Path(which).is_file() else None


def as_run(run: Run | Path | str) -> Run:
    """A run that is open already, or that of a folder; see `open_run`."""
    return run if isinstance(run, Run) else open_run(run)


def holds_network(directory: Path | str) -> bool:
    """Whether a folder is no run but one network, as `export`, `finetune` and `train_alone` write it."""
    return (Path(directory) / NETWORK_DOCUMENT).is_file()


def supernet_folder(directory: Path, document: Mapping[str, Any] | None = None) -> Path:
    """Where the supernet of a run is, or of a folder that is one itself.

    Args:
        directory: A run's folder or a supernet's.
        document: The run's search, which says where its supernet is if that is elsewhere.
    """
    own = directory / SUPERNET
    if (directory / SUPERNET_DOCUMENT).exists():
        return directory
    if document is not None and not own.exists() and "supernet" in document:
        return Path(os.path.normpath(directory / str(document["supernet"])))
    return own


def _search_document(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    document = read_json(path, failure=CheckpointError, hint="search again with --resume")
    if not isinstance(document, dict) or not {"front", "best", "knee"} <= document.keys():
        raise CheckpointError(f"{path}: not what 'nas search' writes; search again with --resume")
    return document


def _architecture_in(path: Path) -> Any:
    """The architecture in a file: by itself, in a front's member, or in an exported network's description."""
    document = read_json(path, failure=CheckpointError, hint="write an architecture as JSON into it")
    if isinstance(document, dict):
        return next((document[key] for key in ("arch", "architecture") if key in document), document)
    return document
