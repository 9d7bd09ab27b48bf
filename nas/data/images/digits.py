"""The embedded default: scikit-learn's 1,797 handwritten digits of 8x8 pixels."""

from __future__ import annotations

import numpy as np

from nas.data.images.source import Part, Source
from nas.errors import UsageError


def read(path: str) -> Source:
    """The digits (Alpaydin and Kaynak 1998, UCI), their 17 grey levels 0..16 spread over 0..255.

    Args:
        path: Empty: the set is part of scikit-learn.

    Raises:
        UsageError: A path was given.
    """
    if path:
        raise UsageError(f"the data set 'digits' is built in and takes no path: write digits, not digits:{path}")
    # Here and not above: importing it takes longer than everything else in this package.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    names = tuple(str(name) for name in bunch.target_names)
    return Source(Part(images, bunch.target.astype(np.int64)), None, names, flip=False)
