"""The search loop: ask, evaluate, record, tell; in asked order, or with every worker kept busy."""

from __future__ import annotations

from nas.study.progress import Progress
from nas.study.study import BATCH, PATIENCE, PROVENANCE, Result, Study

__all__ = ["BATCH", "PATIENCE", "PROVENANCE", "Progress", "Result", "Study"]
