"""The unit of a column of an answer's rows, from its name."""

from collections.abc import Mapping

_EXACT = {
    "ratio": "tokens/parameter",
    "extrapolation": "decades",
    "runs": "runs",
    "sizes": "sizes",
    "seed": "1",
    "times": "×",
    "bias": "ln N",
    "lr": "peak learning rate",
    "hours": "device-hours",
    "scratch_hours": "device-hours",
    "money": "money",
    "scratch_money": "money",
}
_ENDINGS = (
    ("params", "parameters"),
    ("params_small", "parameters"),
    ("params_large", "parameters"),
    ("tokens", "tokens"),
    ("flops", "FLOPs"),
    ("flops_6nd", "FLOPs"),
    ("flops_exact", "FLOPs"),
    ("flops_from", "FLOPs"),
    ("flops_to", "FLOPs"),
    ("params_opt", "parameters"),
    ("tokens_opt", "tokens"),
    ("multiple", "×"),
)


def unit_of(column: str, own: Mapping[str, str], loss_unit: str) -> str:
    """The unit of the numbers in `column`; x_lo and x_hi have that of x.

    own: those that an answer says itself. loss_unit: of a loss, "loss" where nothing tells it.
    "" for a name that tells none.
    """
    name = column[:-3] if column.endswith(("_lo", "_hi")) else column
    found = own.get(name) or _EXACT.get(name)
    if found is None:
        found = next(
            (unit for ending, unit in _ENDINGS if name == ending or name.endswith(f"_{ending}")), None
        )
    if found is None and (name in ("loss", "penalty") or name.startswith("loss_") or name.endswith("_loss")):
        found = "loss"
    return (loss_unit or "loss") if found == "loss" else found or ""
