"""Members inside additive budgets: exact counts and uniform samples by dynamic programming."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.errors import InfeasibleBudget
from nas.search_spaces.counting import PathCounter
from nas.search_spaces.goals import Constraint
from nas.search_spaces.graph import COSTS, Graph, build
from nas.search_spaces.segment import groups
from nas.search_spaces.tables import count_type, draw_below
from nas.search_spaces.trellis import Trellis

TRIES = 100_000  # draws in a row outside the looser budgets after which sampling gives up
BATCH = 2_000  # draws that are checked together
