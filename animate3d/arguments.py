"""Command lines from dataclasses of options: flags, help and defaults stand in the dataclass."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar, cast, get_type_hints

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, arg

from animate3d.errors import InputError

Options = TypeVar("Options")

Folder: TypeAlias = Annotated[Path, arg(metavar="DIR")]
OptionalFolder: TypeAlias = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
OptionalFile: TypeAlias = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
OptionalText: TypeAlias = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]
OptionalCount: TypeAlias = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
OptionalNumber: TypeAlias = Annotated[float | None, arg(metavar="X", help_behavior_hint="")]

HERE = "local"
"""What ``--ray`` without an address is: this machine."""
RAY = "with Ray: on this machine, or join a cluster (auto, ray://HOST:10001)"
RayAddress: TypeAlias = Annotated[str | None, arg(metavar="ADDRESS", help=RAY, help_behavior_hint="")]

_ADDRESS = re.compile(r"local|auto|ray://.+|[\w.\[\]:-]+:\d+")
_NEAR = 0.75  # how alike an unknown flag is to the one that was perhaps meant
_SETTING = re.compile(r"[A-Za-z_][\w.:\[\]]*=")


def group(title: str) -> Any:
    """Marks a field that is a dataclass of flags: its title in the help."""
    return arg(name=title)


def parse(
    options: type[Options], arguments: Sequence[str], *, prog: str, summary: str, examples: str, settings: bool = False
) -> tuple[Options, tuple[str, ...]]:
    """Options from a command line, and the ``key=value`` words, which may stand anywhere.

    Args:
        options: a dataclass; fields that are dataclasses themselves are groups of flags.
        settings: take ``key=value``; otherwise they are an error, as every other word that is left over.

    Raises:
        SystemExit: with 0 after the help, with 2 after one sentence about what is wrong.
    """
    words = _with_address(arguments) if "--ray" in _flags(options) else list(arguments)
    pairs = list(pairwise(["", *words]))
    given = [word for before, word in pairs if settings and _SETTING.match(word) and not before.startswith("-")]
    if "--out=" in words or ("--out", "") in pairs:
        refuse(prog, "--out is empty; name a folder for the results")
    said = StringIO()
    try:
        with redirect_stderr(said):
            found, rest = tyro.cli(
                options,
                prog=prog,
                description=f"{summary[0].upper()}{summary[1:]}.\n\n{examples.strip()}",
                args=[word for word in words if word not in given],
                return_unknown_args=True,
                config=(OmitArgPrefixes, FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if stop.code:
            mistyped = [word for word in words if word.startswith("--") and _flag(word) not in _flags(options)]
            refuse(prog, _unknown(mistyped, options) if mistyped else _sentence(said.getvalue()))
        raise
    if settings:
        found, taken = _without_settings(found)
        rest = [*rest, *(word for word in words if Path(word) in taken)]
    unknown = [word for word in rest if not (settings and _SETTING.match(word))]
    if unknown:
        refuse(prog, _unknown(unknown, options))
    return found, tuple(word for word in words if word in given or word in rest)


def check_out(out: Path, frames: Path | None = None) -> None:
    """A folder that results can go to.

    Args:
        frames: folder of the images that the run reads.

    Raises:
        InputError: it is a file or below one, or it is the folder of the frames.
    """
    for place in (out, *out.parents):
        if place.is_file():
            raise InputError(f"{place} is a file, not a folder; give another --out.")
    if frames is not None and frames.resolve() == out.resolve():
        raise InputError(f"The results would lie among the frames in {frames}; give another --out.")


def ray_address(text: str) -> str:
    """The value of ``--ray``, as argparse checks it."""
    if not _ADDRESS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"`{text}` is no address of a cluster: auto, ray://HOST:10001, or none")
    return text


def add_ray(parser: Any, instead: str = "") -> None:
    """Give a parser of argparse the flag ``--ray [ADDRESS]``, in place of what else says who does the work."""
    words = RAY.replace("with Ray", f"with Ray instead of {instead}") if instead else RAY
    parser.add_argument("--ray", nargs="?", const=HERE, type=ray_address, metavar="ADDRESS", help=words)


def _with_address(arguments: Sequence[str]) -> list[str]:
    """The words of a command line, in which ``--ray`` without an address says that it is this machine."""
    words: list[str] = []
    for word, after in zip(arguments, [*arguments[1:], ""], strict=False):
        words += [word, HERE] if word == "--ray" and not _ADDRESS.fullmatch(after) else [word]
    return words


def _flag(word: str) -> str:
    """The flag of ``--some_flag=value``."""
    return word.partition("=")[0].replace("_", "-")


def _flags(options: type) -> set[str]:
    """Every flag of a dataclass of options and of the groups in it."""
    found = {"--help"}
    for name, kind in get_type_hints(options).items():
        if is_dataclass(kind):
            found |= _flags(cast(type, kind))
        else:
            found |= {f"--{prefix}{name.replace('_', '-')}" for prefix in ("", "no-")}
    return found


def _unknown(words: Sequence[str], options: type) -> str:
    """What is wrong with words that are no flags, and which flags were perhaps meant."""
    close = [match for word in words for match in get_close_matches(_flag(word), sorted(_flags(options)), 1, _NEAR)]
    meant = f"; did you mean {', '.join(close)}?" if close else ""
    return f"unrecognized arguments: {' '.join(words)}{meant}"


def _without_settings(found: Options) -> tuple[Options, set[Path]]:
    """Options without the ``key=value`` words that were taken for further files, and these: after a switch they look
    like its neighbours."""
    taken: set[Path] = set()
    for name, value in vars(found).items():
        if isinstance(value, tuple) and any(wrong := [bool(_SETTING.match(str(item))) for item in value]):
            taken |= {item for item, setting in zip(value, wrong, strict=True) if setting}
            found = replace(found, **{name: tuple(item for item in value if item not in taken)})  # type: ignore[type-var]
    return found, taken


def refuse(prog: str, sentence: str) -> NoReturn:
    """End with the exit code of a wrong command line."""
    sys.stderr.write(f"{prog}: error: {sentence} (see {prog} --help)\n")
    raise SystemExit(2)


def _sentence(box: str) -> str:
    """What a message of tyro says: between its title and the next rule; the frame depends on the terminal."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    said: list[str] = []
    for line in lines[1:]:
        if not line.strip("─-"):
            if said:
                break
        else:
            said.append(line)
    return _plain(" ".join(said).rstrip("."))


def _plain(text: str) -> str:
    """A message of tyro in words for people."""
    if match := re.match(r"Error parsing (\S+): .*?(int|INT|float|FLOAT).*?\[?'([^']*)'\]?$", text):
        flag, kind, value = match.groups()
        return f"{flag} takes a {'whole ' if kind.lower() == 'int' else ''}number, not '{value}'"
    if match := re.match(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\)$", text):
        value, flag, choices = match.groups()
        known = [choice.strip("' ") for choice in choices.split(",")]
        return f"{flag} is one of {', '.join(choice for choice in known if choice and choice != 'None')}, not '{value}'"
    if match := re.match(r"Missing from .*?: (.*) \(required\)$", text):
        return f"missing: {match.group(1)}".replace(" (required) ", "; ")
    if match := re.match(r"Error parsing [a-z_]+: (The .*)$", text):  # what a group of flags says of its values
        return match.group(1)
    return text
