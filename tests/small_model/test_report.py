from functools import partial
from pathlib import Path
from typing import Any

from animate3d.small_model.report import summary, write_report
from animate3d.small_model.rows import remembered


def clip(group: str, right: bool, iou: float, taken_for: str = "spin") -> dict[str, Any]:
    return {
        "uid": f"0000_{group}",
        "kind": "robot",
        "group": group,
        "move": "hop",
        "prompt": "the robot is hopping",
        "choices": 10,
        "right": right,
        "right_or_static": right,
        "taken_for": taken_for,
        "iou": iou,
        "static_iou": 0.5,
        "energy": 1.2,
        "psnr": 20.0,
    }


def animation(uid: str, cosine: float, group: str = "part") -> dict[str, Any]:
    same = {"amplitude": 0.9, "error": 0.04, "right_after_tracking": True, "read_as": "hopping"}
    return {**clip(group, True, 0.9), **same, "uid": uid, "cosine": cosine, "picture": f"pictures/{uid}.png"}


def test_groups_are_counted_and_what_failed_is_named(tmp_path: Path) -> None:
    rows = [clip("part", True, 0.9), clip("whole body", False, 0.5)]
    text = write_report(tmp_path, rows).read_text()
    assert "| part | 1 | 1/1 (100 %) (chance 10 %) | 1/1 (100 %) | 0.90 | 0.50 | 1.20 | 20.0 dB |  |" in text
    assert "| **all** | 2 | 1/2 (50 %) (chance 10 %) | 1/2 (50 %) | 0.70 | 0.50 | 1.20 | 20.0 dB | spin 1 |" in text
    assert "Not recognised, for example: 0000_whole body “the robot is hopping” as spin." in text
    assert "Animations" not in text
    assert summary(rows)["part: prompted motion is nearest"] == "1/1 (100 %)"


def test_the_worst_animations_come_first_and_what_does_not_move_does_not_count(tmp_path: Path) -> None:
    rows = [animation("good", 0.95), animation("bad", 0.2), animation("still", float("nan"))]
    text = write_report(tmp_path, [], rows).read_text()
    assert text.index("pictures/bad.png") < text.index("pictures/good.png")
    assert summary([], rows)["part, animated: cosine"] == 0.575


def test_facings_are_compared_per_object(tmp_path: Path) -> None:
    rows = [animation(f"{name}_{yaw:03d}", cosine, "facing") for name, yaw, cosine in
            [("a", 0, 0.9), ("a", 45, 0.7), ("b", 0, 0.9), ("b", 45, 0.9)]]  # fmt: skip
    assert "| a | 0.70 | 0.90 | 0.20 |" in write_report(tmp_path, [], rows).read_text()
    found = summary([], rows)
    assert found["largest difference of the cosines at eight facings"] == 0.2
    assert not any("animated" in name for name in found)


def test_adverbs_are_counted_by_word(tmp_path: Path) -> None:
    words = [{"word": "gently", "without": 1.0, "with": 0.5, "right": True},
             {"word": "gently", "without": 1.0, "with": 1.1, "right": False}]  # fmt: skip
    text = write_report(tmp_path, [], [], [{"uid": "0", "words": words}]).read_text()
    assert "| gently | 2 | 1/2 (50 %) | 1.00 | 0.80 |" in text


def test_a_row_is_made_once(tmp_path: Path) -> None:
    first, second = (remembered(tmp_path, "part", "a", partial(dict, value=value)) for value in (1, 2))
    assert first == second == {"value": 1}
