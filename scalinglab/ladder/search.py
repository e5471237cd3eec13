"""The section `[search]` of a study file: which constants are looked for, on which size, with how many short runs."""

from typing import Annotated

from pydantic import BaseModel, Field

from scalinglab.ladder.section import STRICT, Name, Positive, Seed, Share, Tokens

Range = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
"""From where to where, on a logarithmic axis."""
SEARCHED = ("lr", "scale_emb", "scale_depth", "init_std")
"""The settings that may be searched, as they are called in [training] and [model]."""


class Search(BaseModel):
    model_config = STRICT

    size: Name | None = None
    """The size that every trial trains; the smallest by default."""
    horizon: Tokens | None = None
    """Tokens of a trial, its decay inside; by default the size's first horizon."""
    trials: Positive = 80
    seed: Seed = 0
    """Of what is tried; weights and data order have the study's first seed in every trial."""
    startup: Positive = 16
    """The first trials: drawn at random over the ranges, and all finished."""
    rungs: list[Share] = [0.25, 0.5]
    """Shares of the horizon at which a trial is measured and given up where it is not among the best."""
    keep: Share = 0.5
    """Share of the trials measured at a rung that go on from there."""
    lr: Range | None = None
    scale_emb: Range | None = None
    scale_depth: Range | None = None
    init_std: Range | None = None

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Setting -> (from, to), of those that are searched."""
        given = {key: getattr(self, key) for key in SEARCHED}
        return {key: (ends[0], ends[1]) for key, ends in given.items() if ends is not None}
