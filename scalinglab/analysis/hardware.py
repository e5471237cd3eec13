"""FLOPs as hours and money: a device's peak, the share of it that training reaches, a price."""

import difflib
import math
from dataclasses import dataclass, replace

from scalinglab.errors import InputError

MFU = 0.4
"""Model FLOPs utilisation assumed where none is given: well-tuned training reaches 0.35 to 0.55 (PaLM: 0.46)."""


@dataclass(frozen=True)
class Hardware:
    """Devices that train. peak: dense FLOP/s of one in the precision trained in; mfu: share of it that is used.

    price: of a device-hour, in whatever currency, None where it is not known.
    """

    name: str
    peak: float
    mfu: float = MFU
    price: float | None = None

    def __post_init__(self) -> None:
        if not (self.peak > 0 and math.isfinite(self.peak)):
            raise InputError(
                f"hardware {self.name!r}: peak FLOP/s must be a positive number, not {self.peak!r}"
            )
        if not 0 < self.mfu <= 1:
            raise InputError(
                f"hardware {self.name!r}: MFU is a share between 0 and 1, such as 0.4, not {self.mfu!r}"
            )
        if self.price is not None and not self.price >= 0:
            raise InputError(f"hardware {self.name!r}: a price per hour cannot be {self.price!r}")

    def hours(self, flops: float) -> float:
        """Device-hours that `flops` take: flops / (peak · MFU) / 3600."""
        return flops / (self.peak * self.mfu) / 3600.0

    def money(self, flops: float) -> float:
        """What they cost. Raises InputError where the price is not given."""
        if self.price is None:
            raise InputError(f"hardware {self.name!r} has no price: give the price of a device-hour")
        return self.hours(flops) * self.price

    def __str__(self) -> str:
        price = "" if self.price is None else f", {self.price:g} a device-hour"
        return f"{self.name} ({self.peak:.3g} FLOP/s peak at {self.mfu:.0%} MFU{price})"


HARDWARE: dict[str, Hardware] = {
    name: Hardware(name, peak)
    for name, peak in {
        "v100": 125e12,  # fp16 tensor cores
        "a100": 312e12,
        "h100": 989e12,
        "h200": 989e12,
        "b200": 2250e12,
        "tpu-v4": 275e12,
        "tpu-v5e": 197e12,
        "tpu-v5p": 459e12,
    }.items()
}
"""By name: dense bf16 peak of one device from its maker's data sheet. Prices change too fast to be kept here."""


def hardware(
    what: "str | float | Hardware", mfu: float | None = None, price: float | None = None
) -> Hardware:
    """Hardware from its name, or from its peak in FLOP/s ("1.5e14"), with the MFU and price given.

    Raises InputError for an unknown name or impossible numbers.
    """
    if isinstance(what, Hardware):
        found = what
    elif not isinstance(what, str):
        found = Hardware(f"{float(what):.3g} FLOP/s", float(what))
    elif what.lower() in HARDWARE:
        found = HARDWARE[what.lower()]
    else:
        try:
            found = Hardware(f"{float(what):.3g} FLOP/s", float(what))
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            near = difflib.get_close_matches(what.lower(), HARDWARE, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"known: {', '.join(HARDWARE)}; or its peak in FLOP/s"
            )
            raise InputError(f"hardware {what!r} is not known; {hint}") from None
    share = found.mfu if mfu is None else mfu
    return replace(found, mfu=share, price=found.price if price is None else price)
