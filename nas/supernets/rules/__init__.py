"""Training rules, by name."""

from __future__ import annotations

from nas.errors import UnknownName
from nas.supernets.rules import bignas, once_for_all, sandwich, single_path
from nas.training import TrainingRule

RULES: dict[str, TrainingRule] = {
    rule.name: rule
    for rule in (sandwich.RULE, bignas.RULE, once_for_all.RULE, single_path.RULE, single_path.LARGEST_ONLY)
}


def get(name: str) -> TrainingRule:
    """The training rule called `name`.

    Raises:
        UnknownName: No such rule.
    """
    if name not in RULES:
        raise UnknownName("rule", name, RULES)
    return RULES[name]
