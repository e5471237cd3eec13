"""What the sections of a study file share."""

from typing import Annotated

from pydantic import ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Tokens = Annotated[int, Field(gt=0, description="tokens")]
Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._]*$")]
Seed = Annotated[int, Field(ge=0)]


# "12" is not a number here, and a misspelt key is an error rather than a default kept
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
