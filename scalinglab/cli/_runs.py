"""`scalinglab fork`, `extend`, `ls`, `show` and `rm`: single runs after, or beside, a sweep."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import Json, app
from scalinglab.cli._run_words import (
    all_known,
    ends_text,
    known_run,
    print_settings,
    run_details,
    run_leaf,
    run_row,
)
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.units import byte_text, count_text

PANEL = "Single runs"
_SETS_WITH_ERRORS = 3
"""Held-out sets that `show` has room for in 80 columns with a standard error each."""
RunName = Annotated[
    str,
    typer.Argument(
        help="A run's folder, the beginning of its id, or STUDY/SIZE for the trunk of a size.", metavar="RUN"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab fork runs/quickstart/100k --at 921600 --decay linear:102400\n\n"
    "  scalinglab fork runs/quickstart/100k --at 0.9216M --decay exponential:102400 --floor 0.1",
)
def fork(
    run: RunName,
    at: Annotated[str, typer.Option("--at", help="Tokens at the fork; a checkpoint must stand there.")],
    decay: Annotated[str, typer.Option("--decay", help="SHAPE:TOKENS, such as 1-sqrt:100k or linear:1M.")],
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="Where the learning rate ends, as a share of its peak.")
    ] = 0.0,
    weight_decay: Annotated[
        float | None, typer.Option(min=0, help="Of the decay; default the trunk's.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(min=0, help="Largest norm of its gradients; default the trunk's.")
    ] = None,
    batch_tokens: Annotated[
        str | None, typer.Option(help="Its batch, in tokens; default the trunk's.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Its mixture, SOURCE=WEIGHT with commas between; default the trunk's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fork a decay branch off a trunk, finished or still running: one more fully trained model."""
    from scalinglab.cli._counts import read_count
    from scalinglab.ladder.plan import Changes
    from scalinglab.sweep.lineage import find_run, forked_branch

    known = find_run(run, "trunk")
    shape, colon, tokens = decay.rpartition(":")
    if not colon:
        raise InputError(f"--decay {decay}: give SHAPE:TOKENS, such as 1-sqrt:100k or linear:1M")
    for option, value in (("--weight-decay", weight_decay), ("--clip", clip)):
        if (value is not None and not math.isfinite(value)) or (option == "--clip" and value == 0):
            raise InputError(f"{option} {value:g} is not possible; give a number above 0, or leave it out")
    mixture = None if weights is None else _weights(weights)
    task = forked_branch(
        known,
        read_count(at, "--at"),
        shape,
        read_count(tokens, "--decay"),
        floor,
        Changes(weight_decay=weight_decay, clip=clip, weights=mixture),
        None if batch_tokens is None else read_count(batch_tokens, "--batch-tokens"),
    )
    _carry_out(known, task, as_json)


@app.command(
    rich_help_panel=PANEL,
    epilog="Example:\n\n  scalinglab extend runs/quickstart/100k --to 4M",
)
def extend(
    run: RunName,
    to: Annotated[str, typer.Option("--to", help="Tokens at which the trunk is kept and measured.")],
    as_json: Json = False,
) -> None:
    """Go on with a trunk; nothing on it depends on how far it goes."""
    from scalinglab.cli._counts import read_count
    from scalinglab.sweep.lineage import extension, find_run

    known = find_run(run, "trunk")
    _carry_out(known, extension(known, read_count(to, "--to")), as_json)


def _carry_out(known: Any, task: Any, as_json: bool) -> None:
    """Train one task of a study that has begun, unless it stands already, and say what came of it."""
    from scalinglab.cli._console import console, print_json, say
    from scalinglab.cli._progress import SweepProgress
    from scalinglab.extras import need_training
    from scalinglab.sweep.lineage import perform_tasks

    need_training()
    console.quiet = as_json
    folder, stands = known.folder, task is None
    if task is not None:
        before = folder.run(task.run.id).read_metrics()
        # a run that has diverged would do so again
        stands = task.end in before.evals or before.diverged is not None
    if task is not None and not stands:
        with SweepProgress([task], [task]) as watch:
            outcome = perform_tasks(folder, [task], watch)
        if outcome.stopped:
            say("Stopped; everything so far is kept. The same command goes on from here.", "yellow")
            raise typer.Exit(130)
        if outcome.failed:
            raise EnvironmentProblem(next(iter(outcome.failed.values())).strip().splitlines()[-1])
    made = known if task is None else known_run(folder, task.run.id)
    metrics = made.run.read_metrics()
    if as_json:
        console.quiet = False
        print_json(run_details(made) | {"already": stands})
        return
    if metrics.diverged is not None:
        say(f"{made.id} diverged at step {metrics.diverged}: {metrics.reason}", "yellow")
        return
    say(f"{made.id} {'stands already' if stands else 'is done'}: {ends_text(made)}")
    say(f"{folder.table_path} has it. Look at it with:", soft_wrap=True)
    say(f"  scalinglab show {made.run.path}", soft_wrap=True)


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab ls\n\n  scalinglab ls runs/quickstart",
)
def ls(
    folder: Annotated[Path, typer.Argument(help="A study folder, or the folder of several.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """The studies of a folder, or the runs of one study: how far each is and what it takes on disk."""
    from scalinglab.cli._console import console, print_json, say
    from scalinglab.cli._table import table
    from scalinglab.records.store import StudyFolder

    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; a sweep writes to runs/<study> by default")
    if (folder / "study.toml").is_file():
        rows = [run_row(known) for known in all_known(folder)]
        if as_json:
            print_json({"study": str(folder), "runs": rows})
            return
        if not rows:
            say(f"{folder} holds no run yet.")
            return
        shown = table(f"Runs of {folder}", "run", "kind", "tokens", "loss", "kept", "disk", "")
        for row in rows:
            shown.add_row(
                row["run_id"],
                row["kind"],
                count_text(row["tokens"], 4),
                "" if row["loss"] is None else f"{row['loss']:.4f}",
                str(row["checkpoints"]),
                byte_text(row["disk_bytes"]),
                "" if row["state"] == "done" else row["state"],
            )
        console.print(shown)
        return
    studies = []
    for path in sorted(each.parent for each in folder.glob("*/study.toml")):
        runs = [run_row(known) for known in all_known(path)]
        studies.append(
            {
                "study": str(path),
                "trunks": sum(row["kind"] == "trunk" for row in runs),
                "branches": sum(row["kind"] == "branch" for row in runs),
                "merges": sum(row["kind"] == "merge" for row in runs),
                "full": sum(row["kind"] == "full" for row in runs),
                "diverged": sum(row["diverged"] is not None for row in runs),
                "table": StudyFolder(path).table_path.is_file(),
                "disk_bytes": sum(row["disk_bytes"] for row in runs),
            }
        )
    if as_json:
        print_json({"folder": str(folder), "studies": studies})
        return
    if not studies:
        say(f"{folder} holds no study yet; scalinglab sweep STUDY.toml begins one.")
        return
    kinds = ["trunks", "branches", *(["merges"] if any(each["merges"] for each in studies) else []), "full"]
    shown = table(f"Studies in {folder}", "study", *kinds, "diverged", "table", "disk")
    for each in studies:
        counts = [str(each[key]) for key in (*kinds, "diverged")]
        shown.add_row(
            str(each["study"]), *counts, "yes" if each["table"] else "", byte_text(each["disk_bytes"])
        )
    console.print(shown)


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab show runs/quickstart/100k\n\n  scalinglab show 100k-s0-d1024",
)
def show(run: RunName, as_json: Json = False) -> None:
    """One run: where it comes from, what forked from it, its losses, checkpoints and what it cost."""
    from rich.markup import escape
    from rich.tree import Tree

    from scalinglab.cli._console import console, print_json
    from scalinglab.cli._table import table
    from scalinglab.records.measured import loss_unit, measured_loss
    from scalinglab.sweep.lineage import find_run

    known = find_run(run)
    found = run_details(known)
    if as_json:
        print_json(found)
        return
    trunk = known if known.manifest["parent"] is None else known_run(known.folder, known.manifest["parent"])
    tree = Tree(
        "[dim]a trunk that was removed[/]" if trunk is None else run_leaf(trunk, known), guide_style="dim"
    )
    for branch in trunk.branches() if trunk is not None else [known]:
        tree.add(run_leaf(branch, known))
    console.print(tree)
    print_settings(known.definition, found)
    tokens = ", ".join(count_text(each, 4) for each in found["checkpoints"])
    kept = f"checkpoints at {tokens} tokens" if tokens else "no checkpoint is kept"
    console.print(f"{kept}, {byte_text(found['disk_bytes'])} on disk")
    wasted = f"; {found['steps_wasted']:,} of them were trained again" if found["steps_wasted"] else ""
    if not found["averaged"]:
        console.print(f"{found['updates']:,} updates in {found['seconds']:,.0f} s of training{wasted}")
    if found["diverged"] is not None:
        console.print(f"[yellow]diverged[/] at step {found['diverged']}: {escape(found['reason'])}")
    sets = list(found["measured"][0]["sets"]) if found["measured"] else []
    if sets:
        unit = loss_unit(found["measured"][0]["sets"].values())
        shown = table(f"Held-out loss, {unit}", "tokens", *(escape(name) for name in sets))
        for row in found["measured"]:
            cells = [measured_loss(row["sets"][name], unit) for name in sets]
            exact = len(sets) <= _SETS_WITH_ERRORS
            shown.add_row(
                count_text(row["tokens"], 4),
                *(f"{loss:.4f} ± {se:.4f}" if exact else f"{loss:.4f}" for loss, se in cells),
            )
        console.print(shown)


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab rm runs/quickstart/100k-s0-d1024000-4645644540\n\n"
    "  scalinglab rm runs/quickstart --checkpoints",
)
def rm(
    run: Annotated[str, typer.Argument(help="A run, or a study folder.", metavar="RUN")],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Only the states; records and table stay.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete a run (a trunk with its branches), a study, or only their checkpoints. Asks first."""
    import sys

    from scalinglab.cli._console import print_json, say
    from scalinglab.records.store import StudyFolder
    from scalinglab.sweep.lineage import find_run, remove

    path = Path(run)
    if as_json and not yes:
        raise InputError("rm --json asks nobody; add --yes")
    whole = (path / "study.toml").is_file()
    if whole:
        doomed = all_known(path)
    else:
        known = find_run(run)
        doomed = [known, *known.branches()]
    size = sum(run_row(each)["checkpoint_bytes" if checkpoints else "disk_bytes"] for each in doomed)
    what = f"the checkpoints of {len(doomed)} runs" if checkpoints else f"{len(doomed)} runs"
    what = what.removesuffix("s") if len(doomed) == 1 else what
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(
                f"rm {run} would delete {what} ({byte_text(size)}); add --yes where nobody can be asked"
            )
        for each in doomed:
            say(f"  {each.run.path}", soft_wrap=True)
        if not typer.confirm(f"Delete {what} ({byte_text(size)})?"):
            say("Nothing was deleted.")
            return
    remove(doomed, checkpoints, StudyFolder(path) if whole and not checkpoints else None)
    if as_json:
        print_json({"deleted": [each.id for each in doomed], "bytes": size, "checkpoints_only": checkpoints})
    else:
        say(f"Deleted {what} ({byte_text(size)}).")


def _weights(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            found.append((name.strip(), float(value)))
        except ValueError:
            equals = ""
        if not equals or not 0 <= found[-1][1] < math.inf:
            raise InputError(
                f"--weights {text}: give SOURCE=WEIGHT, with commas between, such as code=1,wiki=3"
            )
    chosen = tuple(each for each in found if each[1] > 0)
    if not chosen:
        raise InputError(f"--weights {text}: every weight is 0; give one source a weight above 0")
    return chosen
