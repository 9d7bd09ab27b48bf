from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nas.proxies import BASELINES, PROXIES
from tests.cli.calling import nas

TASK = ("proxies", "--space", "nasbench201", "--preset", "tiny", "--data", "digits", "--device", "cpu")
SMALL = ("--sample", 6, "--images", 12)
needs_data = pytest.mark.skipif("NAS_DATA_DIR" not in os.environ, reason="needs the data folder")


def test_scores_of_a_space_without_accuracies(tmp_path: Path) -> None:
    outcome = nas(*TASK, *SMALL, "--proxies", "snip,nwot", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "no accuracies" in outcome.out
    assert all(name in outcome.out for name in ("snip", "nwot", *BASELINES))
    assert max(len(line) for line in outcome.out.splitlines() if "/" not in line) <= 80
    kept = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(kept) == len({row["digest"] for row in kept}) == 6
    assert all(row["scores"].keys() == {"snip", "nwot", *BASELINES} for row in kept)


def test_all_of_them_compared_with_a_supernet(finished: Path, tmp_path: Path) -> None:
    words = ("proxies", "--supernet", finished, "--proxies", "all", *SMALL, "--device", "cpu", "--out", tmp_path)
    outcome = nas(*words, "--json")
    assert outcome.code == 0, outcome.err
    rows = {row["proxy"]: row for row in outcome.document["proxies"]}
    assert rows.keys() == {*PROXIES, "te_nas", "az_nas"} - {"wpca", "vpca"}
    assert rows["params"]["partial_spearman"] is None
    for row in rows.values():
        assert {"spearman", "kendall", "partial_spearman", "top_spearman", "best_of_100", "seconds"} <= row.keys()
        assert row["best_of_100"] is None  # of six there are no hundred
    assert (tmp_path / "proxies.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "proxies.json").read_text()) == outcome.document
    text = nas(*words).out
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 80


def test_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    kept = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert nas(*TASK, *SMALL, "--proxies", "snip", "--seed", seed, "--out", tmp_path / name).code == 0
        kept.append((tmp_path / name / "scores.jsonl").read_text())
    assert kept[0] == kept[1] != kept[2]


@needs_data
def test_a_table_gives_the_accuracies(tmp_path: Path) -> None:
    task = ("--space", "nasbench201", "--preset", "tiny", "--data", "cifar10:images/cifar10_jpeg.tar.xz")
    words = ("proxies", *task, *SMALL, "--proxies", "snip", "--out", tmp_path, "--json")
    assert nas(*words).document["accuracies"] is None  # those of the table are other networks'
    outcome = nas(*words, "--table", "nas/nb201_full.csv.xz")
    assert outcome.code == 0, outcome.err
    assert outcome.document["accuracies"] == "nas/nb201_full.csv.xz"
    assert "preset tiny" in outcome.document["note"]
    assert outcome.document["networks"] == 6


@needs_data
def test_encoders_of_text(tmp_path: Path) -> None:
    task = ("--space", "flexibert", "--data", "text:text/wikitext2_valid.txt", "--sample", 3, "--images", 2)
    outcome = nas("proxies", *task, "--proxies", "wpca,vpca", "--out", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["accuracies"] == "nas/flexibert_250.json"
    rows = {row["proxy"]: row for row in outcome.document["proxies"]}
    assert rows.keys() == {"wpca", "vpca", *BASELINES}


def test_all_that_can_read_text(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(" ".join(str(i * i % 97) for i in range(2000)))
    task = ("--space", "flexibert", "--preset", "tiny", "--data", f"text:{text}", "--sample", 3, "--images", 4)
    outcome = nas("proxies", *task, "--proxies", "all", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "made up" in outcome.out
    kept = (tmp_path / "out" / "scores.jsonl").read_text()
    assert all(name in kept for name in ("gradsign", "wpca", "snip", "nwot"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TASK, "--proxies", "gradsing"), "gradsign"),
        ((*TASK, "--proxies", ","), "names none"),
        ((*TASK, "--proxies", "wpca"), "feed-forward"),
        (("proxies", "--space", "nasbench201"), "--data"),
        (("proxies", "--space", "nasbenchh", "--data", "digits"), "nasbench201"),
        ((*TASK, "--table", "missing.csv"), "missing.csv"),
        ((*TASK, "--table", __file__), "CIFAR-10"),
        (("proxies", "--space", "mobilenet", "--data", "digits", "--table", __file__), "no benchmark table"),
        (("proxies", "--space", "flexibert", "--data", "text:missing.txt"), "missing.txt"),
        (("proxies", "--space", "flexibert", "--data", "digits"), "is for TextClassification"),
        (("proxies", "--space", "nasbench201", "--data", "text:x"), "is for ImageClassification"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[object, ...], said: str, tmp_path: Path) -> None:
    outcome = nas(*words, "--out", tmp_path / "out")
    assert outcome.code in (1, 2)
    assert said in outcome.err.splitlines()[-1]
    assert outcome.err.splitlines()[-1].startswith("error: ")
    assert "internal" not in outcome.err
