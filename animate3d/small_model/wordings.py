"""How well the reader of prompts reads wordings that were written before it was: `wordings.json`.

    python -m animate3d.small_model.wordings

The part "dev" may be looked at while the reader is made; the figures that count are those of the part "test".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from animate3d.bundled_model.reading import READER_FOLDER, Reader, Reading
from animate3d.bundled_model.sentences import SentenceEncoder
from animate3d.creatures.moves import MOVES
from animate3d.errors import run_command
from animate3d.files import read_json

WORDINGS = Path(__file__).with_name("wordings.json")


def judgements(reader: Reader, part: str) -> Iterator[tuple[str, str, bool, Reading]]:
    """What is asked, the prompt, whether it was read right, and the reading."""
    for kind, rows in read_json(WORDINGS).items():
        for row in rows:
            if row["part"] == part:
                reading = reader.read(row["prompt"])
                for question, right in _answers(kind, row, reading).items():
                    yield question, row["prompt"], right, reading


def summary(reader: Reader, part: str) -> dict[str, dict[str, int]]:
    """How many answers to every question are right, of how many."""
    found: dict[str, list[bool]] = {}
    for question, _, right, _ in judgements(reader, part):
        found.setdefault(question, []).append(right)
    return {name: {"right": sum(answers), "of": len(answers)} for name, answers in found.items()}


def _answers(kind: str, row: Mapping[str, Any], reading: Reading) -> dict[str, bool]:
    names = [name for name, _ in reading.moves]
    if kind == "far":
        return {"far is not known": not reading.known and len(reading.nearest) > 0}
    if kind == "still":
        return {"nothing is to move": reading.known and not names}
    if kind == "pairs":
        return {"two moves": {*names, *reading.left_out} == set(row["moves"])}
    right = names == [row["move"]]
    if kind == "motions":
        accepted = len(names) == 1 and names[0] in (row["move"], *row.get("also", ()))
        return {"move": right, "move, or another that a person would accept": accepted}
    manners = _manners(row, reading)
    return {"move of a prompt with an adverb": right, "adverbs": all(manners.values()), **manners}


def _manners(row: Mapping[str, Any], reading: Reading) -> dict[str, bool]:
    """Whether the first move is done as it was asked for: farther, faster, which way; nothing it cannot do."""
    asked = [key for key in ("amplitude", "speed", "direction") if key in row]
    if not reading.moves:
        return dict.fromkeys(asked, False)
    name, manner = reading.moves[0]
    move, found = MOVES[name], {}
    for key in asked:
        wanted, value = row[key], getattr(manner, key)
        if key == "direction":
            found[key] = value == (wanted if wanted in move.directions else "")
        elif wanted in ("+", "-"):
            found[key] = value > 1 if wanted == "+" else value < 1
        else:  # how often
            found[key] = (manner.count or move.beats) == wanted
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the shares, and the prompts that were misread."""
    parser = argparse.ArgumentParser(prog="animate3d.small_model.wordings", description=__doc__.splitlines()[0])
    parser.add_argument("--reader", type=Path, default=READER_FOLDER, help="folder of the reader")
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--misread", action="store_true", help="list what was misread")
    options = parser.parse_args(argv)
    reader = Reader(SentenceEncoder.load(options.reader))
    for name, found in summary(reader, options.part).items():
        sys.stdout.write(f"{name}: {found['right']} of {found['of']}\n")
    if options.misread:
        for question, prompt, right, reading in judgements(reader, options.part):
            if not right:
                said = [f"{name} {manner}" for name, manner in reading.moves] or reading.nearest
                sys.stdout.write(f"{question}: {prompt!r} -> {said} ({reading.confidence:.2f})\n")
    return 0


if __name__ == "__main__":
    run_command(main)
