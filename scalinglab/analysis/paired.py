"""Is recipe B better than A? Two run tables on one ladder, compared cell by cell.

Runs of equal N, D and seed are pairs: what both share (the size, the data order, a common trunk) cancels in their
difference. What is left still comes trunk by trunk, so trunks are the units of every interval here.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalinglab.analysis.answer import BEYOND, Answer, asked, beyond_note, extrapolation, own_boot
from scalinglab.analysis.checks import positive
from scalinglab.analysis.clustered import clustered
from scalinglab.analysis.estimate import Estimate, count_text, estimate, number_text
from scalinglab.analysis.multiplier import Falls, common, compute_falls, data_falls
from scalinglab.analysis.source import loss_unit, of_trunks, run_ends, same_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit, Loss


@dataclass(frozen=True, kw_only=True)
class Paired(Answer):
    """B against A over their common cells. Below zero, and above one, B is better."""

    source: ClassVar[str] = (
        "difference: CR2 by trunk, Bell & McCaffrey 2002; multiplier: A's law, Hoffmann et al. 2022, "
        "arXiv 2203.15556, eqs. 2 and 4"
    )
    figure: ClassVar[str] = "paired"

    difference: Estimate = asked("ln(loss B / loss A)")
    """Mean over the pairs."""
    trend: Estimate = asked("the same, a decade of C")
    """Slope of the difference over log10(6·N·D): below zero B's advantage grows with compute."""
    data_multiplier: Estimate = asked("× A's tokens, same N")
    """m: the factor on A's tokens at fixed N, and so on its compute there, at which its law reaches B's losses."""
    compute_multiplier: Estimate = asked("× A's compute, on its frontier")
    """k: the factor on compute that lowers A's compute-optimal loss by as much."""
    pairs: pd.DataFrame
    """One row a pair: params, tokens, seed (where told), trunk (a number), flops_6nd, loss_a, loss_b, difference;
    data_multiplier and compute_multiplier of the pair by itself, inf where no amount is enough."""
    trunks: int
    pairs_better: int
    """Pairs in which B's loss is the lower."""
    trunks_better: int
    """Trunks on whose pairs B's loss is the lower on average."""
    sign_p: float
    """Two-sided sign test over trunks: how often as one-sided a count comes of no difference."""
    below_reach: int
    """Pairs whose loss A's law reaches at that N with no number of tokens."""
    eval_set: str | None = None
    fit: "Fit | None" = None
    """A's law, which the multipliers are read off."""

    @property
    def better(self) -> str | None:
        """Which recipe, "A" or "B", where the interval of the difference leaves out zero; else None."""
        if self.difference.hi < 0:
            return "B"
        return "A" if self.difference.lo > 0 else None

    def headline(self) -> str:
        found, n = self.difference, len(self.pairs)
        percent = [100 * math.expm1(v) for v in (found.value, found.lo, found.hi)]
        verdict = f"{self.better} is better" if self.better else "undecided"
        if found.value == 0:
            text = f"B's loss is A's over {n} pairs"
        else:
            text = f"B's loss is {abs(percent[0]):.2g}% {'lower' if found.value < 0 else 'higher'} over {n} pairs"
        if not math.isnan(found.lo):
            text += f" ({self.level:.0%} interval {percent[1]:+.2g}% to {percent[2]:+.2g}%)"
        text += f": {verdict}"
        if not math.isnan(self.data_multiplier.value):
            m = self.data_multiplier.value
            needed = (
                "more than 1e6×"
                if math.isinf(m)
                else "less than 1e-6×"
                if m == 0
                else _times(self.data_multiplier)
            )
            text += f". A would need {needed} the data at the same N"
        return text


def paired(
    a: "pd.DataFrame | str | Path",
    b: "pd.DataFrame | str | Path",
    *,
    eval_set: str | None = None,
    fit: "Fit | None" = None,
    loss: "Loss | None" = None,
    level: float = 0.9,
    resamples: int = 2000,
    boot: "Bootstrap | None" = None,
    seed: int = 0,
    beyond: float = BEYOND,
) -> Paired:
    """B's losses against A's where both trained the same N on the same D (and seed, where both tell it).

    a, b: run tables, or their paths. Undecayed trunk rows are left out where a table has decayed ones; two tables of
        trunks alone are compared undecayed.
    fit: A's law (Chinchilla's form), which the multipliers are read off; by default fitted to all of A's rows under
        `loss` (Huber(1e-3)). boot: the law's bootstrap; by default that of the fit given, or one of `resamples` draws
        of the law fitted here.

    Intervals: of the difference and its trend, Student's t over trunks (`clustered`); of the multipliers, that and
    A's bootstrap. They are NaN with one trunk, and where a multiplier is unbounded. Where A's rows determine no law
    the multipliers are NaN, and a note says why.

    Raises InputError where the tables share no cell, or differ in the loss's unit or in whether they are decayed, or
    the eval set has to be chosen.
    """
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    if not (positive(resamples) and float(resamples).is_integer()):
        raise InputError(f"resamples is a number of draws, 1 or more, such as 2000, not {resamples!r}")
    rows_a, rows_b, name, chosen = _one_set(*_ends(a, b), eval_set)
    pairs, notes = _matched(rows_a, rows_b)
    notes = (*chosen, *notes)
    d, trunk = pairs["difference"].to_numpy(), pairs["trunk"].to_numpy()
    mean = clustered(np.ones((len(d), 1)), d, trunk)
    log_c = np.log10(pairs["flops_6nd"].to_numpy())
    by_trunk = pairs.groupby("trunk")["difference"].mean().to_numpy()
    found: dict[str, Any] = {
        "difference": mean.estimate(0, level),
        "trend": _slope(log_c, d, trunk, level),
        "trunks": len(by_trunk),
        "pairs_better": int((d < 0).sum()),
        "trunks_better": int((by_trunk < 0).sum()),
        "sign_p": _sign_test(by_trunk),
    }
    notes += _evidence(found, len(d), mean.freedom[0])

    if fit is not None:
        why = ""
    else:
        fit, why = _law_of(rows_a, loss)
        if boot is None and fit is not None:
            boot = fit.bootstrap(int(resamples), seed=seed)
    reached: dict[str, Any] = dict.fromkeys(("data_multiplier", "compute_multiplier"), Estimate(math.nan))
    below = 0
    if fit is None:
        notes += (f"No multiplier: A's rows determine no law ({why}).",)
        pairs = pairs.assign(data_multiplier=math.nan, compute_multiplier=math.nan)
    else:
        reached, own, said = _multipliers(fit, boot, pairs, level, int(resamples), seed)
        pairs = pairs.assign(**own)
        below = int(np.isinf(own["data_multiplier"]).sum())
        m = reached["data_multiplier"].value
        notes += said + _floor_note(below, len(pairs), m)
        far = extrapolation(fit, pairs["params"], pairs["tokens"] * (m if 0 < m < math.inf else 1.0))
        notes += beyond_note(far, beyond, "A's law at m times the data")
    return Paired(
        pairs=pairs, below_reach=below, eval_set=name, fit=fit, level=level, notes=notes, **found, **reached
    )


# ---- two tables to one of pairs ------------------------------------------------------------------------


def _ends(a: Any, b: Any) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """The decayed run ends of both tables, or both tables' undecayed trunks, and what was left out."""
    from scalinglab.records import read_runs

    rows, undecayed, notes = [], [], []
    for source, name in ((a, "A"), (b, "B")):
        kept, said = run_ends(read_runs(source), trunks_alone=True, one_set=False, name=name)
        kept.attrs["source"] = kept.attrs.get("source", f"table {name}")
        rows.append(kept)
        undecayed.append(bool(of_trunks(kept).all()))
        notes += [f"{name}: {note}" for note in said]
    if undecayed[0] != undecayed[1]:
        trunks, decayed = ("A", "B") if undecayed[0] else ("B", "A")
        raise InputError(
            f"{trunks} holds undecayed trunks alone (kind trunk) and {decayed} decayed runs, and a decay lowers the "
            f"loss whatever the recipe: give decayed runs of {trunks}, or the trunk rows of both"
        )
    if all(undecayed):
        notes.append("Both tables hold undecayed trunks alone: a decay may change which recipe is better.")
    return rows[0], rows[1], tuple(notes)


def _one_set(
    a: pd.DataFrame, b: pd.DataFrame, notes: tuple[str, ...], wanted: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, str | None, tuple[str, ...]]:
    """Both tables' rows of one eval set: the one named, the average where both have it, the only one in common.

    Beside them its name, and `notes` with one more where only one table tells its loss's unit.
    """
    from scalinglab.records.derive import AVERAGE

    with_sets = [rows for rows in (a, b) if "eval_set" in rows and rows["eval_set"].notna().any()]
    name = None
    if with_sets:
        sets = [set(map(str, rows["eval_set"].dropna().unique())) for rows in with_sets]
        shared = set.intersection(*sets)
        if not shared:
            listed = " and ".join(f"{', '.join(sorted(each))}" for each in sets)
            raise InputError(
                f"A and B were measured on different eval sets ({listed}): they cannot be paired"
            )
        name = wanted or (AVERAGE if AVERAGE in shared else min(shared) if len(shared) == 1 else None)
        if name not in shared:
            listed = ", ".join(f'"{each}"' for each in sorted(shared))
            what = (
                f'"{wanted}" is not an eval set of both tables' if wanted else "both have several eval sets"
            )
            raise InputError(f"{what}; choose one of {listed} with --eval-set (in Python eval_set=)")
    elif wanted is not None:
        raise InputError(f'neither table has a column eval_set, so there is no set "{wanted}" to choose')
    a, b = (rows[rows["eval_set"] == name] if "eval_set" in rows and name else rows for rows in (a, b))
    return a, b, name, (*notes, *same_unit(loss_unit(a, "A"), loss_unit(b, "B"), "A's", "B's"))


def _matched(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The pairs, and sentences on what they are and what is left out. Raises InputError where there are none."""
    keys, notes = ["params", "tokens"], []
    seeded = all("seed" in rows and rows["seed"].notna().all() for rows in (a, b))
    if seeded and _seeded_cells(a) & _seeded_cells(b):
        keys.append("seed")
    elif seeded:
        notes.append(
            "A and B share no seed, so cells are compared over all their seeds: pairing cancels less noise."
        )
    left, right = (_cells(_keyed(rows, keys), keys) for rows in (a, b))
    on = ["_params", "_tokens", *keys[2:]]
    both = left.merge(right, on=on, how="outer", suffixes=("_a", "_b"), indicator=True)
    pairs = both[both["_merge"] == "both"].sort_values(["params_a", *keys[2:], "tokens_a"], ignore_index=True)
    if pairs.empty:
        raise InputError(
            "A and B share no cell, so nothing can be paired: their runs must have the same params and tokens "
            f"(A: {_spread(a)}; B: {_spread(b)})"
        )
    for side, name, other in (("left_only", "A", "B"), ("right_only", "B", "A")):
        alone = both[both["_merge"] == side]
        if len(alone):
            cells = [
                f"N {count_text(row[f'params_{name.lower()}'])} D {count_text(row[f'tokens_{name.lower()}'])}"
                + (f" seed {row['seed']}" if "seed" in keys else "")
                for row in alone.head(4).to_dict("records")
            ]
            more = f" and {len(alone) - 4} more" if len(alone) > 4 else ""
            notes.append(
                f"{len(alone)} cells of {name} have no partner in {other}: {', '.join(cells)}{more}."
            )
    many = int(((pairs["n_a"] > 1) | (pairs["n_b"] > 1)).sum())
    if many:
        notes.append(f"{many} pairs are means of log loss over several runs of the cell.")
    unit = _units_of_noise(pairs, a, "seed" in keys)
    out = pd.DataFrame({"params": pairs["params_a"], "tokens": pairs["tokens_a"], "trunk": unit})
    if "seed" in keys:
        out.insert(2, "seed", pairs["seed"].astype("int64"))
    out["flops_6nd"] = 6.0 * out["params"] * out["tokens"]
    out["loss_a"], out["loss_b"] = np.exp(pairs["log_a"]), np.exp(pairs["log_b"])
    return out.assign(difference=pairs["log_b"] - pairs["log_a"]), tuple(notes)


def _keyed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Counts as integers that forgive the last digits of a float."""
    logs = {f"_{key}": np.rint(1e9 * np.log(rows[key])).astype("int64") for key in keys[:2]}
    return rows.assign(**logs)


def _seeded_cells(rows: pd.DataFrame) -> set[tuple[int, int, int]]:
    keyed = _keyed(rows, ["params", "tokens"])
    return set(zip(keyed["_params"], keyed["_tokens"], keyed["seed"], strict=True))


def _cells(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean log loss of each cell, and how many runs it has."""
    by = ["_params", "_tokens", *keys[2:]]
    cells = rows[[*by, "params", "tokens"]].assign(log=np.log(rows["loss"]), n=1)
    if cells.duplicated(by).any():
        how = {"params": "first", "tokens": "first", "log": "mean", "n": "size"}
        cells = cells.groupby(by, as_index=False).agg(how)
    return cells


def _units_of_noise(pairs: pd.DataFrame, a: pd.DataFrame, seeded: bool) -> Any:
    """An integer a pair: trunks are told by size and seed; runs that have their own whole schedule are their own."""
    if "kind" in a and (a["kind"] == "full").all():
        return np.arange(len(pairs))
    return pairs.groupby(["_params", *(["seed"] if seeded else [])], sort=False).ngroup().to_numpy()


def _spread(rows: pd.DataFrame) -> str:
    ends = [f"{count_text(rows[c].min())}–{count_text(rows[c].max())}" for c in ("params", "tokens")]
    return f"N {ends[0]}, D {ends[1]}"


# ---- what the differences say ----------------------------------------------------------------------------


def _slope(log_c: Any, y: Any, trunk: Any, level: float) -> Estimate:
    """Slope of y over log10 C with its interval; NaN where C is one value."""
    if np.ptp(log_c) < 1e-9:
        return Estimate(math.nan)
    return clustered(np.column_stack([np.ones(len(y)), log_c - log_c.mean()]), y, trunk).estimate(1, level)


def _sign_test(by_trunk: Any) -> float:
    from scipy.stats import binomtest

    lower, higher = int((by_trunk < 0).sum()), int((by_trunk > 0).sum())
    return float(binomtest(lower, lower + higher).pvalue) if lower + higher else 1.0


def _evidence(found: dict[str, Any], n: int, freedom: float) -> tuple[str, ...]:
    g = found["trunks"]
    if g < 2:
        first = (
            "All pairs are of one trunk, whose own chance cannot be told from the recipe's effect: no interval; train "
            "both recipes with another seed or size."
        )
    else:
        first = (
            f"The difference's interval takes its {g} trunks (N and seed) as units: Student's t with {freedom:.1f} "
            "degrees of freedom."
        )
    second = (
        f"B is lower in {found['pairs_better']} of {n} pairs and on {found['trunks_better']} of {g} trunks; sign test "
        f"over trunks p = {number_text(found['sign_p'], 2)}."
    )
    return first, second


# ---- the multipliers -------------------------------------------------------------------------------------


def _law_of(rows: pd.DataFrame, loss: "Loss | None") -> tuple["Fit | None", str]:
    from scalinglab.fitting import fit
    from scalinglab.laws import Chinchilla

    try:
        return fit(Chinchilla(), rows, loss=loss), ""
    except InputError as error:
        return None, str(error).rstrip(".")


def _multipliers(
    fit: "Fit", boot: "Bootstrap | None", pairs: pd.DataFrame, level: float, resamples: int, seed: int
) -> tuple[dict[str, Estimate], dict[str, Any], tuple[str, ...]]:
    """Both multipliers with intervals, those of each pair, and sentences about them.

    A draw moves ln m by Student's t over trunks (CR2 of the least squares, linear at its end), and reads the falls so
    moved off another of the bootstrap's laws. A multiplier beyond REACH, or of a law that does not fall, has no
    interval, and a sentence.
    """
    from scalinglab.laws import Chinchilla

    law: Any = fit.law
    if not isinstance(law, Chinchilla):
        raise InputError(f"a multiplier is read off a law of Chinchilla's form, not {law.name}")
    boot = own_boot(fit, boot)
    n, tokens, d, trunk = (pairs[c].to_numpy() for c in ("params", "tokens", "difference", "trunk"))
    constants = pd.DataFrame([fit.constants] * resamples) if boot is None else boot.constants
    rng = np.random.default_rng([seed, 2])
    reached, own, said = {}, {}, []
    for name, falls_of in (("data_multiplier", data_falls), ("compute_multiplier", compute_falls)):
        here: Falls = falls_of(law.standard(fit.constants), n, tokens)
        x = common(here, d[None])
        with np.errstate(all="ignore"):
            own[name] = np.exp(here.own(d[None])[0])
            reached[name] = Estimate(float(np.exp(x[0])))
        if not math.isfinite(x[0]):
            said.append(_no_end(name, float(x[0])))
            continue
        left, slope = d - here(x)[0], here.slope(x)[0]
        chance = clustered(slope[:, None], left, trunk)
        if not math.isfinite(chance.stderr[0]):
            continue
        moved = x + chance.stderr[0] * rng.standard_t(chance.freedom[0], len(constants))
        draws = Falls(*(np.broadcast_to(part, (len(moved), part.shape[1])) for part in here))(moved)
        with np.errstate(all="ignore"):
            drawn = np.exp(common(falls_of(law.standard(constants), n, tokens), draws))
        reached[name] = estimate(reached[name].value, drawn, level)
        if name == "data_multiplier":
            bend = _slope(np.log10(pairs["flops_6nd"].to_numpy()), left, trunk, level)
            if bend.lo > 0 or bend.hi < 0:
                grows = "more" if bend.hi < 0 else "less"
                said.append(
                    f"One multiplier does not describe the ladder: B gains {grows} at larger compute than it says "
                    f"({100 * bend.value:+.2g}% a decade beyond it), so read it as an average, and each pair's own."
                )
    said.insert(
        0,
        "Multipliers: one m for all pairs, so that A's law at N and m·D (m times the compute at that N) falls as B's "
        "losses do; or one k on compute along A's own compute-optimal frontier. Intervals: t over trunks and A's "
        "bootstrap.",
    )
    return reached, own, tuple(said)


def _no_end(name: str, x: float) -> str:
    """Why a multiplier e^x that is no number, or beyond what is looked for, has no interval."""
    what, of = name.split("_")[0], {"data_multiplier": "tokens", "compute_multiplier": "compute"}[name]
    if math.isnan(x):
        return f"The {what} multiplier is not known: A's law does not fall with {of} (its A or B is 0)."
    far = "more than 1e6 times" if x > 0 else "less than 1e-6 of"
    return f"The {what} multiplier has no interval: A's law takes {far} its own {of} to come near B's losses."


def _floor_note(below: int, n: int, m: float) -> tuple[str, ...]:
    reach = "below what A's law reaches at that N with any number of tokens (its E + A·N^-α)"
    if not below or math.isnan(m):
        return ()
    if math.isinf(m):
        return (f"{below} of {n} pairs lie {reach}, too many for a common multiplier: it is unbounded.",)
    return (f"{below} of {n} pairs lie {reach}; the common multiplier leaves them unexplained.",)


def _times(found: Estimate) -> str:
    if math.isnan(found.lo):
        return f"{number_text(found.value)}×"
    return f"{number_text(found.value)}× [{number_text(found.lo)}, {number_text(found.hi)}]"
