"""The tables a ladder ends with, in 80 columns, for someone who has never seen one."""

import math
import re
from typing import Any

from rich.markup import escape

from scalinglab.analysis import Estimate, count_text
from scalinglab.cli._console import console
from scalinglab.cli._table import table
from scalinglab.experiments.ladder_report import LadderReport
from scalinglab.fitting import Fit, Status
from scalinglab.ladder import Cost, total
from scalinglab.sweep import Swept


def print_losses(report: LadderReport) -> None:
    """Loss of every branch end, sizes across, horizons down; the mean where a size has several seeds."""
    means = report.ends.groupby(["tokens", "params"])["loss"].mean().unstack("params")
    unit = report.ends["loss_unit"].iloc[0]
    shown = table(
        f"Loss of the trained models, {unit}",
        "tokens D",
        *(f"N {count_text(float(n))}" for n in means.columns),
        caption=f"{_set(report.eval_set)}.",
    )
    for tokens, row in means.iterrows():
        cells = ["" if loss != loss else f"{loss:.3f}" for loss in row]
        shown.add_row(count_text(float(tokens)), *cells)  # type: ignore[arg-type]
    console.print(shown)


def print_domains(swept: Swept, report: LadderReport) -> None:
    """Loss of the ladder's best model on each held-out set, with its standard error."""
    best = report.ends.iloc[int(report.ends["loss"].to_numpy().argmin())]
    rows = swept.table[(swept.table["run_id"] == best["run_id"]) & (swept.table["kind"] != "trunk")]
    if len(rows) < 2:
        return
    shown = table(
        f"The best model (N {count_text(best['params'])}, D {count_text(best['tokens'])}) by held-out set",
        "set", best["loss_unit"], "standard error", best["loss_unit"].replace("nats", "bits"),
    )  # fmt: skip
    for row in rows.to_dict("records"):
        shown.add_row(
            row["eval_set"], f"{row['loss']:.3f}", f"{row['loss_se']:.3f}", f"{row['loss'] / math.log(2):.2f}"
        )
    console.print(shown)


def print_fit(fit: Fit, level: float = 0.9) -> None:
    """The constants with their intervals, which of them the rows determine, and every warning."""
    shown = table(
        f"{fit.law.name}: {'L' if fit.law.target == 'loss' else fit.law.target} = {fit.law.formula}",
        "constant", "value", f"{level:.0%} interval", "",
        caption=f"{len(fit.rows)} rows, {fit.loss}; {_reason(fit)}. {_noise(fit)}",
    )  # fmt: skip
    shown.columns[3].justify = "left"
    interval = fit.boot().interval(level)
    flat = {name for warning in fit.warnings for name in warning.about}
    open_names = open_constants(fit, level)
    for constant in fit.law.constants:
        low, high = interval.loc[constant.name]
        found = Estimate(fit.constants[constant.name], low, high)
        open_ = constant.name in open_names
        shown.add_row(
            f"{constant.name}  [dim]{constant.meaning}[/]",
            "—" if open_ else _number(found.value),
            f"{_number(found.lo)} … {_number(found.hi)}",
            "[yellow]not identified[/]"
            if open_
            else "[yellow]trades off[/]"
            if constant.name in flat
            else "",
        )
    console.print(shown)
    for warning in (*fit.warnings, *fit.boot().warnings):
        mend = escape(in_shell(warning.mend))
        console.print(f"[yellow]{warning.code}[/]: {escape(warning.sentence)}. [dim]Mend: {mend}.[/]")
    console.print()


def in_shell(mend: str) -> str:
    """A mend in the command line's spelling."""
    mend = re.sub(r"loss=Huber\(([^)]+)\)", r"--loss huber:\1", mend)
    mend = re.sub(r'constraints=\{"(\w+)": …\}', r"--fix \1=…", mend)
    return re.sub(r'method="(\w+)"', r"--method \1", mend)


def _reason(fit: Fit) -> str:
    """How the fit ended; an optimum whose intervals leave constants open is not called determined."""
    names = open_constants(fit)
    if fit.status is Status.OK and names:
        return f"the best minimum was found, but the intervals leave {', '.join(names)} open"
    return fit.status.reason


def _noise(fit: Fit) -> str:
    """What the intervals take a run's chance to be."""
    boot, scale = fit.boot(), 100.0 if fit.loss.on == "log" else 1.0
    unit = " %" if fit.loss.on == "log" else ""
    if not boot.by:
        return f"Intervals: {boot.method} bootstrap; a row scatters by {scale * boot.noise.row:.2g}{unit}."
    return (
        f"Intervals: {boot.method} bootstrap; a row scatters by {scale * boot.noise.row:.2g}{unit}, a trunk by "
        f"{scale * boot.noise.trunk:.2g}{unit} ({boot.noise.source})."
    )


def is_open(found: Estimate) -> bool:
    """Whether a constant's interval is too wide to print a value with confidence.

    Reaching zero, or open at the top, or its ends a factor 100 apart: a coefficient is a power of
    what its exponent leaves over, so it is judged by its logarithm.
    """
    near_zero = 1e-6 * abs(found.value)
    reaches_zero = found.lo <= near_zero and found.hi >= -near_zero
    smaller, larger = sorted((abs(found.lo), abs(found.hi)))
    return reaches_zero or not math.isfinite(larger) or larger > 100 * smaller


def open_constants(fit: Fit, level: float = 0.9) -> list[str]:
    """The constants whose intervals leave them open."""
    interval = fit.boot().interval(level)
    ends = {name: interval.loc[name] for name in fit.constants}
    free = {constant.name for constant in fit.constraints.free(fit.law)}

    def unmoved(name: str) -> bool:
        """Fitted, and the same in every draw: nothing in the rows depends on it."""
        return name in free and bool(ends[name]["lo"] == ends[name]["hi"])

    return [
        name
        for name, value in fit.constants.items()
        if unmoved(name) or is_open(Estimate(value, *ends[name]))
    ]


def print_allocations(report: LadderReport) -> None:
    """N_opt and D_opt under four conventions, and how far they differ."""
    shown = table(
        "Compute-optimal size and data, with 90% intervals",
        "C", "by", "N", "N_opt", "D_opt", "D/N",
        caption=(
            "C is what the dearest run of the ladder cost, and ten times it: by 6ND (6 FLOPs a parameter "
            "and token) or exact (attention and head too), N without the embedding (blocks) or with it (total)."
        ),
    )  # fmt: skip
    for column in shown.columns[:3]:
        column.justify, column.no_wrap = "left", True
    for found in report.allocations:
        best = found.optimum
        shown.add_row(
            f"{best.flops:.1e}".replace("e+", "e"),
            best.cost,
            "blocks" if found.counted == "non-embedding" else found.counted,
            *(_range(e) for e in (best.params, best.tokens, best.ratio)),
        )
    console.print(shown)
    console.print(conventions_sentence(report))


def conventions_sentence(report: LadderReport) -> str:
    """How far the conventions' answers lie apart at the first budget."""
    first = [found for found in report.allocations if found.times == 1.0]
    n = {f"{a.optimum.cost}, N {a.counted}": a.optimum.ratio.value for a in first}
    low, high = min(n, key=lambda key: n[key]), max(n, key=lambda key: n[key])
    if not 0 < n[low] <= n[high] < math.inf or any(a.optimum.ratio.open for a in first):
        return "These runs do not determine the optimum at this budget.\n"
    return (
        f"At the ladder's own budget the conventions put D/N between {count_text(n[low])} ({low}) and "
        f"{count_text(n[high])} ({high}), a factor {n[high] / n[low]:.1f}: say which one you use.\n"
    )


def print_answers(report: LadderReport) -> None:
    """The remaining answers, a line each."""
    s = report.scaling
    shown = table("Answers", "question", "answer (90% interval)")
    shown.columns[1].justify = "left"
    shown.columns[1].no_wrap = False
    bytes_ = "byte" in report.ends["loss_unit"].iloc[0] and "bytes_per_token" not in report.ends
    unit = "bytes" if bytes_ else "tokens"
    first = next(a.optimum for a in report.allocations if a.times == 1.0 and a.counted == "non-embedding")
    shown.add_row("D_opt/N_opt at the ladder's budget (6ND)", f"{_range(first.ratio)} {unit} per parameter")
    shown.add_row("N_opt grows as C^a, a", _exponent(s.a))
    shown.add_row("D_opt grows as C^b, b", _exponent(s.b))
    shown.add_row("MiniCPM's K² (N, D in 1e9, C in 1e18)", _text(s.K2))
    shown.add_row("MiniCPM's η = a - b", _exponent(s.eta, 2.0))
    shown.add_row("Hoffmann's G", _text(s.G))
    worth = report.worth
    for name, found in report.equivalent.items():
        where = "compute-optimal frontier" if name == "optimal" else name
        shown.add_row(
            f"Worth of N {count_text(worth['params'])} after {count_text(worth['tokens'])} tokens, on {where}",
            f"N {_range(found.params)}",
        )
    if report.continual is not None:
        better = report.continual.comparison.best
        verdict = {"PowerLaw": "power law", "Exponential": "exponential"}.get(better, better)
        shown.add_row(
            f"Continual training of N {count_text(report.continual.params)}: curve",
            f"{verdict} ({report.continual.comparison.evidence})",
        )
    console.print(shown)


def print_ledger(swept: Swept) -> None:
    """What trunks, branches and the same points from scratch cost, as trained."""
    shown = table(
        "Cost of the ladder (exact FLOPs, as trained)",
        "size", "trunk", "branches", "from scratch", "saved",
        caption="Saved: how many times dearer the same points are, each trained from scratch."
        + _wasted(swept.trained[-1]),
    )  # fmt: skip
    sizes = list(dict.fromkeys(cost.size for cost in swept.trained))
    for size in sizes:
        cost = total([one for one in swept.trained if one.size == size])
        shown.add_row(
            size,
            f"{cost.trunk.flops_exact:.2e}",
            f"{cost.branch.flops_exact:.2e}",
            f"{cost.scratch.flops_exact:.2e}",
            f"{cost.ratio_exact:.2f}x" if cost.ladder.flops_exact else "",
        )
    console.print(shown)


def _wasted(cost: Cost) -> str:
    """What interruptions made train again, as part of a caption."""
    if not cost.wasted.steps:
        return ""
    share = cost.wasted.flops_exact / cost.ladder.flops_exact
    return (
        f" Interruptions made {cost.wasted.steps:,} updates train again: {cost.wasted.flops_exact:.2e} FLOPs beside "
        f"the above, {share:.1%}."
    )


def summary_json(swept: Swept, report: LadderReport) -> dict[str, Any]:
    """The same figures for machines."""

    def plain(found: Estimate) -> dict[str, float]:
        return {"value": found.value, "lo": found.lo, "hi": found.hi}

    fit, interval = report.fit, report.fit.boot().interval(0.9)
    return {
        "eval_set": report.eval_set,
        "loss_unit": report.ends["loss_unit"].iloc[0],
        "rows": len(report.ends),
        "fit": {
            "law": fit.law.name,
            "status": fit.status.value,
            "objective": fit.objective,
            "constants": {
                name: {"value": value, "lo": interval.loc[name, "lo"], "hi": interval.loc[name, "hi"]}
                for name, value in fit.constants.items()
            },
            "warnings": [str(warning) for warning in (*fit.warnings, *fit.boot().warnings)],
        },
        "scaling": {key: plain(getattr(report.scaling, key)) for key in ("a", "b", "G", "K2", "eta")},
        "optimum": [
            {
                "params_counted": found.counted,
                "flops_counted": found.optimum.cost,
                "times": found.times,
                "flops": found.optimum.flops,
                **{key: plain(getattr(found.optimum, key)) for key in ("params", "tokens", "ratio", "loss")},
            }
            for found in report.allocations
        ],
        "equivalent_size": {
            name: {"loss": found.loss, "params": plain(found.params), "tokens": plain(found.tokens)}
            for name, found in report.equivalent.items()
        },
        "continual": None
        if report.continual is None
        else {
            "params": report.continual.params,
            "better": report.continual.comparison.best,
            "evidence": report.continual.comparison.evidence,
            "power": report.continual.power.constants,
            "exponential": report.continual.exponential.constants,
        },
        "ledger": [
            {"size": cost.size, "ratio": cost.ratio, "ratio_exact": cost.ratio_exact} | cost.flat()
            for cost in swept.trained
            if cost.trunk.steps
        ],
        "notes": [*swept.notes, *report.notes],
    }


def _set(name: str) -> str:
    return "Average over the held-out sets" if name == "average" else f"Held-out set {name}"


def _number(value: float) -> str:
    if value != value:
        return "?"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    return f"{value:.1e}"


def _exponent(found: Estimate, span: float = 1.0) -> str:
    """An exponent that can lie anywhere in `span` is open when its interval covers most of that."""
    ends = f"{found.lo:.2f}–{found.hi:.2f}"
    return f"not identified, ? ({ends})" if found.hi - found.lo > 0.6 * span else found.text()


def _text(found: Estimate) -> str:
    return f"not identified, {_range(found)}" if found.open else found.text()


def _range(found: Estimate) -> str:
    """Value and interval of a count; only the interval where it says next to nothing."""
    ends = f"{count_text(found.lo, 2)}–{count_text(found.hi, 2)}"
    return f"? ({ends})" if found.open else f"{count_text(found.value)} ({ends})"
