"""What the answering commands share: a fit from a path, an answer printed, its figure drawn."""

import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.markup import escape

from scalinglab.analysis import Answer, readable
from scalinglab.analysis.source import read_fit
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, given_options, print_json, say
from scalinglab.cli._options import read_law, read_loss
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.errors import InputError

if TYPE_CHECKING:
    from scalinglab.analysis import Convention
    from scalinglab.fitting import Fit

FORMATS = ("png", "svg", "pdf")


def fit_of(
    source: Path,
    law: str | None,
    loss: str | None,
    eval_set: str | None,
    by: str | None,
    resamples: int,
    *,
    cost: str = "6ND",
    level: float = 0.9,
    figure: Path | None = None,
) -> tuple["Fit", tuple[str, ...]]:
    """The fit at a path, under what the options ask for, with a progress bar; and what was chosen.

    cost, level, figure: options that are checked before the bootstrap, which takes seconds.
    """
    check_options(source, cost, level, figure)
    with steps("Bootstrap") as progress:
        return read_fit(
            source,
            None if law is None else read_law(law),
            None if loss is None else read_loss(loss),
            eval_set,
            resamples=resamples,
            by=by,
            progress=lambda done, of: progress("", done, of),
        )


def show(
    answer: Answer,
    as_json: bool,
    figure: Path | None = None,
    draw: Callable[[], Any] | None = None,
    notes: tuple[str, ...] = (),
    title: str = "",
) -> None:
    """Print an answer, or its JSON; with `figure`, draw it there too. notes: what was chosen on the way."""
    drawn = None
    if figure is not None and draw is not None:
        drawn = save_figure(draw, figure)
    if as_json:
        print_json(answer.plain() | {"notes": [*notes, *answer.notes], "figure": drawn})
        return
    for each in notes:
        console.print(f"[dim]{escape(each)}[/]")
    say(answer.headline(), soft_wrap=False)
    print_frame(answer.table(), answer.level, title)
    for part in (getattr(answer, each.name) for each in fields(answer)):
        if isinstance(part, Answer):
            said = part.headline()
            if said.split(" (")[0] not in answer.headline():
                say(said)
            print_frame(part.table(), part.level)
    for each in with_command(answer.notes):
        console.print(f"[yellow]note:[/] {escape(each)}")
    if answer.source:
        console.print(f"[dim]Formula: {escape(answer.source)}[/]")
    if drawn is not None:
        say(f"Drawn: {drawn}")


_SEE = "see the fit's warnings"


def with_command(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Notes that point at the fit's warnings say, once, which command shows them: that of the SOURCE given."""
    given = given_options.get() or {}
    source = given.get("source")
    command = f"scalinglab fit {shlex.quote(str(source))}"
    for option in ("law", "loss", "eval_set", "by"):
        if given.get(option) is not None:
            command += f" --{option.replace('_', '-')} {given[option]}"
    found, said = [], source is None
    for each in notes:
        if not said and _SEE in each:
            each, said = each.replace(_SEE, f"`{command}` shows the fit's warnings", 1), True
        found.append(each)
    return tuple(found)


_GAP = 3
_WORDS = 24
"""From how many characters on a column of words may be broken into lines."""


def print_frame(frame: pd.DataFrame, level: float = 0.9, title: str = "") -> None:
    """An answer's table, no cell cut: what is too wide for the screen goes below, with its first column again.

    Of a table of single figures, those that are not known are left out.
    """
    if {"value", "lo", "hi", "unit"} <= set(frame.columns):
        frame = frame[frame["value"].notna()]
    if frame.empty:
        return
    text = readable(frame, level, "\n").map(str)
    room = console.width + 1
    if sum(_widths(text)) > room:
        text.columns = pd.Index([str(name).replace(" ", "\n") for name in text.columns])
    if sum(_widths(text)) > room:
        # an interval below its value, and its upper end below the lower
        text = text.map(lambda cell: cell.replace("–", "–\n") if "\n(" in cell else cell)
    widths = _widths(text)
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if len(blocks[-1]) > 1 and sum(widths[k] for k in [*blocks[-1], i]) > room:
            blocks.append([0])
        blocks[-1].append(i)
    for block in blocks:
        _print_block(text.iloc[:, block], title)
        title = ""


def _print_block(text: pd.DataFrame, title: str) -> None:
    shown = table(title, *(escape(str(name)) for name in text.columns))
    shown.title = title or None
    for column, name, width in zip(shown.columns, text.columns, _widths(text), strict=True):
        wordy = _wordy(text, name)
        column.no_wrap = not wordy
        column.min_width = None if wordy else width - _GAP
        if wordy or name == "unit":
            column.justify = "left"
    for row in text.itertuples(index=False):
        shown.add_row(*map(escape, row))
    console.print(shown)


def _wordy(text: pd.DataFrame, name: Any) -> bool:
    """Whether a column holds sentences, which may be broken between words."""
    return name == "note" or any(
        " " in cell and len(cell) > _WORDS for cell in text[name] if "\n" not in cell
    )


def _widths(text: pd.DataFrame) -> list[int]:
    """Characters that each column needs, with the gap to the next."""
    found = []
    for name in text.columns:
        lines = [line for cell in (str(name), *text[name]) for line in cell.split("\n")]
        width = max(map(len, lines))
        found.append(_GAP + (min(width, _WORDS) if _wordy(text, name) else width))
    return found


def check_options(source: Path, cost: str = "6ND", level: float = 0.9, figure: Path | None = None) -> None:
    """Raises InputError for options that can be seen to be wrong before anything is computed."""
    from scalinglab.analysis.convention import CONVENTIONS

    if figure is not None:
        picture(figure)
    if not 0 < level < 1:
        raise InputError(f"--level {level:g}: an interval is a share between 0 and 1, such as 0.9")
    if cost not in CONVENTIONS:
        raise fail_unknown("--cost", cost, CONVENTIONS)
    if cost == "6ND" or (source / "study.toml").is_file():
        return
    if cost != "exact" or not _has_exact(source):
        raise InputError(
            f"--cost {cost} depends on the shapes of the models, which {source} does not tell: give a study folder as "
            "SOURCE, or --cost 6ND"
        )


def _has_exact(source: Path) -> bool:
    from scalinglab.records import read_runs

    saved = saved_fit(source)
    rows = read_runs(source) if saved is None else saved.rows
    return "flops_exact" in rows and bool(rows["flops_exact"].notna().any())


def saved_fit(source: Path) -> "Fit | None":
    """The fit saved at a path or in a study folder, None where it is a table's or has none."""
    from scalinglab.fitting import Fit

    path = source / "fit.json" if source.is_dir() else source
    return Fit.from_json(path) if path.suffix.lower() == ".json" and path.is_file() else None


def check_answer(asked: str, source: Path, law: str | None) -> None:
    """Raises InputError for an --answer of `next` that the law at hand does not have."""
    from scalinglab.laws import Chinchilla

    saved = saved_fit(source) if law is None else None
    of = saved.law if saved is not None else Chinchilla() if law is None else read_law(law)
    known = [
        "ratio",
        "params",
        "tokens",
        "loss",
        *("ab" if hasattr(of, "exponents") else ()),
        *of.constant_names,
    ]
    if asked not in known:
        raise InputError(
            f"--answer {asked} is not known; choose {', '.join(known)}, or N,D for the loss of a planned model"
        )


def picture(target: Path) -> str:
    """The format of a picture file. Raises InputError for a suffix that is not one."""
    suffix = target.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise InputError(f"--figure {target}: a picture ends in {', '.join('.' + f for f in FORMATS)}")
    return suffix


def save_figure(draw: Callable[[], Any], target: Path) -> str:
    """Draw a figure into a picture file. Raises InputError for a suffix that is not one."""
    from scalinglab import plots

    suffix = picture(target)
    with plots.style("notebook"):
        return str(plots.save(draw(), target.with_suffix(""), (suffix,))[0])


def cost_of(name: str, source: Path, fit: "Fit") -> "Convention":
    """The convention an option names: from a study folder's shapes where it has them, else from the fit's rows."""
    from scalinglab.analysis import convention

    return study_cost(name, source) or convention(name, fit.rows)


def study_cost(name: str, source: Path) -> "Convention | None":
    """The convention an option names, of a study folder's shapes; None for 6ND and where it is no study folder."""
    from scalinglab.analysis import ladder_convention

    study = source / "study.toml"
    if name != "6ND" and study.is_file():
        from scalinglab.ladder import read_study

        found = read_study(study)
        return ladder_convention(name, [found.shape(size) for size in found.ladder.sizes])
    return None


def read_budgets(text: str, option: str = "--flops") -> list[float]:
    """`1e18,1e20` as they stand, or `1e18:1e22` with one budget a decade. Raises InputError for anything else."""
    import numpy as np

    try:
        if ":" in text:
            low, high = (float(part) for part in text.split(":"))
            if not 0 < low < high < float("inf"):
                raise ValueError
            return list(np.geomspace(low, high, max(2, round(np.log10(high / low)) + 1)))
        return sorted(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text}: write budgets as 1e18,1e20,1e22 or as 1e18:1e22") from None
