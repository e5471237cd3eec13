"""`scalinglab reproduce published-fits`: published constants beside ours, digit by digit."""

from pathlib import Path
from typing import Any

from scalinglab.cli._console import console, print_json
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.experiments.published_fits import FITS, Line, Reproduced, find_data, reproduce

ROUNDED = "Every printed digit agrees; the printed constants cost more only because they are rounded."


def published_fits(data: Path | None, as_json: bool) -> None:
    """Refit all of FITS and print them."""
    folder, found = find_data(data), []
    with steps("Refitting") as progress:
        for i, fit in enumerate(FITS):

            def watch(done: int, of: int, fit: str = fit, i: int = i) -> None:
                progress(fit, i + done / of, len(FITS))

            watch(0, 1)
            found.append(reproduce(fit, folder, watch))
    if as_json:
        print_json({"data": str(folder), "fits": [_plain(one) for one in found]})
        return
    for one in found:
        _print_one(one)
    _print_all(found)


def _print_one(one: Reproduced) -> None:
    console.print(f"[bold]{one.published.title}[/], {one.rows} rows ({one.published.source})")
    lower = {line.name: line for line in one.lower}
    shown = table("", "", "published", "ours", "digits", *(["lower minimum"] if lower else []))
    shown.title = None
    for line in one.lines:
        cells = [line.name, line.published, _beside(line.ours, line), f"{line.digits} of {line.of}"]
        if lower:
            other = one.fit.objective if line.name == "objective" else lower[line.name].ours
            cells.append(_beside(other, line))
        shown.add_row(*cells)
    console.print(shown)
    gap = one.objective_published - one.objective
    console.print(
        f"Objective at the published constants {one.objective_published:.12g}, at ours {one.objective:.12g}: "
        f"{abs(gap):.1e} {'lower' if gap >= 0 else 'higher'}. {one.published.why or ROUNDED}\n"
    )


def _print_all(found: list[Reproduced]) -> None:
    shown = table("All", "fit", "rows", "constants, digits", "all printed digits")
    for one in found:
        constants = [line for line in one.lines if line.name in one.published.constants]
        full = sum(line.digits == line.of for line in one.lines)
        least = min(line.digits for line in constants)
        most = max(line.digits for line in constants)
        shown.add_row(
            one.name,
            str(one.rows),
            f"{least}–{most}" if least < most else f"{least}",
            f"{full} of {len(one.lines)} figures",
        )
    console.print(shown)


def _beside(value: float, line: Line) -> str:
    """Ours with one digit more than was printed, in the same notation."""
    mantissa, mark, _ = line.published.lower().partition("e")
    places = len(mantissa.partition(".")[2]) + 1
    return f"{value:.{places}{'e' if mark else 'f'}}"


def _plain(one: Reproduced) -> dict[str, Any]:
    def lines(which: tuple[Line, ...]) -> list[dict[str, Any]]:
        return [
            {"name": x.name, "published": x.published, "ours": x.ours, "digits": x.digits, "of": x.of}
            for x in which
        ]

    return {
        "name": one.name,
        "title": one.published.title,
        "source": one.published.source,
        "rows": one.rows,
        "status": one.fit.status.value,
        "figures": lines(one.lines),
        "lower_minimum": lines(one.lower),
        "objective_at_published": one.objective_published,
        "objective_at_ours": one.objective,
        "objective_lowest": one.fit.objective,
        "why": one.published.why,
    }
