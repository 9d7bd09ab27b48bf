from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from nas.errors import UsageError
from nas.proxies import agreement


def correlated(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    params = rng.normal(size=n)
    accuracy = params + rng.normal(size=n)
    return params + rng.normal(size=n), accuracy, params


@pytest.mark.parametrize("seed", range(3))
def test_partial_correlation_is_that_of_residuals(seed: int) -> None:
    """Spearman's partial correlation, by regressing ranks on ranks."""
    scores, accuracy, params = correlated(seed)
    a, b, c = (rankdata(v) - rankdata(v).mean() for v in (scores, accuracy, params))
    left, right = a - c * (a @ c) / (c @ c), b - c * (b @ c) / (c @ c)
    found = agreement(scores, accuracy, params)
    assert found.partial_spearman == pytest.approx(left @ right / np.sqrt((left @ left) * (right @ right)))
    assert found.spearman == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)))
    assert abs(found.partial_spearman or 1) < 0.15 < (found.spearman or 0)


def test_params_explain_themselves() -> None:
    _, accuracy, params = correlated(0)
    found = agreement(params, accuracy, params)
    assert found.partial_spearman is None
    assert found.spearman is not None


def test_kendall_by_pairs() -> None:
    scores, accuracy, params = (values[:40] for values in correlated(1))
    signs = [np.sign((scores[i] - scores[j]) * (accuracy[i] - accuracy[j])) for i in range(40) for j in range(i)]
    assert agreement(scores, accuracy, params).kendall == pytest.approx(np.mean(signs))


def test_the_best_of_a_hundred() -> None:
    accuracy = np.arange(200.0)
    perfect = agreement(accuracy, accuracy, accuracy[::-1].copy())
    blind = agreement(np.zeros(200), accuracy, accuracy)
    assert perfect.best_of_100 == pytest.approx(199 - 1 + 0.02, abs=0.3)
    assert blind.best_of_100 == pytest.approx(99.5, abs=1.0)
    assert blind.spearman is None
    assert blind.kendall is None
    assert perfect.top_spearman == 1.0


def test_what_is_not_finite_ranks_last_and_is_counted() -> None:
    scores, accuracy, params = correlated(2)
    broken = scores.copy()
    broken[np.argsort(scores)[:5]] = [math.nan, math.inf, -math.inf, math.nan, math.inf]
    found, whole = agreement(broken, accuracy, params), agreement(scores, accuracy, params)
    assert found.not_finite == 5
    assert found.spearman == pytest.approx(whole.spearman, abs=0.01)


def test_too_few() -> None:
    with pytest.raises(UsageError, match="at least 3"):
        agreement([1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(UsageError, match="at least 3"):
        agreement([1.0, 2.0, 3.0], [1.0, 2.0], [1.0, 2.0, 3.0])
