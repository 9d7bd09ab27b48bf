"""The ledger of one search: an Optuna study in which every finished trial is one append.

In a run's folder it is `journal.log`; with a storage URL it lives wherever Optuna can write. The architecture is one
attribute of a trial, the objectives are its Optuna values, so Optuna's dashboard and plots read it as it is.
"""

from __future__ import annotations

from nas.ledger.entries import Entry, Identity
from nas.ledger.journal import JOURNAL
from nas.ledger.ledger import Ledger, Record, find, read
from nas.ledger.lock import DriverLock
from nas.ledger.table import trials_dataframe

__all__ = ["JOURNAL", "DriverLock", "Entry", "Identity", "Ledger", "Record", "find", "read", "trials_dataframe"]
