"""How many of two hundred wordings are read as the motion that they were written for: `moves_wordings.json`.

    python benchmarks/moves_wordings.py --misread

They were written from the list of motions in docs/moves.md alone, before the reader's own phrases were looked at, and
nothing was tuned on them. `moves_tuning.json` is what may be tuned on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from animate3d.bundled_model.prompts import literal, reading_of
from animate3d.bundled_model.reading import Reading
from animate3d.creatures.moves import MOVES
from animate3d.files import read_json

HERE = Path(__file__).parent


def the_same(reading: Reading, template: Reading) -> bool:
    """Whether one motion is read, the template's, and the same way where the template says which."""
    if not reading.known or len(reading.moves) != 1 or reading.left_out:
        return False
    (name, manner), (wanted, asked) = reading.moves[0], template.moves[0]
    usual = next(iter(MOVES[name].directions), "")
    return name == wanted and asked.direction in ("", manner.direction or usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the wordings that may be tuned on instead")
    parser.add_argument("--misread", action="store_true", help="list what was misread")
    args = parser.parse_args()
    rows = read_json(HERE / ("moves_tuning.json" if args.tuning else "moves_wordings.json"))
    right, count = 0, 0
    for phrase, wordings in rows.items():
        template = literal(f"it is {phrase}")
        assert template is not None, phrase
        for wording in wordings:
            reading = reading_of(wording)
            count += 1
            if the_same(reading, template):
                right += 1
            elif args.misread:
                said = [f"{name} {manner.direction}".strip() for name, manner in reading.moves]
                said = said if reading.known else [f"not known, {reading.nearest[0]}"]
                print(f"{phrase}: {wording!r} -> {', '.join(said)} ({reading.confidence:.2f})")
    print(f"{right} of {count} ({right / count:.0%}) are the same motion as the template")


if __name__ == "__main__":
    main()
