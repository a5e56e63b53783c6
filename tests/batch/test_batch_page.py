"""The page holds every row and nothing that a row says can end its script."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from animate3d.batch.page import page
from animate3d.batch.record import aligned

ROWS = aligned(
    [
        {"folder": "a", "status": "done", "seconds": 8.5, "explained": 0.7, "prompt": "it </script> walks"},
        {"folder": "b", "status": "failed", "error": "b.glb does not exist."},
    ]
)


def test_every_row_is_in_it() -> None:
    made = page(ROWS)
    assert "b.glb does not exist." in made
    assert "/*ROWS*/" not in made


def test_no_text_of_a_row_ends_the_script() -> None:
    assert page(ROWS).count("</script>") == 1


@pytest.mark.slow
def test_a_browser_filters_and_sorts(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    (tmp_path / "index.html").write_text(page([{**ROWS[0], "seconds": 3.0, "folder": "c"}, *ROWS]))
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab, errors = opened.new_page(), []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"file://{tmp_path}/index.html")
        assert tab.locator("article a").all_inner_texts() == ["c", "a", "b"]
        assert not tab.locator("#more").is_visible()
        tab.select_option("#sort", "seconds")
        tab.select_option("#status", "done")
        tab.click("#turn")
        assert tab.locator("article a").all_inner_texts() == ["a", "c"]
        tab.select_option("#status", "")
        tab.fill("#text", "not exist")
        assert tab.locator("article a").all_inner_texts() == ["b"]
        opened.close()
    assert not errors
