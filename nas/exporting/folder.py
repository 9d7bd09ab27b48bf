"""The native format: a folder with `model.safetensors` and `architecture.json`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from nas.data import Preprocessing
from nas.errors import CheckpointError, ExportError, NasError
from nas.exporting.deployed import Deployed, network_for
from nas.search_spaces import from_json
from nas.supernets.storage import file_digest, load_weights, object_in, read_document

FORMAT = "nas-network-1"
WEIGHTS, DOCUMENT = "model.safetensors", "architecture.json"


def write(deployed: Deployed, path: Path) -> None:
    """Write the folder's two files."""
    path.mkdir(parents=True, exist_ok=True)
    tensors = {n: t.detach().cpu().contiguous() for n, t in deployed.network.state_dict().items()}
    save_file(tensors, path / WEIGHTS, metadata={"format": FORMAT})
    document = {"format": FORMAT, **deployed.describe(), "weights": file_digest(path / WEIGHTS)}
    (path / DOCUMENT).write_text(json.dumps(document, indent=2) + "\n")
    shutil.copymode(path / DOCUMENT, path / WEIGHTS)  # safetensors writes for its owner alone


def load(path: Path | str) -> Deployed:
    """Open an exported folder; runs no code from it.

    Args:
        path: The folder, or one of its two files.

    Returns:
        The network in eval mode; it takes images in 0..1 and knows `class_names`, `input_size`, `arch`, `metrics`.

    Raises:
        CheckpointError: A file is missing, truncated, or of another format.
    """
    path = Path(path)
    folder = path.parent if path.name in (WEIGHTS, DOCUMENT) else path
    if not (folder / DOCUMENT).exists():
        raise CheckpointError(f"{folder}: no exported network here ({DOCUMENT} is missing)")
    document = read_document(folder / DOCUMENT, FORMAT, "an exported network", again="export again")
    weights = folder / WEIGHTS
    if not weights.exists():
        raise CheckpointError(f"{weights}: the weights are missing; export again")
    if file_digest(weights) != document.get("weights"):
        raise CheckpointError(f"{weights}: truncated or changed since it was exported; export again")
    try:
        space = from_json(document["space"])
        arch = space.from_document(document["architecture"])
        network = network_for(space, arch)
        load_weights(network, weights)
        preprocessing = Preprocessing.from_json(document["preprocessing"])
        return Deployed(network, arch, space, preprocessing, object_in(document, "metrics", folder / DOCUMENT))
    except (SafetensorError, KeyError, NasError) as error:
        raise CheckpointError(f"{folder}: not a network of this version ({str(error).splitlines()[0]})") from None


def replace_folder(temporary: Path, path: Path) -> None:
    """Put a finished folder in the place of `path`; only a folder that an export wrote is ever replaced.

    Raises:
        ExportError: `path` holds something else.
    """
    if path.exists():
        foreign = not path.is_dir() or any(p.name not in (WEIGHTS, DOCUMENT) for p in path.iterdir())
        if foreign:
            raise ExportError(f"{path}: already holds something else; choose another path")
        old = path.with_name(f".{path.name}.old.{os.getpid()}")
        os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old)
        return
    os.replace(temporary, path)
