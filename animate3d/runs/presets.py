"""Settings that belong together: how large a model makes the videos, and how much is to move."""

from __future__ import annotations

from dataclasses import dataclass, replace

from animate3d.errors import InputError
from animate3d.mvvdm.sampler import RELEASED, SamplerSettings

_STRENGTHS = (0.25, 4.0)


@dataclass(frozen=True)
class Preset:
    """Settings of the steps from a prompt to a motion.

    Attributes:
        bundled: the videos come from the model in this package; else from the released weights.
        sampler: how the videos are sampled.
        rigidity: factor on the weights that hold the model's shape, in tracking and in the fit.
    """

    bundled: bool
    sampler: SamplerSettings
    rigidity: float = 1.0

    def with_motion_strength(self, strength: float) -> Preset:
        """The preset for more (above 1) or less motion.

        Guidance pulls the videos towards the prompt, rigidity holds the model back, and every round of FreeInit
        smooths the motion: guidance grows with the strength, the other two fall.

        Raises:
            InputError: outside of 0.25 to 4.
        """
        low, high = _STRENGTHS
        if not low <= strength <= high:
            raise InputError(f"The motion strength is {strength:g}; it lies between {low:g} and {high:g}, 1 is usual.")
        rounds = self.sampler.freeinit_num_iters
        sampler = replace(
            self.sampler,
            # Below 1 guidance would turn away from the prompt.
            guidance_scale=max(1.0, self.sampler.guidance_scale * strength**0.5),
            freeinit_num_iters=rounds and max(1, round(rounds / strength)),
        )
        return replace(self, sampler=sampler, rigidity=self.rigidity / strength)


# The bundled model's videos are small and smeared in places: only a stiff surface follows what moves and not that.
PRESETS = {
    "laptop": Preset(
        bundled=True,
        sampler=SamplerSettings(
            size=64, frames=8, context_length=8, steps=10, guidance_scale=2.0, freeinit_num_iters=0
        ),
        rigidity=10.0,
    ),
    "full": Preset(bundled=False, sampler=RELEASED),
}
"""``laptop`` is chosen where no weights are given."""


def choose_preset(name: str | None, *, weights_given: bool) -> Preset:
    """The preset of a name; without one, the bundled model unless weights are given.

    Args:
        name: of a preset, or None; weights that are given are those of the full model.
        weights_given: whether the user named weights.

    Raises:
        InputError: an unknown name.
    """
    if name is None:
        name = "full" if weights_given else "laptop"
    if name not in PRESETS:
        raise InputError(f"The preset `{name}` is unknown; known are: {', '.join(PRESETS)}.")
    return PRESETS[name]
