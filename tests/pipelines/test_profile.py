from __future__ import annotations

from typing import Any

from nas.pipelines.profile import slower_than, verdict


def row(digest: str, macs: int, latency_ms: float) -> dict[str, Any]:
    return {"digest": digest, "macs": macs, "latency_ms": latency_ms}


def judged(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    for i, each in enumerate(rows):
        each["slower_than"] = slower_than(each, list(rows[i + 1 :]))
    return list(rows)


def test_smaller_but_not_faster_is_found_and_said() -> None:
    rows = judged(row("a", 100, 3.0), row("b", 200, 2.0), row("c", 400, 1.0), row("d", 800, 5.0))
    assert [each["slower_than"] for each in rows] == ["c", "c", None, None]
    text = verdict(rows)
    assert "smaller but not faster: 2 of 4 members" in text
    assert "a has 75% fewer macs than c" in text


def test_no_faster_member_is_bigger() -> None:
    assert "fewer macs are less time" in verdict(judged(row("a", 100, 1.0), row("b", 200, 2.0)))


def test_equal_macs_are_not_smaller() -> None:
    assert slower_than(row("a", 100, 3.0), [row("b", 100, 1.0)]) is None
