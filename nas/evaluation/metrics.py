"""Every metric that nas measures, in the order in which tables show them. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, final

from nas import proxies
from nas.evaluation.latency import LATENCY
from nas.evaluation.tabular.flexibert import GLUE
from nas.objectives import Metric
from nas.search_spaces import COSTS

ACCURACY = Metric("accuracy", "max", label="validation accuracy", unit="%", factor=100.0, column="acc. %")
LOSS = Metric("loss", "min", label="validation loss", unit="nats", detail=True)
TEST_ACCURACY = Metric("test_accuracy", "max", label="test accuracy", unit="%", factor=100.0, column="test %")
TEST_LOSS = Metric("test_loss", "min", label="test loss", unit="nats", detail=True)

VALIDATION = (ACCURACY, LOSS)  # what examples of the validation split decide
TEST = (TEST_ACCURACY, TEST_LOSS)


@final
class DeclaredMetrics(Mapping[str, Metric]):
    """Metrics by name; a proxy's is looked up when it is asked for, because that loads torch.

    Args:
        metrics: All that are no proxy's score.
    """

    def __init__(self, metrics: tuple[Metric, ...]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._names = tuple(dict.fromkeys((*self._metrics, *proxies.PROXIES)))

    def __getitem__(self, name: str) -> Metric:
        """The metric called `name`.

        Raises:
            KeyError: There is none.
            UsageError: It is a ranking of sets of networks, which no single network has.
        """
        if name in self._metrics:
            return self._metrics[name]
        if name not in proxies.names():
            raise KeyError(name)
        return proxies.get(name).metric

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


DECLARED: Final = DeclaredMetrics((ACCURACY, TEST_ACCURACY, LOSS, TEST_LOSS, *COSTS, LATENCY, *GLUE))
