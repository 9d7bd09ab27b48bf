"""Progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nas.study import Progress as SearchProgress
    from nas.training import Progress as TrainingProgress


@contextmanager
def training_bar(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with epoch, loss, accuracy and time left; gives what `train` calls after every step."""
    with _bar() as bar:
        task = bar.add_task(title, total=None, note="")

        def update(p: TrainingProgress) -> None:
            note = f"{p.phase}, epoch {p.epoch}  loss {p.loss:.3f}  acc {p.accuracy:.1%}  {_left(p.seconds_left)}"
            bar.update(task, total=p.steps, completed=p.step, note=note)

        yield update


@contextmanager
def search_bar(title: str) -> Iterator[Callable[[SearchProgress], None]]:
    """A bar with the best value so far, speed and time left; gives what `Study.run` calls after every batch."""
    with _bar() as bar:
        task = bar.add_task(title, total=None, note="")

        def update(p: SearchProgress) -> None:
            best = "" if p.best is None else f"best {p.best:.5g}  "
            bar.update(
                task, total=p.total, completed=p.done, note=f"{best}{p.trials_per_s:.1f}/s  {_left(p.seconds_left)}"
            )

        yield update


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), refresh_per_second=4)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} left"
