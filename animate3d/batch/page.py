"""index.html: all results of a batch with their previews, to sort and to filter; one file, no library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).with_name("page.html")


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page of the rows of a record."""
    data = json.dumps(rows, default=str).replace("<", "\\u003c")  # no text of a row ends the script
    return _PAGE.read_text(encoding="utf-8").replace("/*ROWS*/[]", data)
