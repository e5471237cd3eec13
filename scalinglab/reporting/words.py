"""What a report says in sentences: the summary, how it was fitted, what to beware of, and whom to cite."""

import math
import re

import numpy as np

from scalinglab._version import __version__
from scalinglab.analysis import Optimum, count_text, scaling
from scalinglab.analysis.source import loss_unit
from scalinglab.errors import InputError
from scalinglab.fitting import Huber, Likelihood
from scalinglab.reporting.report import Report
from scalinglab.reporting.views import View, coarse
from scalinglab.units import number_text


def summary(report: Report, view: View) -> list[str]:
    """The answer in plain words, a sentence or two each."""
    rows = view.fit.rows
    unit = loss_unit(rows) or "a unit the table does not tell"
    where = f", measured on {view.eval_set}" if view.eval_set else ""
    said = [
        (
            f"{len(rows)} runs of {_span(rows['params'], 'parameters')} and {_span(rows['tokens'], 'tokens')}; the "
            f"losses are in {unit}{where}."
        ),
        (
            f"{view.law.name}'s law describes them to within {scatter(view)} (one standard deviation): "
            f"{view.fit.status.reason}."
        ),
        _optimum(view.now, f"At the compute of the dearest run, {flops_text(view.now.flops)}"),
        _optimum(view.tenfold, f"At ten times that, {flops_text(view.tenfold.flops)}"),
    ]
    if (grown := growth(view)) is not None:
        said.append(grown)
    if view.eval_set in report.compared:
        said.append(_better(report, view))
    said.append(hangs_on(view))
    return said


def scatter(view: View) -> str:
    """The residuals' standard deviation: percent, or in the loss's own unit."""
    return f"{100 * view.fit.noise:.2g} %" if view.fit.loss.on == "log" else f"{view.fit.noise:.2g}"


def flops_text(flops: float) -> str:
    """3.2e+21 FLOPs as 3.2e21 FLOPs."""
    return re.sub(r"e\+?(-?)0*(\d)", r"e\1\2", f"{flops:.2e}") + " FLOPs"


def _span(values: object, of: str) -> str:
    lo, hi = float(np.min(np.asarray(values))), float(np.max(np.asarray(values)))
    return f"{count_text(lo)} {of}" if lo == hi else f"{count_text(lo)} to {count_text(hi)} {of}"


def _optimum(best: Optimum, where: str) -> str:
    n, d = best.params, best.tokens
    if not (0 < n.value < math.inf and 0 < d.value < math.inf):
        return f"{where}, this fit has no best size: a term of its law has vanished."
    said = (
        f"{where}, the best model has {n.text(True)} parameters and sees {d.text(True)} tokens, "
        f"{number_text(best.ratio.value)} a parameter, for a loss of {best.loss} "
        f"(brackets: {best.level:.0%} intervals)."
    )
    if n.open or d.open:
        said += " The intervals are so wide that the rows leave the best size open."
    if best.extrapolation > 0.05:
        said += f" Its size or its tokens lie {best.extrapolation:.1f} decades beyond the runs'."
    return said


def growth(view: View) -> str | None:
    """How the optimum grows with compute; None for a law without exponents."""
    try:
        found = scaling(view.fit, view.level, view.boot)
    except InputError:
        return None
    if not math.isfinite(found.a.value):
        return None
    return (
        f"As compute C grows, the best size grows as C^{found.a} and its tokens as C^{found.b}: ten times the compute "
        f"asks for {10**found.a.value:.2g} times the parameters and {10**found.b.value:.2g} times the tokens."
    )


def _better(report: Report, view: View) -> str:
    found = report.compared[view.eval_set]
    if found.best == "undecided":
        return f"These rows do not decide between the laws ({found.evidence})."
    mine = "this law" if found.best == view.law.name else f"{found.best}'s law"
    return f"Of the laws fitted, {mine} describes these rows best ({found.evidence})."


def hangs_on(view: View) -> str:
    """Which run moves the best size most when it is left out, at the budget that is nearest to the dearest run's."""
    asked = view.grid["flops"].to_numpy()
    column = int(np.argmin(np.abs(np.log(asked[coarse(len(asked))] / view.now.flops))))
    with np.errstate(all="ignore"):
        moved = np.abs(np.log(view.without.params[:, column]))
    if not np.isfinite(moved).any():
        return "Without any of its runs the fit has no best size."
    i = int(np.nanargmax(np.where(np.isfinite(moved), moved, np.nan)))
    factor = view.without.params[i, column]
    return (
        f"No run moves the best size there more than {run_name(view, int(view.without.rows[i]))}: without it, "
        f"N is {factor:.2f} times as large."
    )


def run_name(view: View, row: int) -> str:
    """The run's id, else its place in the table as it is fitted."""
    rows = view.fit.rows
    if "run_id" in rows and isinstance(rows["run_id"].iloc[row], str):
        return str(rows["run_id"].iloc[row])
    return f"run {row + 1}"


# ---- how, and what to beware of ---------------------------------------------------------------------


def method(view: View) -> list[tuple[str, str]]:
    """(what, how) of a fit."""
    fit, boot = view.fit, view.boot
    shared = f", rows of one {boot.by} sharing their noise" if boot.by else ""
    return [
        ("Law", f"L = {fit.law.formula} ({fit.law.source})"),
        ("Loss minimised", f"{_loss(view)}; {len(fit.rows)} rows"),
        (
            "Search",
            f"{fit.starts} starts ended at the best objective, {fit.objective:.6g}: {fit.status.reason}",
        ),
        (
            "Intervals",
            f"{view.level:.0%}, from {len(boot.constants)} refits of resampled {_resampled(boot.method)}{shared}",
        ),
        ("Compute", "C = 6·N·D; N and D are what the table's params and tokens count"),
        ("Made with", f"scalinglab {__version__}, seed {boot.seed}"),
    ]


def _loss(view: View) -> str:
    loss, on = view.fit.loss, "log loss" if view.fit.loss.on == "log" else "loss"
    if isinstance(loss, Huber):
        return f"Huber's with δ = {loss.delta:g} on {on}"
    if isinstance(loss, Likelihood):
        return f"likelihood with fitted noise, δ = {loss.delta:g}, on {on}"
    return f"{loss.name.lower()} error on {on}"


def _resampled(method: str) -> str:
    return {
        "rows": "rows",
        "clusters": "groups of rows",
        "parametric": "losses (the law plus noise as large as the rows')",
    }[method]


def warnings_of(view: View) -> list[tuple[str, str, str]]:
    """(code, sentence, mend) of everything the fit and its intervals warn of."""
    found = (*view.fit.warnings, *view.boot.warnings)
    return [(w.code, f"{w.sentence[0].upper()}{w.sentence[1:]}.", w.mend) for w in found]


def citations(report: Report) -> list[tuple[str, str, str]]:
    """(what for, source, address or "") of each law, of the method, and of the program."""
    cited = []
    for view in report.views:
        entry = (f"{view.law.name}'s law", str(view.law.source), _address(str(view.law.source)))
        if entry not in cited:
            cited.append(entry)
    if any(isinstance(view.fit.loss, Huber) for view in report.views):
        text = "Hoffmann et al. 2022, arXiv 2203.15556, appendix D.2; Besiroglu et al. 2024, arXiv 2404.10102"
        cited.append(("Huber's loss on log loss, and its bootstrap", text, _address(text)))
    return [*cited, ("The fits and this report", f"scalinglab {__version__}", "")]


def _address(source: str) -> str:
    found = re.search(r"arXiv (\d{4}\.\d{4,5})", source)
    return f"https://arxiv.org/abs/{found[1]}" if found else ""


BIBTEX = f"""@software{{scalinglab,
  title = {{scalinglab: scaling laws for language models, with error bars}},
  version = {{{__version__}}},
}}"""
