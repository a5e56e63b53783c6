"""The table "Where is it decided?" of docs/architecture.md leads to the places it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "docs" / "architecture.md").read_text().split("## Where is it decided?")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` \| [^|]+ \|$", SECTION, re.MULTILINE)


def test_the_table_is_read() -> None:
    assert len(ROWS) == SECTION.count("\n| ") - 1 >= 10  # but for the head


@pytest.mark.parametrize(("question", "word", "place"), ROWS, ids=[row[0] for row in ROWS])
def test_the_search_leads_to_the_place(question: str, word: str, place: str) -> None:
    lines = [line for line in (ROOT / place).read_text().splitlines() if word in line]
    decides = rf"(^\s*(def|class) {re.escape(word)}\b)|({re.escape(word)}\b[^=]*[=:])|({re.escape(word)}\")"
    assert any(re.search(decides, line) for line in lines), f"{place} does not decide `{word}`"
