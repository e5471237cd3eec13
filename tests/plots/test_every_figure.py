"""Every figure of the catalogue, and every answer.

A figure draws on given axes and on its own, in both styles, and no text is cut off. An answer reads in 80 columns and
as HTML in any colours, tabulates with units, and draws itself where it has a figure.
"""

import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import scalinglab as sl
from scalinglab import laws, plots
from scalinglab.analysis import Answer, Estimate
from scalinglab.analysis.found_constants import found_constants
from scalinglab.errors import InputError
from scalinglab.experiments.quickstart import STUDY
from scalinglab.ladder import Batches, parse_schedule

NAMES = sorted(
    {*plots.KINDS, "paired", "schedule_kinds", "coordinate_check", "lr_valleys", "lr_drift"}
    | {"search_trials", "search_progress", "search_gains"}
)


@pytest.fixture(scope="module")
def answers(fit: sl.Fit, runs: pd.DataFrame) -> dict[str, Answer]:
    """One of every kind of answer, by name."""
    swept, curves = sweep(), many_sizes()
    settings = sl.batch_lr(swept, resamples=50)
    far = {"beyond": np.inf}
    on = sl.continual(runs, against=fit)
    return {
        "continual": on,
        "isoflop": sl.isoflop(runs, resamples=50),
        "envelope": sl.envelope(curves, resamples=50),
        "crossings": sl.crossings(curves),
        "crossings of a fit": sl.crossings(fit, **far),
        "batch_lr": settings,
        "iso_loss": sl.iso_loss(swept, resamples=20),
        "plan": sl.plan(STUDY),
        "plan with a price": sl.plan(STUDY, hardware="h100", price=2.5),
        "next_runs": sl.next_runs(fit, 2e12, density=4, **far),
        "next_runs for a": sl.next_runs(fit, 2e12, "a", density=2, runs=1, **far),
        "paired": sl.paired(runs, runs.assign(loss=0.995 * runs["loss"]), resamples=50),
        "influence": sl.influence(fit, flops=1e13),
        "lr_transfer": sl.analysis.lr_transfer(valleys_of_widths()["MiniCPM's"]),
        "optimum": fit.optimum(1e13, **far),
        "frontier": fit.frontier([1e12, 1e13], **far),
        "scaling": fit.scaling(),
        "equivalent_size": fit.equivalent_size(1.75, 11_000.0, **far),
        "overtraining": fit.overtraining(1e12, **far),
        "inference_optimum": fit.inference_optimum(1e8, flops=1e12, **far),
        "data_limited": fit.data_limited(1e13, 1e6, **far),
        "crossing": sl.crossing(13e9, 34e9, 1e23),
        "equal_compute": on.against[0],
        "setting": settings.at(2e4, 2e6),
        "simulate_next": sl.simulate_next(fit, 2e12, repeats=2, runs=1, resamples=20),
    }


@pytest.fixture(scope="module")
def figures(
    fit: sl.Fit, runs: pd.DataFrame, answers: dict[str, Any], training_records: Any
) -> dict[str, Callable[..., Any]]:
    """Name -> draw(ax=…), the answers already found."""
    trunk, branches = training_records()
    (found, valleys, enveloped, crossed, settings, lines, planned, following, compared, influences) = (
        answers[name]
        for name in ("continual", "isoflop", "envelope", "crossings", "batch_lr", "iso_loss", "plan", "next_runs",
                     "paired", "influence")
    )  # fmt: skip
    along = sl.fit(laws.PowerLaw("tokens"), runs[runs["params"] == runs["params"].min()])
    along.bootstrap(50)
    reviewed = sl.check(pd.concat([runs, runs.iloc[:2]]))
    transfer = {name: sl.analysis.lr_transfer(own) for name, own in valleys_of_widths().items()}
    trials, ranges = a_search(), {"lr": (0.001, 0.1), "scale_emb": (1.0, 100.0), "init_std": (0.01, 1.0)}
    best = found_constants(trials, list(ranges))
    ramp = Batches(256_000, ((3000, 512_000), (6000, 1_024_000)))
    return {
        "schedule": lambda **ax: plots.schedule(parse_schedule("default:total=10000"), batches=ramp, **ax),
        "schedule_kinds": lambda **ax: plots.schedule_kinds(**ax),
        "schedule_and_loss": lambda **ax: plots.schedule_and_loss(trunk, branches, **ax),
        "loss_vs_tokens": lambda **ax: plots.loss_vs_tokens(fit, **ax),
        "curve": lambda **ax: plots.curve(along, **ax),
        "measured": lambda **ax: plots.measured(fit, **ax),
        "bootstrap": lambda **ax: plots.bootstrap(fit.boot(), **ax),
        "residuals": lambda **ax: plots.residuals(fit, **ax),
        "review": lambda **ax: plots.review(reviewed, **ax),
        "leverage": lambda **ax: plots.leverage(fit, found=influences, **ax),
        "profile": lambda **ax: plots.profile(fit, **ax),
        "contours": lambda **ax: plots.contours(fit, flops=1e13, **ax),
        "frontier": lambda **ax: plots.frontier(fit, **ax),
        "continual": lambda **ax: plots.continual(found, runs, **ax),
        "equivalent_size": lambda **ax: plots.equivalent_size(fit, 1.75, 11_000.0, **ax),
        "isoflop": lambda **ax: plots.isoflop(valleys, **ax),
        "isoflop_optima": lambda **ax: plots.isoflop_optima(valleys, **ax),
        "envelope": lambda **ax: plots.envelope(enveloped, **ax),
        "crossings": lambda **ax: plots.crossings(crossed, **ax),
        "overtraining": lambda **ax: plots.overtraining(fit, 1e12, **ax),
        "inference_optimum": lambda **ax: plots.inference_optimum(fit, 1e8, flops=1e12, **ax),
        "data_limited": lambda **ax: plots.data_limited(fit, 1e13, 1e6, **ax),
        "batch_lr": lambda **ax: plots.batch_lr(settings, **ax),
        "batch_lr_valley": lambda **ax: plots.batch_lr_valley(settings, **ax),
        "iso_loss": lambda **ax: plots.iso_loss(lines, **ax),
        "iso_loss_sizes": lambda **ax: plots.iso_loss_sizes(lines, **ax),
        "iso_loss_law": lambda **ax: plots.iso_loss_law(lines, **ax),
        "ladder_cost": lambda **ax: plots.ladder_cost(planned, **ax),
        "next_runs": lambda **ax: plots.next_runs(fit, following, **ax),
        "paired": lambda **ax: plots.paired(compared, **ax),
        "lr_valleys": lambda **ax: plots.lr_valleys(transfer, **ax),
        "lr_drift": lambda **ax: plots.lr_drift(transfer, **ax),
        "search_trials": lambda **ax: plots.search_trials(trials, best, ranges, {"lr": 0.01}, **ax),
        "search_progress": lambda **ax: plots.search_progress(trials, 1e4, Estimate(2.53, 2.51, 2.55), **ax),
        "search_gains": lambda **ax: plots.search_gains(gains(), **ax),
        "coordinate_check": lambda **ax: plots.coordinate_check(activations(), **ax),
    }


def many_sizes() -> pd.DataFrame:
    """Noise-free curves of twelve sizes under a known law."""
    law = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
    parts = []
    for n in np.geomspace(1e7, 1e10, 12):
        d = np.geomspace(n, 400 * n, 40)
        loss = laws.Chinchilla().predict(law, params=n, tokens=d)
        parts.append(pd.DataFrame({"run_id": f"{n:.4g}", "params": n, "tokens": d, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def a_search() -> pd.DataFrame:
    """Trials about a bowl: finished, pruned and diverged ones, some far above."""
    rng = np.random.default_rng(0)
    off = rng.uniform(-2, 2, (40, 3))
    states = np.array(["complete", "complete", "pruned", "complete", "diverged"])[np.arange(40) % 5]
    loss = np.where(states == "complete", 2.5 + 0.2 * (off**2).sum(1), np.nan)
    constants = np.exp(off) * [0.01, 10.0, 0.1]
    frame = pd.DataFrame(constants, columns=["lr", "scale_emb", "init_std"]).assign(state=states, loss=loss)
    return frame.assign(
        trial=range(40), tokens=np.where(states == "complete", 1e5, 3e4), loss_unit="nats/byte"
    )


def gains() -> pd.DataFrame:
    return pd.DataFrame(
        {"params": n, "tokens": d, "difference": 1e-3 * (i - 1), "lo": 1e-3 * (i - 3), "hi": 1e-3 * (i + 1),
         "seeds": (-0.002, 0.001 * i), "loss_unit": "nats/byte"}
        for i, n in enumerate((1e4, 4e4, 1e5))
        for d in (256e3, 512e3)
    )  # fmt: skip


def activations() -> pd.DataFrame:
    """A coordinate check in which one parametrisation is flat and the other grows as the width."""
    modules = ("embedding", "attention", "mlp", "residual", "logits")
    return pd.DataFrame(
        {"parametrisation": name, "width": d, "seed": seed, "step": 4, "module": module,
         "activation": (1 + i) * d**power * (1 + 0.1 * seed), "change": 0.1 * d**power * (1 + 0.1 * seed)}
        for name, power in (("minicpm", 0.0), ("standard", 1.0))
        for d in (32, 64, 128, 256, 512)
        for seed in range(2)
        for i, module in enumerate(modules)
    )  # fmt: skip


def sweep() -> pd.DataFrame:
    """Learning rate × batch in eight cells, each a quadratic valley with its optimum inside."""
    rng = np.random.default_rng(0)
    n, d, lr, batch = (
        a.ravel()
        for a in np.meshgrid(
            [1e4, 4e4], 1e6 * 2.0 ** np.arange(4), 2.0 ** np.arange(-10, -4), 2.0 ** np.arange(7, 13)
        )
    )
    u, v = np.log(lr) - np.log(3 * n**-0.6), np.log(batch) - np.log(0.5 * d**0.5)
    loss = (1 + 8 * n**-0.3 + 60 * d**-0.35) * np.exp(0.01 * (u * u + v * v) + rng.normal(0, 5e-4, n.size))
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss, "lr": lr, "batch_tokens": batch})


def valleys_of_widths() -> dict[str, pd.DataFrame]:
    """Learning rate × width: flat, and with an optimum that falls off the grid, where the highest rate diverges."""
    width, lr, seed = (a.ravel() for a in np.meshgrid([32, 64, 128], 0.001 * 2.0 ** np.arange(6), [0, 1]))
    found = {}
    for name, power in (("MiniCPM's", 0.0), ("standard", -1.5)):
        v = np.log(lr / 0.006) - power * np.log(width / 32)
        loss = 2.1 + 9 / width + 0.06 * v**2 + 0.01 * np.sin(99 * lr + seed)
        loss[(lr > 0.02) & (power < 0)] = np.nan
        found[name] = pd.DataFrame(
            {"width": width, "lr": lr, "seed": seed, "loss": loss, "loss_unit": "nats/byte"}
        )
    return found


def test_the_catalogue_is_covered(figures: dict[str, Any]) -> None:
    assert sorted(figures) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_on_given_axes_and_in_the_paper_style(figures: dict[str, Any], name: str) -> None:
    ax = Figure().add_subplot()
    assert figures[name](ax=ax) is ax
    draws_without_complaint(ax)
    with plots.style("paper"):
        paper = figures[name]()
    assert paper.figure.get_figwidth() == 3.4
    nothing_is_cut_off(paper)


@pytest.mark.parametrize("name", NAMES)
def test_in_the_notebook_style_no_text_is_cut_off(figures: dict[str, Any], name: str) -> None:
    ax = figures[name]()
    assert ax.figure.get_figwidth() == 7
    nothing_is_cut_off(ax)


def draws_without_complaint(ax: Any) -> None:
    """Layout included: text too large for the figure would warn, and warnings are errors here."""
    ax.figure.canvas.figure.draw_without_rendering()


def nothing_is_cut_off(ax: Any) -> None:
    draws_without_complaint(ax)
    page = ax.figure.bbox.padded(3)
    for each in ax.figure.axes:
        for axis in (each.xaxis, each.yaxis):
            boxes = tick_label_boxes(axis)
            along = sorted((box.x0, box.x1) if axis is each.xaxis else (box.y0, box.y1) for box in boxes)
            assert all(end < start for (_, end), (start, _) in itertools.pairwise(along))
            for box in [*boxes, axis.label.get_window_extent()]:
                assert page.contains(box.x0, box.y0)
                assert page.contains(box.x1, box.y1)
        if each.get_legend():
            key = each.get_legend().get_window_extent()
            assert page.contains(key.x0, key.y0)
            assert page.contains(key.x1, key.y1)
            assert not key.overlaps(each.get_window_extent().padded(-3))


def tick_label_boxes(axis: Any) -> list[Any]:
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [
        tick.label1.get_window_extent()
        for tick in ticks
        if tick.label1.get_visible() and tick.label1.get_text()
    ]


# ---- every answer -----------------------------------------------------------------------------------

WITHOUT_A_FIGURE = {"crossing", "equal_compute", "setting", "simulate_next"}


def kinds_of(base: type) -> set[type]:
    return {each for own in base.__subclasses__() for each in (own, *kinds_of(own))}


def test_no_kind_of_answer_is_missing(answers: dict[str, Answer]) -> None:
    ours = {kind for kind in kinds_of(Answer) if kind.__module__.startswith("scalinglab.")}
    assert {type(answer) for answer in answers.values()} == ours


class Reader(HTMLParser):
    """Tags that were opened and not closed, attributes, and what stands there."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.styles, self.heads, self.words = "", 0, ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.styles += f";{found.get('style', '')}"
        self.heads += tag == "th" and found.get("scope") in ("col", "row")
        assert not {"bgcolor", "color"} & set(found)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_every_answer_reads_in_80_columns_and_in_any_colours(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        for text in (str(answer), repr(answer)):
            assert max(map(len, text.splitlines())) <= 80, (name, text)
            assert " ".join(answer.headline().split()) in " ".join(text.split()), name
        page = Reader(answer._repr_html_())
        assert not page.open, name
        assert "color" not in page.styles, name
        assert "background" not in page.styles, name
        assert page.heads > 2, name
        for sentence in (answer.headline(), *answer.notes):  # what to beware of is seen
            assert sentence in page.words, name


def test_every_answer_tabulates_with_units(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        frame = answer.to_frame()
        assert isinstance(frame, pd.DataFrame)
        assert len(frame), name
        numbers = {column for column in frame.columns if frame[column].dtype.kind in "iuf"}
        if "unit" in frame:
            numbers -= {"value", "lo", "hi"}
            assert (frame["unit"] != "").all(), name
        units = frame.attrs["units"]
        assert set(units) == numbers, name
        assert all(units.values()), (name, units)
        assert frame.attrs["level"] == answer.level
        frame.iloc[:, 0] = frame.iloc[::-1, 0].to_numpy()  # it is the caller's own
        assert answer.to_frame().equals(answer.to_frame())
        assert "behind" not in answer.plain()


def test_frames_hold_the_answers_own_figures(answers: dict[str, Any]) -> None:
    best = answers["optimum"]
    row = best.to_frame().loc["params"]
    assert (row["value"], row["lo"], row["hi"]) == (best.params.value, best.params.lo, best.params.hi)
    assert row["unit"] == "parameters"
    assert best.to_frame().loc["loss", "unit"] == "nats/byte"
    line = answers["frontier"]
    pd.testing.assert_frame_equal(line.to_frame(), line.rows)
    assert line.to_frame().attrs["units"]["loss_hi"] == "nats/byte"
    assert line.figures().loc["a", "value"] == line.a.value


def test_every_answer_draws_itself_or_says_that_it_has_no_figure(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        if name in WITHOUT_A_FIGURE:
            with pytest.raises(InputError, match="has no figure of its own"):
                answer.plot()
        elif name != "next_runs for a":  # the same as next_runs
            assert answer.plot().has_data(), name
    ax = Figure().add_subplot()
    assert answers["optimum"].plot(ax) is ax
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == answers["optimum"].params.value


def test_a_fit_and_its_bootstrap_read_and_tabulate(fit: sl.Fit) -> None:
    boot = fit.boot()
    for result in (fit, boot, sl.compare([fit, sl.fit(laws.Kaplan(), fit.rows)]), sl.check(fit.rows)):
        for text in (str(result), repr(result)):
            assert max(map(len, text.splitlines())) <= 80, text
        page = Reader(result._repr_html_())
        assert not page.open
        assert not re.search("color|background", page.styles)
        assert isinstance(result.to_frame(), pd.DataFrame)
    for frame in (fit.to_frame(0.8), boot.to_frame(0.8)):
        assert frame["value"].to_dict() == fit.constants
        np.testing.assert_allclose(frame[["lo", "hi"]], boot.constants.quantile([0.1, 0.9]).T)
        assert frame.loc["E", "unit"] == "loss"
    assert fit.to_frame().attrs["loss_unit"] == "nats/byte"
    flat = sl.fit(laws.Chinchilla(), fit.rows[fit.rows["params"] < 3e4])
    assert flat.to_frame()["lo"].isna().all()  # no bootstrap, no interval, the same columns
    assert flat.warnings
    for warning in flat.warnings:
        assert str(warning) in Reader(flat._repr_html_()).words
        assert " ".join(str(warning).split()) in " ".join(str(flat).split())


def test_a_fit_draws_the_obvious_figure_of_its_law(fit: sl.Fit, runs: pd.DataFrame) -> None:
    ax = fit.plot()
    assert ax.get_xlabel() == plots.contours(fit).get_xlabel()
    assert fit.plot("residuals").get_ylabel().startswith("residual")
    one = runs[runs["params"] == runs["params"].min()]
    along = sl.fit(laws.PowerLaw("tokens"), one)
    tokens, loss = next(
        line for line in along.plot().lines if line.get_label().startswith("PowerLaw")
    ).get_data()
    inside = ~np.isnan(loss)
    np.testing.assert_array_equal(loss[inside], along.predict(tokens=tokens[inside])["loss"])
    assert tokens[inside].max() <= one["tokens"].max()
    product = sl.fit(laws.PowerProduct(("params", "tokens"), "loss"), runs)
    assert product.plot().get_xlabel().startswith("fitted loss")
    with pytest.raises(InputError, match="did you mean contours"):
        fit.plot("contour")
    with pytest.raises(InputError, match=r"needs over=\(lowest, highest\)"):
        sl.Fit.from_constants(laws.PowerLaw(), {"E": 1.7, "A": 20.0, "alpha": 0.1}).plot()


# ---- tables in --------------------------------------------------------------------------------------


def test_whatever_takes_a_table_takes_its_path_too(runs: pd.DataFrame, tmp_path: Any) -> None:
    path, swept = tmp_path / "runs.csv", tmp_path / "sweep.csv"
    runs.to_csv(path, index=False)
    sweep().to_csv(swept, index=False)
    law = laws.Chinchilla()
    fit = sl.fit(law, path)
    assert fit.constants == sl.fit(law, sl.read_runs(path)).constants
    asked: dict[str, Callable[[Any], Any]] = {
        "fit_groups": lambda t: sl.fit_groups(law, t, by="kind")["branch"].to_frame(),
        "backtest": lambda t: sl.backtest(law, t, resamples=20, frac=0.2).to_frame(),
        "isoflop": lambda t: sl.isoflop(t, resamples=20).to_frame(),
        "continual": lambda t: sl.continual(t, against=path if t is path else runs, larger=9e4).to_frame(),
        "paired": lambda t: sl.paired(t, runs, resamples=20).to_frame(),
        "check": lambda t: sl.check(t).to_frame()[["code", "number"]],
        "contours": lambda t: pd.DataFrame(
            next(c.get_offsets() for c in plots.contours(fit, t).collections if len(c.get_offsets()) > 1)
        ),
    }
    for name, ask in asked.items():
        pd.testing.assert_frame_equal(ask(path), ask(sl.read_runs(path)), obj=name)
    pd.testing.assert_frame_equal(asked["isoflop"](str(path)), asked["isoflop"](path))
    for ask in (lambda t: sl.batch_lr(t, resamples=20), lambda t: sl.iso_loss(t, resamples=10)):
        pd.testing.assert_frame_equal(ask(swept).to_frame(), ask(sweep()).to_frame(), rtol=1e-9)
    with pytest.raises(InputError, match="a DataFrame, the path of a table or a study folder, not list"):
        sl.isoflop([1, 2])
    with pytest.raises(InputError, match="not dict"):
        sl.fit(law, {"params": [1.0]})
