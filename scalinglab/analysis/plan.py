"""What a sweep would cost before anything is trained: a WSD ladder against the same points from scratch.

A size with m horizons h_1 < … < h_m and a decay share f trains its trunk to the furthest fork and each decay once:

    decay inside the horizon     (1−f)·h_m + f·Σ h_i     against Σ h_i from scratch
    decay appended beyond it      h_m + f·Σ h_i           against (1+f)·Σ h_i

in tokens, times FLOPs a token. Equally spaced horizons make Σ h_i grow as m², which is the O(m²C) of separate runs;
the trunk is O(mC), and of the m² only the share f is left, so that the saving tends to 1/f, or (1+f)/f, never to m.
"""

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from scalinglab.analysis.answer import Answer
from scalinglab.analysis.checks import positive_number
from scalinglab.analysis.estimate import count_text, number_text
from scalinglab.analysis.hardware import Hardware
from scalinglab.analysis.hardware import hardware as hardware_of
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.ladder import Study

Decay = Literal["inside", "appended"]
_PARTS = ("trunk", "branch", "scratch")


@dataclass(frozen=True, kw_only=True)
class Plan(Answer):
    """Cost of a ladder per size and in all. It is counted, not estimated, so it has no intervals."""

    source: ClassVar[str] = (
        "WSD ladder: Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4; FLOPs: 6·N·D (Kaplan et al. 2020), "
        "attention by Chowdhery et al. 2022, appendix B"
    )
    units: ClassVar[Mapping[str, str]] = {"trunks": "runs", "horizons": "runs", "saved": "×"}
    figure: ClassVar[str] = "ladder_cost"

    title: str
    counted: Literal["6ND", "exact"]
    """The FLOPs behind `saved`, hours and money: as executed where the shapes are known, else 6·N·D."""
    decay_share: float
    """Share f of a horizon that its decay takes."""
    decay: Decay
    rows: pd.DataFrame
    """One row a size and the last for all: size, params (NaN for all), trunks, horizons (branches in all);
    trunk_tokens, branch_tokens, scratch_tokens; trunk_flops, branch_flops, flops (their sum), scratch_flops, and
    the same with _exact, NaN where no shapes are known; saved; with hardware hours and scratch_hours, with a price
    money and scratch_money."""
    trunks: pd.DataFrame
    """The same columns, one row a trunk, with its seed."""
    hardware: Hardware | None = None

    @property
    def all(self) -> pd.Series:
        """The row of the whole ladder."""
        return self.rows.iloc[-1]

    @property
    def flops(self) -> float:
        """Training FLOPs of the ladder, as `counted`."""
        return float(self.all[_column("flops", self.counted)])

    @property
    def saved(self) -> float:
        """How many times dearer the same points are, each trained from scratch."""
        return float(self.all["saved"])

    @property
    def hours(self) -> float:
        """Device-hours; NaN without hardware."""
        return float(self.all.get("hours", math.nan))

    @property
    def money(self) -> float:
        """In the price's currency; NaN without a price."""
        return float(self.all.get("money", math.nan))

    def headline(self) -> str:
        sizes, branches = len(self.rows) - 1, int(self.all["horizons"])
        scratch = float(self.all[_column("scratch_flops", self.counted)])
        text = (
            f"{_many(sizes, 'size')}, {_many(int(self.all['trunks']), 'trunk')}, {_many(branches, 'branch', 'es')}: "
            f"{self.flops:.3g} FLOPs ({self.counted}); each point from scratch would take {scratch:.3g}, "
            f"{self.saved:.2f} times as much"
        )
        if self.hardware is not None:
            device = f"{self.hardware.name} at {self.hardware.mfu:.0%} MFU"
            text += f"; {number_text(self.hours)} device-hours on {device}"
            if not math.isnan(self.money):
                text += f", cost {number_text(self.money)}"
        return text

    def table(self) -> pd.DataFrame:
        """The cost of each size and in all, as `counted`; `rows` has everything."""
        named = {
            "size": "size",
            _column("trunk_flops", self.counted): "trunk",
            _column("branch_flops", self.counted): "branches",
            _column("flops", self.counted): "total",
            _column("scratch_flops", self.counted): "scratch",
            "saved": "saved",
            "hours": "hours",
            "money": "money",
        }
        shown = self.rows[[column for column in named if column in self.rows]]
        return shown.rename(columns=named)

    def counts(self) -> pd.DataFrame:
        """What is trained: parameters, horizons and tokens of each size and in all."""
        columns = ["size", "params", "horizons", *(f"{part}_tokens" for part in _PARTS)]
        shown = self.rows[columns].astype({"params": object})
        shown.loc[shown.index[-1], "params"] = ""
        return shown


def plan(
    study: "str | Path | Study | Iterable[float]",
    *,
    tokens: Iterable[float] | None = None,
    tokens_per_param: Iterable[float] | None = None,
    decay_share: float | None = None,
    decay: Decay = "inside",
    cost: Literal["6ND", "exact"] | None = None,
    hardware: str | float | Hardware | None = None,
    mfu: float | None = None,
    price: float | None = None,
) -> Plan:
    """What a ladder would cost, per size and in all; needs neither torch nor a trained run.

    study: a study file, a study folder, a Study; or plain numbers: the sizes in parameters, with
        `tokens` (the same horizons for all) or `tokens_per_param` (multiples of each size's N).
    decay_share, decay: with plain numbers, the share of a horizon that its decay takes (0.1), and whether it lies
        "inside" the horizon or is "appended" beyond it. A study says so itself.
    cost: the FLOPs that count for saving and hours, "exact" (a study's default) or "6ND".
    hardware: a name in `scalinglab.analysis.hardware.HARDWARE` or the peak of one device in FLOP/s ("1.5e14"); mfu and
        price (of a device-hour) go with it.

    >>> plan("study.toml", hardware="h100", mfu=0.4, price=2.5).hours
    >>> plan([0.1e9, 1e9], tokens_per_param=[10, 20, 40]).saved

    Raises InputError for a study that cannot be read, sizes or horizons that are not positive, an unknown device, an
    MFU outside (0, 1].
    """
    device = _device(hardware, mfu, price)
    if isinstance(study, str | Path) or hasattr(study, "ladder"):
        given = {"tokens": tokens, "tokens_per_param": tokens_per_param, "decay_share": decay_share}
        extra = [name for name, value in given.items() if value is not None]
        if extra or decay != "inside":
            raise InputError(f"{(extra or ['decay'])[0]}= goes with plain sizes; a study file says it itself")
        title, share, trunks = _of_study(study)
        counted = cost or "exact"
    else:
        if cost == "exact":
            raise InputError('cost="exact" needs the shapes of a study file; plain numbers have 6·N·D')
        share = 0.1 if decay_share is None else decay_share
        trunks = _of_numbers(study, tokens, tokens_per_param, share, decay)
        title, counted = "", "6ND"
    if counted not in ("6ND", "exact"):
        raise InputError(f'a plan counts FLOPs by cost="6ND" or "exact", not {cost!r}')
    whole = trunks.drop(columns=["seed"])
    counts = [column for column in whole.columns if column not in ("size", "params")]
    sizes = whole.groupby(["size", "params"], sort=False, as_index=False)[counts].sum(min_count=1)
    total = pd.DataFrame([{"size": "all", "params": math.nan, **sizes[counts].sum(min_count=1).to_dict()}])
    rows = pd.concat([sizes, total], ignore_index=True).astype({"trunks": int, "horizons": int})
    return Plan(
        title=title,
        counted=counted,
        decay_share=share,
        decay=decay,
        rows=_derived(rows, counted, device),
        trunks=_derived(trunks, counted, device),
        hardware=device,
        notes=_notes(counted, share, decay, device),
    )


def ladder_saving(horizons: Sequence[float], decay_share: float, decay: Decay = "inside") -> float:
    """How many times dearer these horizons of one size are from scratch than as branches of one trunk.

    Equally spaced horizons 1..n, decay inside: n(n+1)/2 over (1−f)·n + f·n(n+1)/2.
    """
    _check_share(decay_share)
    h, f = [positive_number(each, "a horizon", "2e9") for each in _listed(horizons)], decay_share
    if not h:
        raise InputError("a ladder needs at least one horizon")
    if decay == "inside":
        return sum(h) / ((1 - f) * max(h) + f * sum(h))
    return (1 + f) * sum(h) / (max(h) + f * sum(h))


# ---- from what is given to one row a trunk -----------------------------------------------------------


def _of_study(study: Any) -> tuple[str, float, pd.DataFrame]:
    """Title, decay share, and a row each trunk in whole updates, as the study would train it."""
    from scalinglab.ladder import plan as trunks_of
    from scalinglab.ladder import read_study, trunk_cost

    name = ""
    if isinstance(study, str | Path):
        path = Path(study)
        if path.is_dir():
            path /= "study.toml"
            if not path.is_file():
                raise InputError(f"{study} is a folder without a study.toml; give the path of a study file")
        name, study = path.stem, read_study(path)
    rows = []
    for trunk in trunks_of(study):
        spent = trunk_cost(trunk)
        row: dict[str, Any] = {
            "size": trunk.shape.name,
            "params": float(trunk.shape.params),
            "seed": trunk.seed,
            "trunks": 1,
            "horizons": sum(not branch.averaged for branch in trunk.branches),
        }
        for part in _PARTS:
            own = getattr(spent, part)
            row |= {f"{part}_tokens": float(own.tokens), f"{part}_flops": own.flops}
            row[f"{part}_flops_exact"] = own.flops_exact
        rows.append(row)
    return study.title or name, study.recipes[0][1].share, pd.DataFrame(rows)


def _of_numbers(
    params: Any, tokens: Iterable[float] | None, per_param: Iterable[float] | None, f: float, decay: Decay
) -> pd.DataFrame:
    """A row each size, one trunk each, tokens as they are."""
    _check_share(f)
    if decay not in ("inside", "appended"):
        raise InputError(f'a decay lies "inside" its horizon or is "appended" beyond it, not {decay!r}')
    if (tokens is None) == (per_param is None):
        raise InputError("plain sizes need their horizons: give either tokens= or tokens_per_param=")
    sizes = sorted(positive_number(n, "a size in parameters") for n in _listed(params))
    given = tokens if tokens is not None else per_param
    horizons = sorted(positive_number(h, "a horizon", "2e9") for h in _listed(() if given is None else given))
    for values, what in ((sizes, "size"), (horizons, "horizon")):
        if not values:
            raise InputError(f"a ladder needs at least one {what}")
        if len(set(values)) < len(values):
            raise InputError(f"the {what}s name one twice; give each once")
    rows = []
    for n in sizes:
        h = [each if tokens is not None else each * n for each in horizons]
        kept = 1 - f if decay == "inside" else 1.0
        spent = {"trunk": kept * max(h), "branch": f * sum(h), "scratch": (kept + f) * sum(h)}
        row: dict[str, Any] = {"size": count_text(n), "params": n, "seed": 0, "trunks": 1, "horizons": len(h)}
        row |= {f"{part}_tokens": spent[part] for part in _PARTS}
        row |= {f"{part}_flops": 6.0 * n * spent[part] for part in _PARTS}
        rows.append(row | {f"{part}_flops_exact": math.nan for part in _PARTS})
    return pd.DataFrame(rows)


def _derived(rows: pd.DataFrame, counted: str, device: Hardware | None) -> pd.DataFrame:
    """Totals, saving, hours and money beside the counts."""
    rows = rows.copy()
    for way in ("", "_exact"):
        own = rows[f"trunk_flops{way}"] + rows[f"branch_flops{way}"]
        rows.insert(rows.columns.get_loc(f"scratch_flops{way}"), f"flops{way}", own)  # type: ignore[arg-type]
    own, scratch = (rows[_column(name, counted)] for name in ("flops", "scratch_flops"))
    rows["saved"] = scratch / own
    if device is not None:
        rows["hours"], rows["scratch_hours"] = device.hours(1.0) * own, device.hours(1.0) * scratch
        if device.price is not None:
            rows["money"], rows["scratch_money"] = device.money(1.0) * own, device.money(1.0) * scratch
    return rows


def _column(name: str, counted: str) -> str:
    return f"{name}_exact" if counted == "exact" else name


def _notes(counted: str, share: float, decay: Decay, device: Hardware | None) -> tuple[str, ...]:
    limit = 1 / share if decay == "inside" else (1 + share) / share
    where = "inside it" if decay == "inside" else "appended beyond it"
    share_note = (
        f"A horizon's decay takes {share:.3g} of its tokens, {where}; with ever more equally spaced horizons the "
        f"saving tends to {limit:.3g}, not to their number."
    )
    notes = [share_note]
    if counted == "exact":
        notes.append("FLOPs as executed: matrices, output head and attention. Evaluation is not counted.")
    else:
        notes.append(
            "FLOPs are 6·N·D: attention and the output head, large in small models, are not counted."
        )
    if device is not None:
        notes.append(
            f"Hours take every size to reach {device.mfu:.0%} MFU; small models seldom do, so measure one first."
        )
    return tuple(notes)


def _device(what: str | float | Hardware | None, mfu: float | None, price: float | None) -> Hardware | None:
    if what is not None:
        return hardware_of(what, mfu, price)
    for name, value in (("mfu", mfu), ("price", price)):
        if value is not None:
            raise InputError(f"{name} needs hardware: a device such as h100, or its peak in FLOP/s")
    return None


def _listed(values: Any) -> list[Any]:
    """One value or several, as they are."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def _check_share(share: float) -> None:
    if not (isinstance(share, numbers.Real) and 0 < share < 1):
        raise InputError(f"decay_share is a share between 0 and 1, such as 0.1, not {share!r}")


def _many(n: int, what: str, plural: str = "s") -> str:
    return f"{n} {what}{'' if n == 1 else plural}"
