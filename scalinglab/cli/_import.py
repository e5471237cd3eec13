"""`scalinglab import`: other people's runs as a run table, and the map that made it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import Json, app
from scalinglab.errors import InputError


@app.command(
    "import",
    epilog="Examples:\n\n  scalinglab import my_runs.csv\n\n  scalinglab import wandb/ --out table.csv --yes\n\n"
    "  scalinglab import runs.xlsx --map table.map.toml --out table.csv\n\n"
    "  scalinglab import logs/tensorboard --format tensorboard --json\n\n"
    "Then: scalinglab fit table.csv, scalinglab plot contours table.csv",
)
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, JSON, JSONL, Parquet or Excel; a folder of TensorBoard, MLflow, Weights & Biases, Hugging "
            "Face Trainer or scalinglab runs; wandb:ENTITY/PROJECT.",
        ),
    ],
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map", help="How columns become the table's; default: guessed, and written beside it."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The table to write (CSV).")] = Path("table.csv"),
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Where a folder holds several: study, trainer, wandb, mlflow, tensorboard, table.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the guesses without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Make a run table of runs you have: columns are found by name and unit, shown, and can be changed in a map."""
    from scalinglab.cli._console import print_json
    from scalinglab.records.files import write_atomic
    from scalinglab.records.importers import (
        import_runs,
        map_text,
        missing_sentence,
        propose,
        read_map,
        read_source,
    )

    if out.suffix.lower() != ".csv":
        raise InputError(f"--out {out}: the table is written as CSV; give it the suffix .csv")
    if (
        not source.startswith("wandb:")
        and out.exists()
        and out.resolve() == Path(source).expanduser().resolve()
    ):
        raise InputError(f"--out {out} is the source itself; choose another name with --out")
    beside = out.with_suffix(".map.toml")
    given = read_map(map_file) if map_file is not None else None
    found = read_source(source, format or (given.format if given is not None else None) or None)
    chosen = given or propose(found)
    command = f"scalinglab import {_quoted(source)} --map {_quoted(beside)} --out {_quoted(out)}"
    notes: list[str] = []
    if given is None:
        _refuse_to_overwrite(beside, chosen, command)
    elif given.sha256 and found.sha256() != given.sha256:
        notes.append(f"{source} is not what {map_file} was made from: its content has changed since.")
    if chosen.missing:
        from dataclasses import replace

        write_atomic(beside, map_text(replace(chosen, source=found.name, sha256=found.sha256()), command))
        if not as_json:
            _print_map(found, chosen)
        raise InputError(
            f"{missing_sentence(found.name, chosen).rstrip('.')}; the rest is in {beside}: complete it, then {command}"
        )
    if given is None and not as_json:
        _print_map(found, chosen)
        if not yes and sys.stdin.isatty() and not typer.confirm("Write the table so?", default=True):
            write_atomic(beside, map_text(chosen, command))
            raise InputError(f"nothing was written but the map, {beside}; change it, then {command}")
    made = import_runs(found, chosen)
    notes = [*notes, *made.notes]
    write_atomic(out, made.table.to_csv(index=False))
    same = map_file is not None and beside.exists() and map_file.resolve() == beside.resolve()
    if not same:  # a map that was edited keeps its own comments
        write_atomic(beside, map_text(made.map, command))
    if as_json:
        print_json(_plain(made, found, out, beside, notes))
    else:
        _print_table(made.table, out, beside, notes)


def _quoted(path: object) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


def _refuse_to_overwrite(beside: Path, proposal: Any, command: str) -> None:
    """Raises InputError where an edited map lies where the proposal would go."""
    from scalinglab.records.importers import read_map

    if beside.exists() and read_map(beside).plain() != proposal.plain():
        raise InputError(
            f"{beside} is there already and says something else than the proposal; use it ({command}), or delete it"
        )


def _print_map(found: Any, chosen: Any) -> None:
    """The proposal: what each column is made of, and why."""
    from scalinglab.cli._console import console, say
    from scalinglab.cli._table import table
    from scalinglab.records._schema import BY_NAME

    shown = table(f"{Path(found.name).name}: {_what(found)}", "column", "from", "why")
    for column in shown.columns[1:]:
        column.justify, column.no_wrap, column.overflow = "left", False, "fold"
    for name in BY_NAME:
        if name == "loss":
            for entry in chosen.losses[:4]:
                label = f"loss ({entry.eval_set})" if entry.eval_set else "loss"
                shown.add_row(_safe(label), _safe(entry.shown()), _safe(entry.reason))
            if len(chosen.losses) > 4:
                sets = ", ".join(str(entry.eval_set) for entry in chosen.losses[4:])
                shown.add_row("loss (…)", _safe(f"{len(chosen.losses) - 4} more: {sets}"), "")
            if not chosen.losses:
                shown.add_row("loss", "?", "not found")
        elif name in chosen.columns:
            entry = chosen.columns[name]
            shown.add_row(name, _safe(entry.shown()), _safe(entry.reason or "of that name"))
        elif name in chosen.missing:
            shown.add_row(name, "?", "not found")
    console.print(shown)
    for key in ("points", "decimal", "keep"):
        value = getattr(chosen, key)
        if key in chosen.comments:
            text = (
                ", ".join(f"{name} = {' or '.join(map(str, each))}" for name, each in value.items())
                if key == "keep"
                else value
            )
            say(f"{key}: {text} ({chosen.comments[key]})")
    for key, note in chosen.comments.items():
        if key.startswith("note"):
            say(note)


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


_WHAT = {
    "study": "a study of scalinglab",
    "trainer": "Hugging Face Trainer",
    "wandb": "Weights & Biases",
    "mlflow": "MLflow",
    "tensorboard": "TensorBoard",
    "table": "a table",
}


def _what(found: Any) -> str:
    rows = len(found.frame)
    if found.run is not None:
        return f"{_WHAT[found.format]}, {found.frame[found.run].nunique()} runs, {rows:,} logged points"
    return f"{_WHAT[found.format]}, {rows:,} rows"


def _ranges(frame: Any) -> list[tuple[str, float, float]]:
    return [
        (name, float(frame[name].min()), float(frame[name].max())) for name in ("params", "tokens", "loss")
    ]


def _print_table(made: Any, out: Path, beside: Path, notes: list[str]) -> None:
    from scalinglab.cli._console import note, say
    from scalinglab.units import count_text

    for sentence in notes:
        note(sentence)
    n, d, loss = _ranges(made)
    units = " and ".join(made["loss_unit"].dropna().unique())
    kinds = made["kind"].value_counts() if "kind" in made else {}
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(dict(kinds).items()))
    rows = f"{len(made)} rows" + (f" ({counted})" if counted else "")
    say(
        f"{rows}: N {count_text(n[1])} to {count_text(n[2])}, D {count_text(d[1])} to {count_text(d[2])}, loss "
        f"{loss[1]:.4g} to {loss[2]:.4g} {units}."
    )
    say(f"Table {out}, its map {beside} (edit it and import again with --map).", soft_wrap=True)
    sets = made["eval_set"].dropna().unique() if "eval_set" in made else []
    chosen = f" --eval-set {_quoted(sets[0])}" if len(sets) > 1 else ""
    say(f"Next: scalinglab check {_quoted(out)}, then scalinglab fit {_quoted(out)}{chosen}", soft_wrap=True)


def _plain(made: Any, found: Any, out: Path, beside: Path, notes: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: {"from": entry.shown(), "why": entry.reason} for name, entry in made.map.columns.items()
    }
    columns["loss"] = [
        {"from": entry.shown(), "why": entry.reason, "eval_set": entry.eval_set} for entry in made.map.losses
    ]
    return {
        "table": str(out),
        "map": str(beside),
        "format": found.format,
        "sha256": made.map.sha256,
        "points": made.map.points,
        "rows": len(made.table),
        "columns": columns,
        "ranges": {name: [low, high] for name, low, high in _ranges(made.table)},
        "notes": notes,
    }
