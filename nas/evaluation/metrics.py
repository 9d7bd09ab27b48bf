"""Every metric that nas measures, in the order in which tables show them. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, final

from nas import proxies
from nas.evaluation.latency import LATENCY
from nas.evaluation.tabular.flexibert import GLUE
from nas.objectives import Metric
from nas.search_spaces import COSTS
from nas.task import TASKS

TASK_METRICS = tuple(dict.fromkeys(metric for task in TASKS.values() for metric in task.metrics))


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


_ON_SPLITS = tuple(split for metric in TASK_METRICS for split in (metric, metric.on_test()))
DECLARED: Final = DeclaredMetrics((*_ON_SPLITS, *COSTS, LATENCY, *GLUE))
