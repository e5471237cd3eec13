"""`scalinglab fork`, `extend`, `ls`, `show` and `rm`: single runs after, or beside, a sweep."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab.cli._app import Json, app
from scalinglab.errors import EnvironmentProblem, InputError

PANEL = "Single runs"
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
    weight_decay: Annotated[float | None, typer.Option(min=0, help="Instead of the trunk's.")] = None,
    clip: Annotated[float | None, typer.Option(min=0, help="Instead of the trunk's.")] = None,
    batch_tokens: Annotated[str | None, typer.Option(help="Batch of the decay, in tokens.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Mixture of the decay: SOURCE=WEIGHT, with commas between.")
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
    from scalinglab.cli._study import need_training_extra
    from scalinglab.sweep.lineage import perform_tasks

    need_training_extra()
    console.quiet = as_json
    folder, stands = known.folder, task is None
    if task is not None:
        stands = task.end in folder.run(task.run.id).read_metrics().evals
    if task is not None and not stands:
        with SweepProgress([task], [task]) as watch:
            outcome = perform_tasks(folder, [task], watch)
        if outcome.stopped:
            say("Stopped; everything so far is kept. The same command goes on from here.", "yellow")
            raise typer.Exit(130)
        if outcome.failed:
            raise EnvironmentProblem(next(iter(outcome.failed.values())).strip().splitlines()[-1])
    made = known if task is None else _known(folder, task.run.id)
    metrics = made.run.read_metrics()
    if as_json:
        console.quiet = False
        print_json(_details(made) | {"already": stands})
        return
    if metrics.diverged is not None:
        say(f"{made.id} diverged at step {metrics.diverged}: {metrics.reason}", "yellow")
        return
    say(f"{made.id} {'stands already' if stands else 'is done'}: {_ends(made)}")
    say(f"{folder.table_path} has it. Look at it with:\n  scalinglab show {made.run.path}")


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
        rows = [_row(known) for known in _all_known(folder)]
        if as_json:
            print_json({"study": str(folder), "runs": rows})
            return
        shown = table(f"Runs of {folder}", "run", "kind", "tokens", "loss", "checkpoints", "disk")
        shown.columns[0].no_wrap = False
        for row in rows:
            shown.add_row(
                row["run_id"],
                row["kind"] if row["diverged"] is None else "diverged",
                _count(row["tokens"]),
                "" if row["loss"] is None else f"{row['loss']:.4f}",
                str(row["checkpoints"]),
                _bytes(row["disk_bytes"]),
            )
        console.print(shown)
        return
    studies = []
    for path in sorted(each.parent for each in folder.glob("*/study.toml")):
        runs = [_row(known) for known in _all_known(path)]
        studies.append(
            {
                "study": str(path),
                "trunks": sum(row["kind"] == "trunk" for row in runs),
                "branches": sum(row["kind"] == "branch" for row in runs),
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
    shown = table(f"Studies in {folder}", "study", "trunks", "branches", "full", "diverged", "table", "disk")
    for each in studies:
        counts = [str(each[key]) for key in ("trunks", "branches", "full", "diverged")]
        shown.add_row(str(each["study"]), *counts, "yes" if each["table"] else "", _bytes(each["disk_bytes"]))
    console.print(shown)


@app.command(
    rich_help_panel=PANEL,
    epilog="Examples:\n\n  scalinglab show runs/quickstart/100k\n\n  scalinglab show 100k-s0-d1024",
)
def show(run: RunName, as_json: Json = False) -> None:
    """One run: where it comes from, what forked from it, its losses, checkpoints and what it cost."""
    from rich.tree import Tree

    from scalinglab.cli._console import console, print_json
    from scalinglab.cli._table import table
    from scalinglab.sweep.lineage import find_run

    known = find_run(run)
    found = _details(known)
    if as_json:
        print_json(found)
        return
    trunk = known if known.manifest["parent"] is None else _known(known.folder, known.manifest["parent"])
    tree = Tree(_leaf(trunk, known), guide_style="dim")
    for branch in trunk.branches() if trunk is not None else []:
        fork = branch.definition.batches.tokens_at(branch.manifest["start"])
        tree.add(f"[dim]fork at {_count(fork)}[/]  {_leaf(branch, known)}")
    console.print(tree, soft_wrap=True)
    settings = found["settings"]
    console.print(
        f"N {found['params']:,} ({found['params_total']:,} in all), seed {settings['seed']}, "
        f"learning rate {settings['lr']:g}, batch {settings['batch_tokens']:,} tokens, {found['schedule']}"
    )
    for path, kept in (("checkpoints", found["checkpoints"]),):
        tokens = ", ".join(_count(each) for each in kept) or "none"
        console.print(f"{path} at {tokens} tokens ({_bytes(found['disk_bytes'])} on disk)")
    spent = f"{found['updates']:,} updates in {found['seconds']:,.0f} s of training"
    wasted = f"; interruptions wasted {found['steps_wasted']:,} of them" if found["steps_wasted"] else ""
    console.print(f"{spent}, {found['begins']} process{'es' * (found['begins'] != 1)}{wasted}")
    if found["diverged"] is not None:
        console.print(f"[yellow]diverged[/] at step {found['diverged']}: {found['reason']}")
    sets = list(found["measured"][0]["sets"]) if found["measured"] else []
    if sets:
        unit = _unit(found["measured"][0]["sets"])
        per, error = ("loss_per_byte", "se_per_byte") if unit == "nats/byte" else ("loss", "se")
        shown = table(f"Held-out loss, {unit}", "tokens", *sets)
        for row in found["measured"]:
            cells = (row["sets"][name] for name in sets)
            shown.add_row(
                _count(row["tokens"]),
                *(f"{each.get(per, each['loss']):.4f} ± {each.get(error, each['se']):.4f}" for each in cells),
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
    import shutil
    import sys

    from scalinglab.cli._console import console, print_json, say
    from scalinglab.sweep.lineage import find_run, remove

    path = Path(run)
    whole = (path / "study.toml").is_file()
    if whole:
        doomed = _all_known(path)
    else:
        known = find_run(run)
        doomed = [known, *known.branches()]
    size = sum(_row(each)["checkpoint_bytes" if checkpoints else "disk_bytes"] for each in doomed)
    what = f"the checkpoints of {len(doomed)} runs" if checkpoints else f"{len(doomed)} runs"
    what = what.removesuffix("s") if len(doomed) == 1 else what
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(
                f"rm {run} would delete {what} ({_bytes(size)}); add --yes where nobody can be asked"
            )
        for each in doomed:
            console.print(f"  {each.run.path}", soft_wrap=True)
        if not typer.confirm(f"Delete {what} ({_bytes(size)})?"):
            say("Nothing was deleted.")
            return
    remove(doomed, checkpoints)
    if whole and not checkpoints:
        shutil.rmtree(path)
    if as_json:
        print_json({"deleted": [each.id for each in doomed], "bytes": size, "checkpoints_only": checkpoints})
    else:
        say(f"Deleted {what} ({_bytes(size)}).")


# ---- what is said of a run ------------------------------------------------------------------------


def _all_known(folder: Path) -> list[Any]:
    from scalinglab.records.store import StudyFolder
    from scalinglab.sweep.lineage import known_runs

    return known_runs(StudyFolder(folder))


def _known(folder: Any, run_id: str) -> Any:
    """A run of a folder, or None where it was removed."""
    from scalinglab.sweep.lineage import KnownRun

    run = folder.run(run_id)
    return KnownRun(folder, run, run.manifest()) if (run.path / "manifest.json").exists() else None


def _row(known: Any) -> dict[str, Any]:
    """The run in one line."""
    metrics, batches = known.run.read_metrics(), known.definition.batches
    at = max([known.manifest["start"], *metrics.train])
    last = metrics.evals.get(max(metrics.evals, default=-1))
    sets = [found.get("loss_per_byte", found["loss"]) for found in last["sets"].values()] if last else []
    files = [path for path in known.run.path.rglob("*") if path.is_file()]
    return {
        "run_id": known.id,
        "kind": known.kind,
        "size": known.manifest["size"],
        "recipe": known.manifest.get("recipe", ""),
        "origin": known.manifest.get("origin", "study"),
        "tokens": batches.tokens_at(at),
        "loss": sum(sets) / len(sets) if sets else None,
        "loss_unit": _unit(last["sets"] if last else {}),
        "diverged": metrics.diverged,
        "checkpoints": len(known.run.checkpoints()),
        "disk_bytes": sum(path.stat().st_size for path in files),
        "checkpoint_bytes": sum(path.stat().st_size for path in files if path.parent.name == "checkpoints"),
    }


def _unit(sets: dict[str, Any]) -> str:
    """Of a record's held-out losses: per byte wherever their bytes are known."""
    return "nats/byte" if all(found.get("bytes", 1) for found in sets.values()) else "nats/token"


def _details(known: Any) -> dict[str, Any]:
    """Everything about the run."""
    run, metrics = known.definition, known.run.read_metrics()
    counts = known.manifest["counts"]
    return _row(known) | {
        "folder": str(known.run.path),
        "parent": known.manifest["parent"],
        "branches": [branch.id for branch in known.branches()],
        "fork_tokens": run.batches.tokens_at(run.start) if run.kind == "branch" else None,
        "params": counts["params"],
        "params_total": counts["params_total"],
        "schedule": run.schedule.name,
        "settings": run.definition(),
        "checkpoints": [run.batches.tokens_at(step) for step in known.run.checkpoints()],
        "updates": max([run.start, *metrics.train]) - run.start,
        "begins": metrics.begins,
        "seconds": metrics.seconds,
        "steps_wasted": metrics.wasted,
        "seconds_wasted": metrics.wasted_seconds,
        "reason": metrics.reason,
        "measured": [metrics.evals[step] for step in sorted(metrics.evals)],
    }


def _leaf(known: Any, chosen: Any) -> str:
    """A run in the tree of its family."""
    if known is None:
        return "[dim]a trunk that was removed[/]"
    name = f"[bold]{known.id}[/]" if known.id == chosen.id else known.id
    return f"{name}  {_ends(known)}"


def _ends(known: Any) -> str:
    row = _row(known)
    loss = "" if row["loss"] is None else f", held-out loss {row['loss']:.4f} {row['loss_unit']}"
    return f"{_count(row['tokens'])} tokens{loss}"


def _weights(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            found.append((name.strip(), float(value)))
        except ValueError:
            equals = ""
        if not equals or found[-1][1] < 0:
            raise InputError(
                f"--weights {text}: give SOURCE=WEIGHT, with commas between, such as code=1,wiki=3"
            )
    return tuple(each for each in found if each[1] > 0)


def _count(value: float) -> str:
    from scalinglab.analysis.estimate import count_text

    return count_text(float(value), 4)


def _bytes(value: float) -> str:
    for suffix in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {suffix}" if suffix == "B" or value >= 100 else f"{value:.1f} {suffix}"
        value /= 1000
    return f"{value:.1f} TB"
