"""Eigenvalues and norms that are NaN where LAPACK would raise."""

from __future__ import annotations

import torch
from torch import Tensor


def eigenvalues(matrices: Tensor) -> Tensor:
    """[..., D], ascending, of symmetric matrices [..., D, D]; NaN for one with an entry that is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    values = torch.linalg.eigvalsh(torch.where(finite[..., None, None], matrices, unit))
    return torch.where(finite[..., None], values, torch.nan)


def spectral_norm(matrix: Tensor) -> float:
    """The largest singular value of [M, K]; NaN where an entry is not finite."""
    return float(torch.linalg.matrix_norm(matrix, 2)) if bool(matrix.isfinite().all()) else float("nan")
