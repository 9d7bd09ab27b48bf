"""Whether a checkout still computes what another one computed, bit for bit: searches, trainings, exports, scores.

`record` keeps everything in a file, and with `--digests` one digest an item in a small one. `compare` runs the same
jobs again, says "same" or the first difference for each, and appends a row; it exits 1 where something differs that is
not in `EXPECTED`. Against digests alone it can only say that something differs. New metrics beside the old ones are
mentioned, and are no difference.

Bits depend on the processor and on the versions of torch and numpy: record and compare on one machine. Everything runs
with one thread; the whole takes about ten minutes, `--only search` (a beginning of names, repeatable) a part of it.

    git worktree add ../before 5a46351
    NAS_DATA_DIR=... python -m benchmarks.unchanged record --checkout ../before --out build/unchanged.json
    NAS_DATA_DIR=... python -m benchmarks.unchanged compare --checkout . --with build/unchanged.json
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.checkouts import Checkout, ProcessFailed, checkout, chosen
from benchmarks.unchanged_items import ITEMS, Bench

NAME = "unchanged"
DIGESTS = rows.RESULTS / "unchanged_before.json"
SAME, NOT_RECORDED = "same", "not recorded before"
# What differs on purpose: item -> why.
EXPECTED = {
    "search: budget on macs, evolution": "inside a budget, members are drawn from buckets of costs instead of by an "
    "exact count; as uniform, other draws",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comparing one item gave.

    Args:
        item: Its name.
        difference: None where there is none.
        expected: Why there may be one; None where there may not.
        added: Metrics that are new.
    """

    item: str
    difference: str | None
    expected: str | None
    added: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether something differs that should not."""
        return self.difference is not None and self.expected is None

    def __str__(self) -> str:
        text = SAME if self.difference is None else f"differs: {self.difference}"
        if self.difference is not None:
            text += f" (expected: {self.expected})" if self.expected else "  <-- not expected"
        return f"{self.item}: {text}" + (f"; new metrics: {', '.join(self.added)}" if self.added else "")


def digest(document: Any) -> str:
    """Of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def metric_names(document: Any) -> set[str]:
    """Every name under a key "metrics"."""
    inside = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    found = {name for part in inside for name in metric_names(part)}
    return found | set(document["metrics"]) if isinstance(document, dict) and "metrics" in document else found


def restricted(document: Any, names: set[str]) -> Any:
    """Without the metrics that are not among `names`."""
    if isinstance(document, list):
        return [restricted(part, names) for part in document]
    if not isinstance(document, dict):
        return document
    return {
        key: {name: value for name, value in part.items() if name in names}
        if key == "metrics"
        else restricted(part, names)
        for key, part in document.items()
    }


def first_difference(before: Any, after: Any, path: str = "") -> str | None:
    """Where two JSON documents differ first, in the order of the first; None where they do not."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            here = f"{path}.{key}".lstrip(".")
            if key not in before or key not in after:
                return f"{here} is {'new' if key not in before else 'missing'}"
            if found := first_difference(before[key], after[key], here):
                return found
        return None
    if isinstance(before, list) and isinstance(after, list):
        for i, (old, new) in enumerate(zip(before, after, strict=False)):
            if found := first_difference(old, new, f"{path}[{i}]"):
                return found
        return None if len(before) == len(after) else f"{path} has {len(after)} entries, had {len(before)}"
    return None if before == after else f"{path} is {_short(after)}, was {_short(before)}"


def _short(value: Any) -> str:
    if isinstance(value, str) and value.lstrip("-").startswith("0x"):
        return repr(float.fromhex(value))
    return str(value)[:80]


def compact(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a digest and the names of the metrics in the place of each item."""
    items = {
        name: {"digest": digest(item), "metrics": sorted(metric_names(item))} for name, item in record["items"].items()
    }
    return {"facts": record["facts"], "items": items}


def compared(item: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Verdict:
    """One item of now against what was recorded, in full or as a digest."""
    expected = EXPECTED.get(item)
    if before is None:
        return Verdict(item, NOT_RECORDED, expected)
    by_digest = before.keys() == {"digest", "metrics"}
    known = set(before["metrics"]) if by_digest else metric_names(before)
    added, now = tuple(sorted(metric_names(after) - known)), restricted(after, known)
    if digest(now) == (before["digest"] if by_digest else digest(before)):
        return Verdict(item, None, expected, added)
    where = "somewhere; compare with the full record to see where" if by_digest else first_difference(before, now)
    return Verdict(item, after.get("failed", where), expected, added)


def facts(of: Checkout) -> dict[str, Any]:
    """Where a record is from, and what its bits depend on."""
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "torch", "optuna", "onnxruntime")}
    return {"commit": of.commit(), "code": of.code(), "python": platform.python_version(), "cpu": _cpu(), **versions}


def _cpu() -> str:
    """The processor with what it can do: kernels are chosen by that."""
    file = Path("/proc/cpuinfo")
    lines = [line.split(":", 1) for line in file.read_text().splitlines() if ":" in line] if file.exists() else []
    known = {key.strip(): value.strip() for key, value in lines}
    flags = hashlib.sha256(known.get("flags", "").encode()).hexdigest()[:8]
    return f"{known.get('model name', platform.processor())}, flags {flags}"


def made(of: Checkout, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each item by the code of a checkout; one that fails says so."""
    with tempfile.TemporaryDirectory(prefix="unchanged-") as folder:
        of.check(Path(folder))
        bench = Bench(of, Path(folder))
        for name in names:
            began = time.perf_counter()
            try:
                document = ITEMS[name](bench)
            except (ProcessFailed, OSError, KeyError, ValueError) as error:
                document = {"failed": f"{type(error).__name__}: {error}"}
            print(f"{name}: made in {time.perf_counter() - began:.0f} s", flush=True)
            yield name, document


def record(of: Checkout, names: list[str], out: Path, digests: Path | None) -> int:
    """Write what a checkout computes; items that the file has already are made again, others stay."""
    kept: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"items": {}}
    if kept["items"] and kept["facts"] != facts(of):
        raise SystemExit(f"{out}: holds a record of other code or of another machine; choose another --out")
    failed = 0
    for name, document in made(of, names):
        failed += "failed" in document
        if "failed" in document:
            print(f"  {document['failed']}")
        kept["items"][name] = document
        ordered = {item: kept["items"][item] for item in ITEMS if item in kept["items"]}
        kept = {"facts": facts(of), "items": ordered}
        out.write_text(json.dumps(kept) + "\n")
    if digests is not None:
        digests.write_text(json.dumps(compact(kept), indent=1) + "\n")
    return int(failed > 0)


def compare(of: Checkout, names: list[str], file: Path) -> int:
    """Make everything again, say what differs, and append a row."""
    before, now = json.loads(file.read_text()), facts(of)
    others = [key for key in now if key not in ("commit", "code") and now[key] != before["facts"].get(key)]
    if others:
        print(f"recorded with another {', another '.join(others)}: bits may differ for that alone")
    verdicts, digests = list[Verdict](), dict[str, str]()
    for name, document in made(of, names):
        verdicts.append(compared(name, before["items"].get(name), document))
        digests[name] = digest(document)
        print(verdicts[-1], flush=True)
    wrong = [verdict for verdict in verdicts if verdict.wrong]
    key = {
        "before": before["facts"]["commit"], "before_code": before["facts"]["code"], "after": now["commit"],
        "after_code": now["code"],
    }  # fmt: skip
    values = {
        "items": len(verdicts), "same": sum(verdict.difference is None for verdict in verdicts), "wrong": len(wrong),
        "differs": {v.item: v.expected or "not expected" for v in verdicts if v.difference is not None},
        "added_metrics": sorted({name for verdict in verdicts for name in verdict.added}), "digests": digests,
        "other": others,
    }  # fmt: skip
    rows.append(NAME, key, values)
    print(f"{values['same']} of {len(verdicts)} items are the same, {len(wrong)} differ and should not")
    return int(bool(wrong))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("--checkout", type=Path, required=True, help="whose code runs")
    parser.add_argument("--out", type=Path, help="record: where to keep everything")
    parser.add_argument("--digests", type=Path, help=f"record: where to keep digests, such as {DIGESTS.name}")
    parser.add_argument("--with", dest="file", type=Path, default=DIGESTS, help="compare: a record, or its digests")
    parser.add_argument("--only", action="append", help="items that begin like this; repeat")
    options = parser.parse_args()
    of, names = checkout(options.checkout), chosen(list(ITEMS), options.only)
    if options.what == "compare":
        raise SystemExit(compare(of, names, options.file))
    if options.out is None:
        parser.error("record needs --out")
    raise SystemExit(record(of, names, options.out, options.digests))


if __name__ == "__main__":
    main()
