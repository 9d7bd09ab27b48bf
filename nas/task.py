"""What goes into a network, what comes out, the loss, and the numbers that say how good it is. Loads torch on use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from nas.errors import UnknownName, UsageError
from nas.objectives import Metric

if TYPE_CHECKING:
    from torch import Generator, Tensor


ACCURACY = Metric("accuracy", "max", label="validation accuracy", unit="%", factor=100.0, column="acc. %")
LOSS = Metric("loss", "min", label="validation loss", unit="nats", detail=True)


@dataclass(frozen=True, slots=True)
class Task(ABC):
    """A value: two tasks are equal where their kinds and numbers are.

    Every field is a positive integer. A new task states its shapes, its loss and its measures; spaces, data, trainers,
    evaluators, reports and exports ask it and know none by name.
    """

    kind: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]  # names of the columns of `measure`
    metrics: ClassVar[tuple[Metric, ...]]  # what `to_scores` gives; on the test split see `Metric.on_test`

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{self.kind}: {field.name} must be a positive integer, got {value!r}")

    # What a task states.

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Of one input, without the batch."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Of one output, without the batch."""

    @property
    @abstractmethod
    def objectives(self) -> tuple[str, ...]:
        """What a search looks for where nobody says."""

    @abstractmethod
    def __str__(self) -> str:
        """For people, such as "8x8 images of 1 channel in 10 classes"."""

    @abstractmethod
    def example(self, count: int, *, generator: Generator) -> Tensor:
        """[count, *input_shape]: inputs as networks take them, made up; for traces, exports and timing."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The mean loss of outputs against targets, a scalar with a gradient.

        Args:
            outputs: [B, *output_shape].
            targets: As the data set gives them.
            smoothing: Share of the target spread over all answers.
        """

    @abstractmethod
    def soft(self, outputs: Tensor) -> Tensor:
        """A teacher's outputs as soft targets, cut from the graph."""

    @abstractmethod
    def distil(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """The mean loss of outputs against soft targets, which carry no gradient."""

    @abstractmethod
    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, M] float32: what each example adds to `measures`; the means over all examples are the metrics."""

    @abstractmethod
    def to_scores(self, means: Mapping[str, float], errors: Mapping[str, float]) -> dict[str, float]:
        """Metrics from means of `measures` and their standard errors; a metric's error is called `<metric>_se`."""

    # What follows.

    @final
    def summary(self, sums: Any, squares: Any, count: int) -> dict[str, float]:
        """Metrics of `count` examples, with a standard error each.

        Args:
            sums: [M], each measure summed over the examples.
            squares: [M], its square summed.
            count: Examples, at least 1; of one alone the errors are 0.
        """
        means = {name: float(total) / count for name, total in zip(self.measures, sums, strict=True)}
        errors = {}
        for name, square in zip(self.measures, squares, strict=True):
            variance = max(0.0, float(square) / count - means[name] ** 2)
            errors[name] = (variance / (count - 1)) ** 0.5 if count > 1 else 0.0
        return self.to_scores(means, errors)

    @final
    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {"kind": self.kind, **asdict(self)}

    @final
    def with_fields(self, values: Mapping[str, int]) -> Self:
        """The same with other numbers; those that it does not have are left out."""
        own = {field.name for field in fields(self)}
        return replace(self, **{name: value for name, value in values.items() if name in own})

    @final
    def require(self, other: Task, *, what: str) -> None:
        """Refuse what was made for another task.

        Args:
            other: Its task.
            what: What it is, such as "the data".

        Raises:
            UsageError: Names the first thing that differs.
        """
        if self.kind != other.kind:
            raise UsageError(f"the space is made for {self}, but {what} have {other}")
        for field in fields(self):
            wanted, given = getattr(self, field.name), getattr(other, field.name)
            if wanted != given:
                raise UsageError(f"the space is made for {field.name}={wanted}, but {what} have {given}")


class Classification(Task, ABC):
    """One of `classes` answers for an input; outputs are logits [B, K], targets int64 [B]."""

    __slots__ = ()

    measures: ClassVar[tuple[str, ...]] = ("accuracy", "loss")
    metrics: ClassVar[tuple[Metric, ...]] = (ACCURACY, LOSS)
    classes: int

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(K,)."""
        return (self.classes,)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Accuracy against multiply-adds."""
        return ("accuracy", "min:macs")

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)

    def soft(self, outputs: Tensor) -> Tensor:
        """Probabilities [B, K] at temperature 1."""
        import torch

        return torch.softmax(outputs.detach(), dim=1)

    def distil(self, outputs: Tensor, soft: Tensor) -> Tensor:
        """Mean cross-entropy with probabilities."""
        from torch.nn import functional

        assert not soft.requires_grad
        return functional.cross_entropy(outputs, soft)

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """[B, 2]: whether the answer is right, and the cross-entropy."""
        import torch
        from torch.nn import functional

        outputs = outputs.float()
        right = (outputs.argmax(1) == targets).float()
        return torch.stack([right, functional.cross_entropy(outputs, targets, reduction="none")], 1)

    def to_scores(self, means: Mapping[str, float], errors: Mapping[str, float]) -> dict[str, float]:
        """`accuracy`, a fraction, and `loss`."""
        return dict(means) | {f"{name}_se": error for name, error in errors.items()}


@final
@dataclass(frozen=True, slots=True)
class ImageClassification(Classification):
    """Square images, one class each.

    Args:
        size: Height and width.
        channels: Channels.
        classes: K, answers to choose from.
    """

    kind: ClassVar[str] = "image_classification"
    size: int
    channels: int
    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return (self.channels, self.size, self.size)

    def __str__(self) -> str:
        plural = "" if self.channels == 1 else "s"
        return f"{self.size}x{self.size} images of {self.channels} channel{plural} in {self.classes} classes"

    def example(self, count: int, *, generator: Generator) -> Tensor:
        """Normal noise, float32 [count, C, H, W]."""
        import torch

        return torch.randn(count, *self.input_shape, generator=generator)


@final
@dataclass(frozen=True, slots=True)
class TextClassification(Classification):
    """Sequences of numbered tokens, one class each; number 0 is padding.

    Args:
        length: T, tokens of a sequence, padding included.
        vocabulary: Different tokens, padding included.
        classes: K, answers to choose from.
    """

    kind: ClassVar[str] = "text_classification"
    length: int
    vocabulary: int
    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(T,)."""
        return (self.length,)

    def __str__(self) -> str:
        return f"texts of {self.length} tokens out of {self.vocabulary:,} in {self.classes} classes"

    def example(self, count: int, *, generator: Generator) -> Tensor:
        """Random tokens without padding, int64 [count, T]."""
        import torch

        return torch.randint(min(1, self.vocabulary - 1), self.vocabulary, (count, self.length), generator=generator)


TASKS: dict[str, type[Task]] = {task.kind: task for task in (ImageClassification, TextClassification)}


def from_json(document: object) -> Task:
    """The task that `Task.to_json` wrote.

    Raises:
        UnknownName: A kind that this version does not know.
        UsageError: The document is of another form, or a number is not a positive integer.
    """
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise UsageError('a task is a JSON object {"kind": ..., ...}')
    if document["kind"] not in TASKS:
        raise UnknownName("task", document["kind"], TASKS)
    kind = TASKS[document["kind"]]
    own = [field.name for field in fields(kind)]
    if sorted(document) != sorted([*own, "kind"]):
        raise UsageError(f"task {document['kind']!r} has exactly {', '.join(own)}, got {sorted(document)}")
    return kind(**{name: document[name] for name in own})
