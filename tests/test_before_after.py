"""The arithmetic of the scripts that compare two checkouts."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import before_after, before_after_side, installation, lines, overhead, unchanged, unchanged_items
from benchmarks.checkouts import checkout, chosen

TRIAL = {"genes": {"depth": 2}, "metrics": {"accuracy": (0.5).hex(), "loss": (1.25).hex()}}


def recorded(*trials: object) -> dict[str, object]:
    return {"facts": {"commit": "abc"}, "items": {"evaluate": {"trials": list(trials)}}}


def test_an_interval_is_students_on_logarithms() -> None:
    found = before_after.interval([1.0, 1.1, 1.21])
    assert found.mean == pytest.approx(1.1)
    half = 2.919986 * math.log(1.1) / math.sqrt(3)  # t of 95 % with two degrees of freedom
    assert math.log(found.high / found.mean) == pytest.approx(half, rel=1e-6)
    assert math.log(found.mean / found.low) == pytest.approx(half, rel=1e-6)
    assert not found.met


def test_an_interval_of_equal_ratios_is_a_point_and_of_one_ratio_has_no_end() -> None:
    assert before_after.interval([1.02] * 5).met
    alone = before_after.interval([0.5])
    assert (alone.mean, alone.low, alone.high, alone.met) == (pytest.approx(0.5), 0.0, math.inf, False)


def test_a_summary_pairs_repetitions() -> None:
    runs = [{"before": {"a": 2.0, "b": 1.0}, "after": {"a": 3.0, "b": 1.0}, "same_answers": i == 0} for i in range(2)]
    found = before_after.summarised({"part": runs})
    assert found["a"]["ratios"] == [1.5, 1.5]
    assert (found["a"]["ratio"], found["a"]["met"], found["a"]["same_answers"]) == (pytest.approx(1.5), False, False)
    assert found["b"]["met"]
    json.dumps(found, allow_nan=False)


def test_a_digest_sees_every_bit_and_no_order_of_keys() -> None:
    assert unchanged.digest({"a": 1, "b": 2}) == unchanged.digest({"b": 2, "a": 1})
    bits = [unchanged_items.exact({"x": value}) for value in (0.1, float(np.nextafter(0.1, 1)))]
    assert unchanged.digest(bits[0]) != unchanged.digest(bits[1])
    assert unchanged_items.exact({"x": float("nan")}) == {"x": "nan"}


def test_tensors_of_a_file_have_a_digest_of_name_type_shape_and_bytes(tmp_path: Path) -> None:
    values = torch.arange(6, dtype=torch.float32)
    variants = [{"a": values}, {"b": values}, {"a": values.view(2, 3)}, {"a": values.int()}, {"a": values + 1}]
    digests = set()
    for i, tensors in enumerate(variants):
        save_file(tensors, tmp_path / f"{i}.safetensors", metadata={"any": "text"})
        digests |= set(unchanged_items.tensors(tmp_path / f"{i}.safetensors").values())
    assert len(digests) == len(variants)


@pytest.mark.parametrize("small", [False, True])
def test_a_record_equals_itself_and_new_metrics_are_no_difference(small: bool) -> None:
    before = recorded(TRIAL)
    before = unchanged.compact(before) if small else before
    now = {"trials": [{"metrics": {**TRIAL["metrics"], "loss_se": "0x1p-4"}, "genes": {"depth": 2}}]}
    verdict = unchanged.compared("evaluate", before["items"]["evaluate"], now)  # type: ignore[index]
    assert (verdict.difference, verdict.added, verdict.wrong) == (None, ("loss_se",), False)


@pytest.mark.parametrize(
    ("now", "where"),
    [
        ([{**TRIAL, "genes": {"depth": 3}}], "trials[0].genes.depth is 3, was 2"),
        ([{**TRIAL, "metrics": {"accuracy": (0.5).hex()}}], "trials[0].metrics.loss is missing"),
        ([{**TRIAL, "metrics": {**TRIAL["metrics"], "loss": (1.5).hex()}}], "trials[0].metrics.loss is 1.5, was 1.25"),
        ([TRIAL, TRIAL], "trials has 2 entries, had 1"),
    ],
)
def test_the_first_difference_has_its_place(now: list[object], where: str) -> None:
    before = recorded(TRIAL)["items"]["evaluate"]  # type: ignore[index]
    assert unchanged.compared("evaluate", before, {"trials": now}).difference == where
    by_digest = unchanged.compact(recorded(TRIAL))["items"]["evaluate"]
    assert unchanged.compared("evaluate", by_digest, {"trials": now}).wrong


def test_a_difference_with_a_reason_is_not_wrong_and_a_failure_says_why() -> None:
    (item,) = unchanged.EXPECTED
    verdict = unchanged.compared(item, {"trials": [TRIAL]}, {"trials": []})
    assert not verdict.wrong
    assert unchanged.EXPECTED[item] in str(verdict)
    failed = unchanged.compared("evaluate", {"trials": [TRIAL]}, {"failed": "exit status 1"})
    assert failed.difference == "exit status 1"
    assert unchanged.compared("evaluate", None, {"trials": []}).wrong


def test_expected_differences_and_the_parts_of_a_side_exist() -> None:
    assert unchanged.EXPECTED.keys() <= unchanged_items.ITEMS.keys()
    assert before_after.SETTINGS.keys() == before_after.TINY.keys()


@pytest.mark.parametrize("name", before_after_side.USED)
def test_benchmarks_have_what_a_side_uses(name: str) -> None:
    if name == "ray_pool":
        pytest.importorskip("ray", reason="its pool is Ray's")
    before_after_side.benchmark(name)


def test_a_side_can_count_what_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "time", time)  # put back after the test
    before_after_side.benchmark("overhead", cpu_clock=True)
    assert overhead.time.perf_counter is time.process_time


def test_items_are_chosen_by_how_they_begin(tmp_path: Path) -> None:
    assert chosen(["search: a", "search: b", "exports"], ["search"]) == ["search: a", "search: b"]
    assert chosen(["a", "b"], None) == ["a", "b"]
    with pytest.raises(SystemExit, match="there are a, b"):
        chosen(["a", "b"], ["c"])
    with pytest.raises(SystemExit, match="no checkout"):
        checkout(tmp_path)


def test_lines_and_sizes_are_counted_by_folder(tmp_path: Path) -> None:
    assert lines.folder_of("nas/supernets/rules/bignas.py") == "supernets"
    assert lines.folder_of("nas/errors.py") == lines.ROOT
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert installation.size(tmp_path) == 6
