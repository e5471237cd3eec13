"""The constants of a fit or a bootstrap as a tidy frame."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalinglab.laws._law import Law

if TYPE_CHECKING:
    from scalinglab.fitting._bootstrap import Bootstrap


def constants_frame(
    law: Law, values: Mapping[str, float], boot: "Bootstrap | None", level: float
) -> pd.DataFrame:
    """Index constant; columns value, stderr, lo, hi (NaN without a bootstrap), unit, meaning. attrs: law, level.

    Raises InputError for a level outside (0, 1).
    """
    names = list(law.constant_names)
    table = pd.DataFrame({"value": [values[name] for name in names]}, pd.Index(names, name="constant"))
    ends = None if boot is None else boot.interval(level)
    table["stderr"] = np.nan if boot is None else boot.stderr
    for end in ("lo", "hi"):
        table[end] = np.nan if ends is None else ends[end]
    table["unit"] = [constant.unit for constant in law.constants]
    table["meaning"] = [constant.meaning for constant in law.constants]
    table.attrs = {"law": law.name, "level": level}
    return table
