"""The grammar of settings after a command: ``key=value`` for the motion fit, ``step:key=value`` for one step."""

from __future__ import annotations

from collections.abc import Sequence

from animate3d.errors import InputError

FIT, REFINE = "fit", "refine"
_NAMES = {FIT: FIT, REFINE: REFINE, "recon": FIT}  # the test set's folder of the fit is called recon


def settings_of(step: str, overrides: Sequence[str]) -> tuple[str, ...]:
    """The ``key=value`` of one step, in the order given.

    Raises:
        InputError: an override that is not of the grammar.
    """
    return tuple(setting for name, setting in map(_parsed, overrides) if name == step)


def _parsed(override: str) -> tuple[str, str]:
    """Step and ``key=value``; ``refine.key=value`` is an older spelling of ``refine:key=value``."""
    key, equals, _ = override.partition("=")
    step, colon, rest = key.partition(":")
    if not colon and key.startswith(f"{REFINE}."):
        step, colon, rest = REFINE, ":", key.removeprefix(f"{REFINE}.")
    if not equals or not (rest if colon else key) or (colon and step not in _NAMES):
        raise InputError(
            f"`{override}` is not a setting of the form key=value (of the fit) or step:key=value "
            f"(steps: {', '.join(_NAMES)})."
        )
    return (_NAMES[step], override[len(step) + 1 :]) if colon else (FIT, override)
