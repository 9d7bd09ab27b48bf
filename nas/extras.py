"""Packages that not everybody needs: what is missing is said at the start of a command, with its install command."""

from __future__ import annotations

from importlib.util import find_spec

from nas.errors import MissingPackage

RAY, ONNX, TEXT = "ray", "onnx", "text"  # extras of this distribution
PACKAGES = {RAY: ("ray",), ONNX: ("onnx", "onnxscript"), TEXT: ("tokenizers",)}


def require(extra: str, *, purpose: str) -> None:
    """Refuse to begin where a package of an extra is not installed; loads none.

    Args:
        extra: A key of `PACKAGES`.
        purpose: What needs it, to begin the message with.

    Raises:
        MissingPackage: Names the first that is missing.
    """
    for package in PACKAGES[extra]:
        if find_spec(package) is None:
            raise MissingPackage(purpose, package, extra)
