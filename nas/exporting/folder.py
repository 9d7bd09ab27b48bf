"""The native format: a folder with `model.safetensors` and `architecture.json`."""

from __future__ import annotations

from pathlib import Path

from nas.data import preprocessing_from_json
from nas.errors import CheckpointError, NasError
from nas.exporting.deployed import Deployed
from nas.files import check_digest, load_weights, object_in, read_document, reason, save_tensors, write_json
from nas.networks import build
from nas.search_spaces import from_json

FORMAT = "nas-network-1"
WEIGHTS, DOCUMENT = FILES = ("model.safetensors", "architecture.json")


def write(deployed: Deployed, path: Path) -> None:
    """Write the folder's two files."""
    digest = save_tensors(path / WEIGHTS, deployed.network.state_dict(), form=FORMAT)
    write_json(path / DOCUMENT, {"format": FORMAT, **deployed.describe(), "weights": digest})


def load(path: Path | str) -> Deployed:
    """Open an exported folder; runs no code from it.

    Args:
        path: The folder, or one of its two files.

    Returns:
        The network in eval mode; it takes inputs as people have them and knows `class_names`, `arch`, `metrics`.

    Raises:
        CheckpointError: A file is missing, truncated, or of another format.
    """
    path = Path(path)
    folder = path.parent if path.name in (WEIGHTS, DOCUMENT) else path
    if not (folder / DOCUMENT).exists():
        raise CheckpointError(f"{folder}: no exported network here ({DOCUMENT} is missing)")
    document = read_document(folder / DOCUMENT, FORMAT, "an exported network", again="export again")
    check_digest(folder / WEIGHTS, document.get("weights"), again="export again")
    try:
        space = from_json(document["space"])
        arch = space.from_document(document["architecture"])
        network = build(space, arch)
        load_weights(network, folder / WEIGHTS)
        preprocessing = preprocessing_from_json(document["preprocessing"])
        return Deployed(network, arch, space, preprocessing, object_in(document, "metrics", folder / DOCUMENT))
    except (KeyError, NasError) as error:
        raise CheckpointError(f"{folder}: not a network of this version ({reason(error)})") from None
