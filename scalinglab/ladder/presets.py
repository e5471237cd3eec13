"""Decays in shares of a horizon, and the two that have names."""

from dataclasses import dataclass

from scalinglab.errors import InputError
from scalinglab.ladder.decay import Decay, check_shape


@dataclass(frozen=True)
class DecaySpec:
    """A decay over the last `share` of any horizon.

    Raises InputError for a share outside (0, 1), and for a shape or floor that `Decay` would refuse.
    """

    shape: str
    share: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_shape(self.shape, self.floor)
        if not 0.0 < self.share < 1.0:
            raise InputError(f"a decay share of {self.share} must lie between 0 and 1, such as 0.1")

    def decay(self, end: int) -> Decay:
        """The decay of a horizon of `end` updates: its last round(share·end), one at least.

        Raises InputError when no update is left before it.
        """
        steps = max(1, round(self.share * end))
        if steps >= end:
            raise InputError(
                f"a horizon of {end} update{'s' * (end != 1)} leaves no update before its decay of {steps}; "
                "use a longer horizon or a smaller share"
            )
        return Decay(self.shape, end - steps, steps, self.floor)


PRESETS = {
    "default": DecaySpec("1-sqrt", 0.2),
    "minicpm": DecaySpec("exponential", 0.1, 0.1),
}
"""Name -> decay.

default: Hägele et al. 2024, 1-sqrt over a fifth of the horizon down to zero, the best they print for 20 %.
minicpm: the exponential shape and a tenth of the horizon are printed (Hu et al. 2024, section 4; half-lives of 5000
and 8000 steps for runs of their own length). The floor is not: 0.1 of the peak, reached at the decay's end, is our
reading, so that the half-life, 0.301 of the decay, goes with the horizon.
"""
