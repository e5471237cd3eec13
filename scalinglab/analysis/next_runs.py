"""Which run next? The (N, D) whose results narrow the interval of a chosen answer most for a budget."""

import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalinglab.analysis.allocation import optimal_params_tokens
from scalinglab.analysis.answer import BEYOND, Answer, Behind, beyond_note, extrapolation, own_boot, to_plain
from scalinglab.analysis.candidate_runs import A_DECADE, Candidates, Mode, default_mode, find_candidates
from scalinglab.analysis.convention import Convention, Cost, convention, positive_budget
from scalinglab.analysis.estimate import Estimate, count_text, estimate, number_text
from scalinglab.analysis.run_design import Beliefs, choose
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.fitting import Bootstrap, Fit

Array = NDArray[np.float64]
Asked = str | tuple[float, float]
"""What is to be known better: "ratio", "params", "tokens" or "loss" of the optimum at a target budget; "a" or "b";
a constant of the law; or (params, tokens), the loss of a planned model."""
_OPTIMUM = {"ratio": "D/N", "params": "N_opt", "tokens": "D_opt", "loss": "the optimal loss"}
_SUSPECT = 0.05  # share of draws without a finite answer from which a note says so


@dataclass(frozen=True, kw_only=True)
class NextRuns(Answer):
    """Runs to train next, in order of what they tell per FLOP, and how narrow they should leave the answer."""

    source: ClassVar[str] = (
        "Bayesian c-optimal design, Chaloner & Verdinelli 1995, Statistical Science 10(3), section 2; on bootstrap "
        "draws: docs/answers.md"
    )

    answer: str
    """What was asked to be known better: ratio, params, tokens, loss, a, b, or a constant's name."""
    about: str
    """The same in words."""
    flops: float | None
    """The target budget, for an answer of the optimum."""
    budget: float
    cost: str
    mode: str
    """`scratch` or `trunk`."""
    now: Estimate
    after: Estimate
    """Expected, once all of the runs are in: the interval's ends move with what is found, its width is meant."""
    spent: float
    """FLOPs of the runs."""
    rows: pd.DataFrame
    """Columns rank, params, tokens, flops (marginal); run_loss, of the run to come, with _lo
    and _hi; the answer (params_opt and tokens_opt for those) with the
    interval expected after this run and those before it, _lo and _hi; width, of that interval; gain_per_flop, ln of
    the width's fall over flops; trunk, the trunk_id it goes on from, "new" or "" from scratch."""
    candidates: pd.DataFrame = field(repr=False)
    """Every run considered, beyond the budget too: params, tokens, flops, trunk; width, the share of the present one
    expected after it alone; gain_per_flop."""

    @property
    def positive(self) -> bool:
        """Whether the width is a factor hi/lo; else it is hi − lo."""
        return self.answer in ("ratio", "params", "tokens")

    def width(self, interval: Estimate) -> float:
        """Of an interval of the answer: a factor for counts and D/N, a difference otherwise."""
        return float(interval_width(interval.lo, interval.hi, self.positive))

    def headline(self) -> str:
        write = count_text if self.answer in ("params", "tokens", "ratio") else number_text
        ends = [f"{write(e.lo)} – {write(e.hi)}" for e in (self.now, self.after)]
        wide = [width_text(self.width(e), self.positive) for e in (self.now, self.after)]
        number = f"{len(self.rows)} run" + ("s" if len(self.rows) > 1 else "")
        return (
            f"{self.about} is {write(self.now.value)}, {ends[0]} ({wide[0]}); {number} for {self.spent:.2g} of "
            f"{self.budget:.2g} FLOPs should leave about {ends[1]} ({wide[1]}) ({self.level:.0%} intervals)"
        )

    def table(self) -> pd.DataFrame:
        """The rows to be read; `rows` has them all."""
        shown = self.rows.rename(columns={"rank": "#", "gain_per_flop": "gain/FLOP"}).drop(columns="width")
        if self.mode == "scratch":
            return shown.drop(columns="trunk")
        return shown.assign(trunk=[t if t in ("new", "same") else "old" for t in shown["trunk"]])

    def _units(self) -> dict[str, str]:
        width = "hi/lo" if self.positive else "hi − lo"
        own = {} if self.positive or self.answer == "loss" else {self.answer: "1"}
        return own | {"rank": "1", "width": width, "gain_per_flop": "ln width per FLOP"}

    def _drawn(self) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
        return (
            ("next_runs", (self.behind.fit, self), self.behind.options) if self.behind else super()._drawn()
        )

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON, without the candidates."""
        return {name: value for name, value in super().plain().items() if name != "candidates"} | {
            "width_now": self.width(self.now),
            "width_after": self.width(self.after),
            "rows": to_plain(self.rows),
        }


def next_runs(
    fit: "Fit",
    budget: float,
    answer: Asked = "ratio",
    *,
    flops: float | None = None,
    runs: int = 4,
    cost: Cost = "6ND",
    mode: Mode | None = None,
    decay_share: float | None = None,
    candidates: pd.DataFrame | None = None,
    reach: float = 1.0,
    density: int = A_DECADE,
    level: float = 0.9,
    boot: "Bootstrap | None" = None,
    beyond: float = BEYOND,
    progress: Callable[[int, int], None] | None = None,
    **fixed: float,
) -> NextRuns:
    """Which runs to train next, to know an answer better: at most `runs` of them, within `budget` FLOPs in all.

    answer: "ratio", "params", "tokens" or "loss" of the optimum at `flops`, by default ten times the dearest row;
        "a" or "b", the exponents of N_opt and D_opt; a constant of the law; or (params, tokens), for the loss of a
        planned model.
    mode: "scratch", every run from its start; "trunk", branches of WSD trunks: a further horizon of a trunk in the
        rows costs its extension and the decay (the last `decay_share` of the horizon), a new size its whole trunk. By
        default "trunk" where rows share a trunk_id.
    candidates: a frame of (params, tokens) to choose from, say the shapes you can train; by default a log grid over
        the rows and `reach` decades of N and D beyond them, `density` points a decade.
    cost, level, boot, beyond, fixed: as in `optimum`. progress: called with (done, total).
    Raises InputError for a budget of zero or below the cheapest candidate, a law without params and tokens or
    with a further variable that `fixed` lacks, a fit without rows, or an answer that has no interval to narrow.
    """
    budget = positive_budget(budget)
    if not {"params", "tokens"} <= set(fit.law.variables):
        raise InputError(
            f"{fit.law.name} is not a law in params and tokens, so it cannot say which to train next"
        )
    if not len(fit.rows):
        raise InputError(
            "the constants of this fit were given, so there is no interval to narrow: fit them to runs first"
        )
    missing = [v for v in fit.law.variables if v not in ("params", "tokens", *fixed)]
    if missing:
        raise InputError(f"{fit.law.name} needs {missing[0]!r} too: give {missing[0]}=")
    if isinstance(runs, bool) or not (isinstance(runs, numbers.Integral) and runs >= 1):
        raise InputError(f"runs is how many runs to suggest at most, one or more, not {runs!r}")
    if not 0 < level < 1:
        raise InputError(f"an interval is a share between 0 and 1, such as 0.9, not {level}")
    counted = convention(cost, fit.rows)
    draws = own_boot(fit, boot)
    assert draws is not None
    asked = find_question(fit, answer, flops, counted, fixed)
    mode = mode or default_mode(fit.rows)
    found = find_candidates(fit, counted, mode, decay_share, reach, candidates, density)
    alone = found.marginal([])
    if alone.min() > budget:
        i = int(alone.argmin())
        raise InputError(
            f"a budget of {budget:.3g} FLOPs pays for none of the candidates: the cheapest, N "
            f"{count_text(found.params[i])} on D {count_text(found.tokens[i])}, costs {alone[i]:.3g}"
        )
    with np.errstate(all="ignore"):
        value = float(np.squeeze(asked.of(fit.constants)))
        answers = np.asarray(asked.of(draws.constants), float)
    now = estimate(value, answers, level)
    if now.lo == now.hi:
        raise InputError(
            f"{asked.about} is {number_text(value)} in every draw of the bootstrap: there is no interval to narrow"
        )
    beliefs = believe(fit, draws, found, answers, fixed)
    chosen = choose(beliefs, found, budget, int(runs), progress)
    sheet = _rows(fit, draws, beliefs, found, chosen, asked, answers, now, level, fixed)
    last = sheet.iloc[-1]
    after = Estimate(value, float(last[f"{asked.column}_lo"]), float(last[f"{asked.column}_hi"]))
    return NextRuns(
        answer=asked.name, about=asked.about, flops=asked.flops, budget=budget, cost=counted.name, mode=mode,
        now=now, after=after, spent=float(sheet["flops"].sum()), rows=sheet,
        candidates=_map(beliefs, found), level=level, loss_unit=loss_unit(fit.rows) or "",
        behind=Behind(fit, {"cost": counted, "interval": level, "boot": boot}),
        notes=_notes(fit, draws, found, sheet, asked, answers, beyond, fixed),
    )  # fmt: skip


# ---- what is asked --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """name, in words, the constants' function, and the target: budget, or (params, tokens)."""

    name: str
    about: str
    of: Callable[[Any], Any]
    flops: float | None = None
    at: tuple[float, float] | None = None

    @property
    def positive(self) -> bool:
        return self.name in ("ratio", "params", "tokens")

    @property
    def column(self) -> str:
        """Its name in the rows, where params and tokens are the run's own."""
        return f"{self.name}_opt" if self.name in ("params", "tokens") else self.name


def find_question(
    fit: "Fit", answer: Asked, flops: float | None, cost: Convention, fixed: Mapping[str, float]
) -> Question:
    """The function of the constants that is to be known better. Raises InputError for one that is not known."""
    law: Any = fit.law

    def loss(constants: Any, n: Any, d: Any) -> Any:
        given = {"params": n, "tokens": d, **fixed}
        return law.value(law.ordered_constants(constants), [given[v] for v in law.variables])

    if not isinstance(answer, str):
        n, d = _model(answer)
        where = f"the loss of N {count_text(n)} on D {count_text(d)}"
        return Question("loss", where, lambda c: loss(c, n, d), at=(n, d))
    if answer in _OPTIMUM:
        target = 10.0 * float(cost(fit.rows["params"], fit.rows["tokens"]).max()) if flops is None else flops
        target = positive_budget(target)

        def ask(constants: Any) -> Any:
            n, d = optimal_params_tokens(law, constants, target, cost, **fixed)
            if answer == "loss":
                return loss(constants, n, d)
            return {"ratio": d / n, "params": n, "tokens": d}[answer]

        return Question(answer, f"{_OPTIMUM[answer]} at {target:.3g} FLOPs", ask, target)
    if answer in ("a", "b") and hasattr(law, "exponents"):
        which = "ab".index(answer)
        grown = ("N_opt", "D_opt")[which]
        return Question(
            answer, f"the exponent {answer} of {grown} ∝ C^{answer}", lambda c: law.exponents(c)[which]
        )
    if answer in law.constant_names:
        return Question(answer, f"the constant {answer}", lambda c: np.asarray(c[answer], float))
    known = [*_OPTIMUM, *(("a", "b") if hasattr(law, "exponents") else ()), *law.constant_names]
    raise InputError(
        f"the answer {answer!r} is not known; choose {', '.join(known)}, or (params, tokens) for a model's loss"
    )


def _model(answer: Any) -> tuple[float, float]:
    try:
        n, d = (float(v) for v in answer)
    except (TypeError, ValueError):
        raise InputError(f"a planned model is (params, tokens), not {answer!r}") from None
    if not (n > 0 and d > 0 and math.isfinite(n * d)):
        raise InputError(f"a planned model has positive params and tokens, not {answer!r}")
    return n, d


# ---- what is believed -----------------------------------------------------------------------------


def believe(
    fit: "Fit", boot: "Bootstrap", runs: Candidates, answers: Array, fixed: Mapping[str, float]
) -> Beliefs:
    """Losses of the candidates over the draws, with the deviation a new run will have.

    A branch of a trunk in the rows shares that trunk's deviation u. Given a draw's constants, its n rows tell u with
    mean h·(their mean residual) and variance σ_t²·(1 − h), h = n·σ_t²/(n·σ_t² + σ_r²): only what it adds to the trunk's
    own rows is news.
    """
    names = fit.law.variables
    constants = fit.law.ordered_constants(boot.constants, 1)
    log = np.log if boot.on == "log" else lambda x: x

    def losses(n: Any, d: Any) -> Array:
        given = {"params": n, "tokens": d, **fixed}
        x = [np.broadcast_to(np.asarray(given[v], float), np.shape(n)) for v in names]
        with np.errstate(all="ignore"):
            return np.asarray(log(np.maximum(fit.law.value(constants, x), 1e-100)), float)

    row2, trunk2 = max(boot.noise.row, 1e-9) ** 2, boot.noise.trunk**2
    predicted = losses(runs.params, runs.tokens)
    shared = np.full(runs.params.shape, trunk2)
    for t, name in enumerate(runs.label):
        mine = runs.trunk == t
        if name is None or not mine.any() or trunk2 == 0:
            continue
        own = fit.rows[fit.rows["trunk_id"] == name]
        known = len(own) * trunk2 / (len(own) * trunk2 + row2)
        x = [own[v].to_numpy(dtype=float) for v in names]
        with np.errstate(all="ignore"):
            at_rows = np.asarray(log(np.maximum(fit.law.value(constants, x), 1e-100)), float)
        predicted[:, mine] -= known * at_rows.mean(axis=1, keepdims=True)
        shared[mine] = trunk2 * (1 - known)
    # a refit under a nearly-L1 loss makes less of a run than least squares would
    worth = efficiency(fit.loss, math.sqrt(row2))
    return Beliefs(answers, predicted, np.full(runs.params.shape, row2 / worth), shared / worth, runs.trunk)


def efficiency(loss: Any, sd: float) -> float:
    """How much of a normal observation of deviation `sd` an M-estimate under `loss` uses: 1 for least squares.

    (E ψ′)²/(σ²·E ψ²)·σ² with ψ(z) = clip(z, ±c), c = δ/σ (Huber 1964); 2/π as c → 0.
    """
    from scipy.special import ndtr

    c = loss.delta if type(loss).__name__ == "Likelihood" else loss.delta / sd
    if not c < 1e3:
        return 1.0
    if c < 1e-4:
        return 2 / math.pi
    inside = float(2 * ndtr(c) - 1)
    density = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi)
    return inside**2 / (inside - 2 * c * density + c * c * (1 - inside))


# ---- what is answered -----------------------------------------------------------------------------


def interval_width(lo: Any, hi: Any, positive: bool) -> Any:
    """hi/lo for a positive answer, infinite where lo is 0; hi − lo otherwise."""
    with np.errstate(all="ignore"):
        return np.divide(hi, lo) if positive else np.subtract(hi, lo)


def width_text(width: float, positive: bool) -> str:
    if not math.isfinite(width):
        return "open"
    return f"a factor {number_text(width)}" if positive else f"{number_text(width)} wide"


def shrunk(answers: Array, level: float, left: Any) -> tuple[Any, Any]:
    """The interval at `level` once a share `left` of the variance of the answer's normal score remains."""
    from scipy.special import ndtr, ndtri

    z = ndtri((1 + level) / 2) * np.sqrt(np.asarray(left, float))
    known = np.where(np.isnan(answers), np.inf, answers)
    return np.quantile(known, ndtr(-z), method="lower"), np.quantile(known, ndtr(z), method="higher")


def _rows(
    fit: "Fit",
    boot: "Bootstrap",
    beliefs: Beliefs,
    runs: Candidates,
    chosen: list[int],
    asked: Question,
    answers: Array,
    now: Estimate,
    level: float,
    fixed: Mapping[str, float],
) -> pd.DataFrame:
    predicted = fit.predict(
        params=runs.params[chosen], tokens=runs.tokens[chosen], interval=level, interval_kind="run", boot=boot, **fixed
    )  # fmt: skip
    target = fit.law.target
    out = []
    for place, i in enumerate(chosen):
        flops = float(runs.marginal(chosen[:place])[i])
        before, left = (beliefs.given(chosen[:upto])[0] for upto in (place, place + 1))
        lo, hi = shrunk(answers, level, left)
        t = runs.trunk[i]
        started = any(runs.trunk[j] == t for j in chosen[:place])
        trunk = (
            "" if t < 0 else ("new" if not started else "same") if runs.label[t] is None else runs.label[t]
        )
        out.append(
            {
                "rank": place + 1,
                "params": runs.params[i],
                "tokens": runs.tokens[i],
                "flops": flops,
                "run_loss": predicted[target].iloc[place],
                "run_loss_lo": predicted[f"{target}_lo"].iloc[place],
                "run_loss_hi": predicted[f"{target}_hi"].iloc[place],
                asked.column: now.value,
                f"{asked.column}_lo": float(lo),
                f"{asked.column}_hi": float(hi),
                "width": float(interval_width(lo, hi, asked.positive)),
                "gain_per_flop": 0.5 * math.log(before / left) / flops,
                "trunk": trunk,
            }
        )
    return pd.DataFrame(out)


def _map(beliefs: Beliefs, runs: Candidates) -> pd.DataFrame:
    """What each candidate alone would do."""
    flops = runs.marginal([])
    left = beliefs.after([])[1]
    names = ["" if t < 0 else "new" if runs.label[t] is None else runs.label[t] for t in runs.trunk]
    return pd.DataFrame(
        {
            "params": runs.params,
            "tokens": runs.tokens,
            "flops": flops,
            "trunk": names,
            "width": np.sqrt(left),
            "gain_per_flop": -0.5 * np.log(left) / flops,
        }
    )


def _notes(
    fit: "Fit",
    boot: "Bootstrap",
    runs: Candidates,
    sheet: pd.DataFrame,
    asked: Question,
    answers: Array,
    beyond: float,
    fixed: Mapping[str, float],
) -> tuple[str, ...]:
    scale = "log loss" if boot.on == "log" else "the loss"
    noise = f"{boot.noise.row:.2g} of {scale} for a run"
    if boot.noise.trunk:
        noise += f" and {boot.noise.trunk:.2g} more for its trunk"
    rests = (
        f"Assumes that the law is right out to these runs, that noise is the same at every size ({noise}), and that "
        "the answer follows their losses nearly linearly over the draws; the widths are expectations, not promises."
    )
    out = [rests]
    if runs.stable.size:
        out.append(
            f"Runs are branches of WSD trunks, their decay the last {runs.decay_share:.0%} of the tokens: a run on an "
            "old trunk goes on from its last fork, a new trunk is paid for in full, the same one is shared."
        )
        for name in sheet["trunk"].unique():
            if name not in ("new", "same"):
                which = ", ".join(f"#{rank}" for rank in sheet.loc[sheet["trunk"] == name, "rank"])
                out.append(f"{which}: on trunk {name}.")
    if boot.method == "rows":
        out.append(
            "A bootstrap of rows will show less of the gain than there is, because a third of its resamples lack any "
            'one of the new runs: look at the refit with method="parametric" too.'
        )
    lost = float(np.mean(~np.isfinite(answers)))
    if lost > _SUSPECT:
        out.append(
            f"{lost:.0%} of the draws have no finite {asked.about}: a term of the law vanishes in them. They count by "
            "their rank alone."
        )
    if fit.status.value == "flat":
        out.append(
            "The rows leave constants of this fit open (flat directions): ask again after the first of these runs."
        )
    far = extrapolation(fit, sheet["params"].to_numpy(), sheet["tokens"].to_numpy())
    if far > 0:
        out.append(f"The furthest of these runs lies {far:.1f} decades beyond the fitted rows.")
    if asked.flops is not None or asked.at is not None:
        where: Any = asked.at
        if where is None:
            best = optimal_params_tokens(fit.law, fit.constants, asked.flops or 0, runs.cost, **fixed)
            where = tuple(float(v) for v in best)
        if all(math.isfinite(v) and v > 0 for v in where):
            out += beyond_note(extrapolation(fit, *where), beyond, asked.about)
    return tuple(out)
