from __future__ import annotations

import math

import torch

from nas.proxies.probing.spectra import eigenvalues, spectral_norm


def test_what_is_not_finite_has_no_eigenvalues() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 4, 9, generator=generator, dtype=torch.float64)
    matrices = rows @ rows.mT
    expected = torch.linalg.eigvalsh(matrices)
    matrices[1, 2, 3] = math.nan
    found = eigenvalues(matrices)
    assert torch.equal(found[[0, 2]], expected[[0, 2]])
    assert bool(found[1].isnan().all())


def test_the_spectral_norm_is_the_largest_singular_value() -> None:
    assert spectral_norm(torch.diag(torch.tensor([3.0, -4.0]))) == 4.0
    assert math.isnan(spectral_norm(torch.full((2, 2), math.inf)))
