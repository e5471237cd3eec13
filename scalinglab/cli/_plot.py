"""`scalinglab plot`: a figure of what lies at a path."""

from pathlib import Path

from scalinglab import plots
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, print_json, say
from scalinglab.cli._table import table
from scalinglab.errors import InputError

FORMATS = ("png", "svg", "pdf")
_TAKES = {
    "fit": "a fit, table or study",
    "runs": "runs: a table or study",
    "study": "a study",
    "schedule": "a schedule's text, a study or nothing",
}


def plot_command(
    kind: str, source: Path | None, out: Path | None, eval_set: str | None, as_json: bool
) -> None:
    kinds = {name.replace("_", "-"): found for name, found in plots.KINDS.items()}
    if kind == "list":
        if as_json:
            print_json({name: {"takes": found.takes, "help": found.help} for name, found in kinds.items()})
            return
        shown = table("Figures", "kind", "drawn from", "what it shows")
        for column in shown.columns[1:]:
            column.justify, column.no_wrap = "left", False
        for name, found in kinds.items():
            shown.add_row(name, _TAKES[found.takes], found.help)
        console.print(shown)
        return
    name = kind.replace("_", "-")
    if name not in kinds:
        raise fail_unknown("figure", kind, kinds)
    takes = kinds[name].takes
    if source is None and takes != "schedule":
        raise InputError(
            f"scalinglab plot {kind} needs an INPUT: a table, a saved fit (JSON) or a study folder"
        )
    target = out or Path(f"{name}.png")
    suffix = target.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise InputError(f"--out {target}: a picture ends in {', '.join('.' + f for f in FORMATS)}")
    if takes != "fit" and source is not None and source.suffix.lower() == ".json":
        what = {"runs": "runs (a table or a study folder)", "schedule": "a schedule's text or a study"}.get(
            takes, "a study folder"
        )
        raise InputError(f"{source} is a saved fit, and the figure {name} is drawn from {what}")
    options = {} if eval_set is None or takes in ("study", "schedule") else {"eval_set": eval_set}
    with plots.style("notebook"):
        written = plots.save(kinds[name].draw(source, **options), target.with_suffix(""), (suffix,))
    if as_json:
        print_json({"figure": str(written[0])})
    else:
        say(f"Drawn: {written[0]}")
