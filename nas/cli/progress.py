"""Progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nas.study import Progress as SearchProgress
    from nas.training import Progress as TrainingProgress


@final
class Bars:
    """What a pipeline calls with its progress: a bar for training, then one for searching, each from its first call.

    Args:
        training: Title of the bar for training.
    """

    def __init__(self, training: str = "training") -> None:
        self._title = training
        self._shown = ExitStack()
        self._kind: type[object] | None = None
        self._update: Callable[[Any], None] = lambda _: None

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.close()

    def __call__(self, progress: TrainingProgress | SearchProgress) -> None:
        """Show it; a bar of the other kind ends."""
        from nas.study import Progress as SearchProgress

        if type(progress) is not self._kind:
            self._shown.close()
            self._kind = type(progress)
            searching = self._kind is SearchProgress
            bar: AbstractContextManager[Callable[[Any], None]] = (
                search_bar("searching") if searching else training_bar(self._title)
            )
            self._update = self._shown.enter_context(bar)
        self._update(progress)


@contextmanager
def training_bar(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with epoch, loss, the metric and time left; gives what `train` calls after every step."""
    with _bar() as bar:
        task = bar.add_task(title, total=None, note="")

        def update(p: TrainingProgress) -> None:
            measured = f"loss {p.loss:.3f}, {p.metric.column} {p.metric.text(p.value)}"
            note = f"epoch {p.epoch}, {measured}, {_left(p.seconds_left)}"
            now = title if title.endswith(p.phase) else f"{title}, {p.phase}"
            bar.update(task, total=p.steps, completed=p.step, note=note, description=now)

        yield update


@contextmanager
def search_bar(title: str) -> Iterator[Callable[[SearchProgress], None]]:
    """A bar with the best value so far, speed and time left, and below it who works and what is saved.

    Gives what `Study.run` calls after every batch.
    """
    with _bar() as bar:
        task = bar.add_task(title, total=None, note="")

        def update(p: SearchProgress) -> None:
            best = "" if p.best is None else f"best {p.best:.5g}, "
            left = "" if p.seconds_left is None else f", {_left(p.seconds_left)}"
            note = f"{p.done} of {p.total}, {best}{p.trials_per_s:.1f}/s{left}"
            bar.update(task, total=p.total, completed=p.done, note=f"{note}{_savings(p)}")

        yield update


@contextmanager
def count_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that counts, from its first call on; gives what to call with how many are done, of how many."""
    with ExitStack() as shown:
        bar = _bar()
        task = bar.add_task(title, total=None, note="")

        def update(done: int, total: int) -> None:
            if not bar.live.is_started:
                shown.enter_context(bar)
            bar.update(task, total=total, completed=done)
            bar.update(task, note=f"{done} of {total}, {_left(bar.tasks[0].time_remaining or 0)}")

        yield update


def _savings(p: SearchProgress) -> str:
    """A second line: workers, and how much less was computed than one by one where that is known."""
    if p.totals is None or p.workers is None or not p.totals.architectures:
        return ""
    workers = f"\n{p.workers} worker{'s' * (p.workers != 1)}"
    if not p.totals.macs_alone:
        return workers
    shares = p.totals.to_json()
    saved = [f"{shares['share_saved_by_prefixes']:.0%} of the work by sharing"]
    if p.totals.macs_raced:
        saved.append(f"{shares['share_saved_by_racing']:.0%} by racing")
    return f"{workers}; saved {', '.join(saved)}"


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    # Everything fits into 80 columns; what does not is cut by rich in the middle of numbers.
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=10), TextColumn("{task.fields[note]}"))
    return Progress(*columns, console=Console(stderr=True), refresh_per_second=4)


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} left"
