"""Whether a search on the smallest size finds the parametrisation's constants: against MiniCPM's, at larger sizes too.

MiniCPM found its constants by a Bayesian search of about 400 trials on its 0.009B model (its blog). Here the study's
own settings are MiniCPM's constants, and its last variant carries what the search of the same study found.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalinglab.analysis import Estimate, count_text, number_text
from scalinglab.analysis.found_constants import best, complete
from scalinglab.analysis.response_surface import FACTOR
from scalinglab.experiments.report import Beside, Report
from scalinglab.experiments.search_findings import LEVEL, Findings, findings, mean_of, pooled
from scalinglab.experiments.search_words import claims_of, ends_text, notes_of, verdict_of
from scalinglab.experiments.wind_tunnel import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PUBLISHED = {"lr": 0.01, "scale_emb": 12.0, "scale_depth": 1.4, "init_std": 0.1}
"""MiniCPM, table 7 and section 3.1."""
TRIALS, PARAMS = 400, 0.009e9
"""Of MiniCPM's search, about."""


def report_of(trained: Trained, progress: Callable[[str, int, int], None] = lambda *step: None) -> Report:
    """What the search found, what each constant is worth, and both settings at all sizes."""
    progress("trials", 0, 2)
    f = findings(trained)
    progress("sizes", 1, 2)
    params = float(f.search.header["params"])
    return Report(
        title="Constants found by a search on the smallest size",
        source="Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 3.1 and table 7; its blog",
        question="Can a small Bayesian search find the parametrisation's constants, and do they serve larger models?",
        setup=_setup(f),
        lines=tuple(_lines(f)),
        tables=_tables(f),
        figures={
            "search": lambda: _trials_figure(f),
            "search-progress": lambda: _progress_figure(f, params),
            "search-sizes": lambda: _sizes_figure(f),
        },
        claims=tuple(claims_of(f)),
        verdict=verdict_of(f),
        notes=tuple(notes_of(f)),
    )


def _setup(f: Findings) -> str:
    head, counts = f.search.header, f.trials["state"].value_counts()
    words = {"complete": "finished", "pruned": "given up early", "diverged": "diverged"}
    states = [f"{counts[state]} {word}" for state, word in words.items() if counts.get(state)]
    sizes, seeds = f.compared.sizes, f.compared.pairs["seed"].nunique()
    horizons = " and ".join(count_text(each) for each in sorted(f.compared.pairs["tokens"].unique()))
    rungs = " and ".join(count_text(each) for each in head["rungs"])
    return (
        f"{len(f.trials)} trials of {count_text(head['params'])} parameters on {count_text(head['horizon'])} tokens "
        f"({', '.join(states)}) over {len(f.found)} constants by a multivariate tree-structured Parzen estimator, the "
        f"first {head['startup']} at random; at {rungs} tokens those went on whose loss was among the best "
        f"{head['keep']:.0%} there. Found is the logarithmic mean of the best {len(best(f.trials))}. Then both found "
        f"and MiniCPM's constants at {len(sizes)} sizes ({count_text(sizes[0])} to {count_text(sizes[-1])} "
        f"parameters), {seeds} seed{'s' * (seeds > 1)} each, at D = {horizons}; runs of one seed are pairs."
    )


def _lines(f: Findings) -> list[Beside]:
    unit = f.compared.loss_unit
    lines = [
        Beside(
            f"{name}, found",
            number_text(PUBLISHED[name]),
            each,
            "published: MiniCPM, table 7; ours: ends of the best trials",
        )
        for name, each in f.found.items()
    ]
    lines.append(Beside("trials", f"about {TRIALS}", float(len(f.trials)), "published: MiniCPM's blog"))
    lines.append(
        Beside("model searched on (parameters)", count_text(PARAMS), count_text(f.search.header["params"]))
    )
    for row in f.compared.cells.to_dict("records"):
        at = f"N {count_text(row['params'])}, D {count_text(row['tokens'])}"
        lines.append(
            Beside(
                f"loss, found less MiniCPM's, {at} ({unit})",
                "",
                Estimate(row["difference"], row["lo"], row["hi"]),
            )
        )
    lines.append(Beside("the same, slope over ln N at the longest horizon", "", f.compared.trend()))
    lines.append(Beside(f"sd of runs alike but for the seed ({unit})", "", f.compared.noise))
    lines.append(Beside("compute of the search, 6·N·D (FLOPs)", "", f"{f.spent:.2e}"))
    lines.append(Beside("tokens that giving up early saved (all trials whole / trained)", "", f.saved))
    return lines


def _tables(f: Findings) -> dict[str, pd.DataFrame]:
    unit = f.compared.loss_unit
    rows = []
    for name, each in f.found.items():
        least, most = f.search.searched[name]
        row: dict[str, Any] = {
            "constant": name,
            "searched": f"{least:g} to {most:g}",
            "MiniCPM's": f.own[name],
        }
        row |= {"found": each.value, "best trials": ends_text(each)}
        if f.surface is not None:
            edge = {"low": " (or below)", "high": " (or above)", "": ""}[f.surface.edge[name]]
            row |= {"surface's least": f.surface.optimum[name].text() + edge}
            row |= {f"a factor {FACTOR:g} off costs": f.surface.alone[name].text()}
            row |= {"with the others set anew": f.surface.retuned[name].text()}
        rows.append(row)
    ranked = complete(f.trials).head(10)
    tables = {
        f"What the search found, and what each constant is worth ({unit}; {LEVEL:.0%} intervals)": pd.DataFrame(
            rows
        ),
        f"The best trials ({unit})": ranked[["trial", *f.found]].assign(loss=_four(ranked["loss"])),
    }
    cells = f.compared.cells.drop(columns=["seeds", "loss_unit"])
    means = f.compared.pairs.groupby(["params", "tokens"])[["own", "found"]].mean().reset_index()
    merged = cells.merge(means, on=["params", "tokens"])
    merged[["own", "found"]] = merged[["own", "found"]].apply(_four)
    merged = merged.rename(columns={"own": "loss, MiniCPM's", "found": "loss, found"})
    return tables | {f"Both settings by size and horizon ({unit})": merged}


def _four(losses: pd.Series) -> pd.Series:
    """As text with four decimals: trials differ in the third."""
    return losses.map(lambda loss: f"{loss:.4f}")


# ---- figures ----------------------------------------------------------------------------------------


def _trials_figure(f: Findings) -> "Axes":
    from scalinglab import plots
    from scalinglab.experiments.report import wide_axes

    return plots.search_trials(f.trials, f.found, f.search.searched, f.own, ax=wide_axes(5.2, 4.4))


def _progress_figure(f: Findings, params: float) -> "Axes":
    """With what MiniCPM's constants reach on the same size and tokens, where that was trained.

    Its interval is that of a mean over seeds, their scatter pooled over sizes.
    """
    from scalinglab import plots

    pairs, head = f.compared.pairs, f.search.header
    same = pairs[(pairs["params"] == params) & (pairs["tokens"] == head["horizon"])]["own"].to_numpy(
        dtype=float
    )
    reference = None
    if len(same):
        reference = mean_of(same, *pooled(pairs, ["own", "found"], ["params", "tokens"]))
    return plots.search_progress(f.trials, params, reference)


def _sizes_figure(f: Findings) -> "Axes":
    from scalinglab import plots

    return plots.search_gains(f.compared.cells)
