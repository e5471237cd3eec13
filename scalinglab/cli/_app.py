"""The commands. Everything heavy is imported inside the command that needs it, so that --help is quick."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from scalinglab._version import __version__
from scalinglab.errors import EnvironmentProblem, InputError

app = typer.Typer(
    name="scalinglab",
    help="Scaling laws for language models, with error bars: train a WSD ladder, fit it, ask it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
corpus_app = typer.Typer(help="The text that ladders are trained on.", no_args_is_help=True)
app.add_typer(corpus_app, name="corpus")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of tables.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes to train with; default: one a core, or one a GPU."),
]
ProcessesPerTask = Annotated[
    int,
    typer.Option(
        "--processes-per-task",
        min=1,
        help="Processes that share every model, each with its part of a batch (on GPUs: one GPU each); they count as "
        "workers. Losses agree with those of one process to 1e-5.",
    ),
]
Device = Annotated[str | None, typer.Option("--device", help="cpu (default), or cuda: one task a GPU.")]
SaveEvery = Annotated[
    float,
    typer.Option("--save-every", min=0.0, help="Seconds between states kept for the case of a kill."),
]
Mirrors = Annotated[
    list[str] | None,
    typer.Option(
        "--mirror", help="Show metrics elsewhere too: tensorboard[:FOLDER], wandb[:PROJECT]; repeat for both."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the runs; default runs/<study>.")]
Table = Annotated[
    Path, typer.Argument(help="CSV, TSV, JSONL or Parquet with params, tokens, loss; or a study folder.")
]
LawName = Annotated[
    str,
    typer.Option(
        "--law",
        help="chinchilla, minicpm, kaplan, skaling, data-constrained; or power-law, exponential, broken-power-law "
        "with :VARIABLE; or power-product:VARIABLES:TARGET.",
    ),
]
EvalSet = Annotated[
    str | None, typer.Option("--eval-set", help="Which held-out set, where the table has several.")
]
LossName = Annotated[
    str, typer.Option("--loss", help="huber:DELTA, likelihood:DELTA (fitted noise) or squared, on log loss.")
]
By = Annotated[
    str | None, typer.Option("--by", help="Column whose values share noise; default trunk_id where present.")
]


def main() -> None:
    """The entry point: bad input ends with one sentence and code 2, a machine's lack with 3, Ctrl-C with 130."""
    from scalinglab.cli._console import fail, say_warnings_plainly

    say_warnings_plainly()
    try:
        app()
    except InputError as error:
        sys.exit(fail(error, 2))
    except EnvironmentProblem as error:
        sys.exit(fail(error, 3))


def _version(show: bool) -> None:
    if show:
        print(f"scalinglab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Examples:\n\n  scalinglab quickstart\n\n  scalinglab quickstart --json > answers.json\n\n"
    "Stopped with Ctrl-C? The same command goes on where it was."
)
def quickstart(
    out: Out = None,
    figures: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("figures/quickstart"),
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train a tiny ladder on real text, fit its scaling law and answer the first questions: minutes on two cores."""
    from scalinglab.experiments.quickstart import STUDY

    _run_study(STUDY, out or Path("runs/quickstart"), figures, workers, as_json)


@app.command(
    epilog="Examples:\n\n  scalinglab sweep my_study.toml\n\n  scalinglab sweep my_study.toml --out runs/second\n\n"
    "  scalinglab sweep my_study.toml --dry-run --time\n\n"
    "Stopped with Ctrl-C? The same command goes on where it was."
)
def sweep(
    study: Annotated[Path, typer.Argument(help="A study file (TOML).", metavar="STUDY.toml")],
    out: Out = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder of the figures; default figures/<study>.")
    ] = None,
    workers: Workers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained, and what it costs and takes.")
    ] = False,
    time: Annotated[
        bool, typer.Option("--time", help="With --dry-run: measure each size here first, two seconds each.")
    ] = False,
    save_every: SaveEvery = 30.0,
    mirror: Mirrors = None,
    processes_per_task: ProcessesPerTask = 1,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a study's ladder (trunks, then decay branches), fit it and draw it."""
    if device not in (None, "cpu", "cuda"):
        raise InputError(f"--device {device}: choose cpu or cuda")
    if dry_run or time:
        from scalinglab.cli import _forecast

        if processes_per_task > 1 or device == "cuda":
            raise InputError(
                "a forecast knows the speed of one process on one core; leave out --processes-per-task and --device"
            )

        _forecast.dry_run(study, out or Path("runs") / study.stem, workers, time, as_json)
        return
    figures = figures or Path("figures") / study.stem
    _run_study(
        study,
        out or Path("runs") / study.stem,
        figures,
        workers,
        as_json,
        save_every,
        mirror,
        processes_per_task,
        device,
    )


def _run_study(
    study: Path,
    out: Path,
    figures: Path,
    workers: int | None,
    as_json: bool,
    save_every: float = 30.0,
    mirrors: list[str] | None = None,
    processes_per_task: int = 1,
    device: str | None = None,
) -> None:
    """Corpus, runs, table, fits, figures, summary: one way for every study."""
    from scalinglab.cli import _study

    stopped = _study.run_study(
        study, out, figures, workers, as_json, save_every, mirrors or [], processes_per_task, device
    )
    if stopped:
        raise typer.Exit(130)


@app.command(
    epilog="Examples:\n\n  scalinglab status runs/quickstart\n\n  scalinglab status my_study.toml --follow"
)
def status(
    study: Annotated[Path, typer.Argument(help="A study file or the folder of its runs.", metavar="STUDY")],
    out: Out = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Look again every second until nothing is left to do.")
    ] = False,
    as_json: Json = False,
) -> None:
    """How far a study is: trunks and branches trained, and their losses."""
    from scalinglab.cli import _study

    _study.print_status(study, out, follow, as_json)


@app.command(
    epilog="Examples:\n\n  scalinglab fit table.csv\n\n  scalinglab fit runs/quickstart --eval-set code\n\n"
    "  scalinglab fit table.csv --law power-law:tokens --fix E=1.8\n\n"
    "  scalinglab fit table.csv --loss squared --bootstrap 4000 --by trunk_id --out fit.json"
)
def fit(
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSONL or Parquet with params, tokens, loss; a study folder; or a saved fit (JSON), to "
            "show it."
        ),
    ],
    law: LawName = "chinchilla",
    eval_set: EvalSet = None,
    loss: LossName = "huber:1e-3",
    fix: Annotated[
        list[str] | None, typer.Option(help="Hold a constant: --fix E=1.8 (repeat for more).")
    ] = None,
    bound: Annotated[list[str] | None, typer.Option(help="Bound one: --bound alpha=0.1:1.")] = None,
    tie: Annotated[list[str] | None, typer.Option(help="Tie one: --tie beta=alpha.")] = None,
    bootstrap: Annotated[int, typer.Option(min=10, help="Resamples behind the intervals.")] = 2000,
    by: By = None,
    method: Annotated[
        str | None,
        typer.Option(help="Bootstrap: rows, clusters or parametric; default: what suits the rows."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the fit here (JSON).")] = None,
    flops: Annotated[
        float | None, typer.Option(help="Ask for the compute-optimal N and D at this budget, C = 6·N·D.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a scaling law to a table of runs: yours, or one that a sweep wrote."""
    from scalinglab.cli import _fit, _options

    chosen = _options.read_law(law)
    held = _options.read_constraints(chosen, fix or [], bound or [], tie or [])
    how = {"loss": _options.read_loss(loss), "constraints": held or None}
    plain = (law, loss, eval_set) == ("chinchilla", "huber:1e-3", None) and not held
    if table.suffix.lower() == ".json" and not plain:
        raise InputError(
            f"{table} is a fit already: --law, --loss, --eval-set and constraints go with a table"
        )
    _fit.fit_command(
        table, chosen, eval_set, how, {"n": bootstrap, "by": by, "method": method}, out, flops, as_json
    )


@app.command(
    epilog="Examples:\n\n  scalinglab compare a.json b.json\n\n"
    "  scalinglab compare table.csv --laws chinchilla,kaplan"
)
def compare(
    sources: Annotated[
        list[Path], typer.Argument(help="Fits saved as JSON, or one table.", metavar="FIT.json...")
    ],
    laws: Annotated[str | None, typer.Option(help="Laws to fit to the table, with commas between.")] = None,
    eval_set: EvalSet = None,
    loss: LossName = "huber:1e-3",
    as_json: Json = False,
) -> None:
    """Which of several laws describes the same rows best."""
    from scalinglab.cli import _compare, _options

    _compare.compare_command(sources, laws, eval_set, _options.read_loss(loss), as_json)


@app.command(
    epilog="Examples:\n\n  scalinglab backtest table.csv\n\n  scalinglab backtest table.csv --split params --frac 0.2"
)
def backtest(
    table: Table,
    law: LawName = "chinchilla",
    split: Annotated[str, typer.Option(help="Which rows are large: compute, params or tokens.")] = "compute",
    frac: Annotated[float, typer.Option(help="Share of the rows to predict.")] = 0.1,
    level: Annotated[float, typer.Option(help="Of the interval for a new run.")] = 0.9,
    eval_set: EvalSet = None,
    loss: LossName = "huber:1e-3",
    bootstrap: Annotated[int, typer.Option(min=10, help="Resamples behind the intervals.")] = 1000,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Fit the smaller runs of a table, predict the largest, and see whether the intervals hold."""
    from scalinglab.cli import _compare, _options

    how = {"split": split, "frac": frac, "level": level, "resamples": bootstrap, "by": by}
    how["loss"] = _options.read_loss(loss)
    _compare.backtest_command(table, _options.read_law(law), eval_set, how, as_json)


@app.command(
    epilog="Examples:\n\n  scalinglab plot loss-vs-tokens runs/quickstart\n\n"
    "  scalinglab plot contours table.csv --out contours.svg\n\n"
    "  scalinglab plot schedule\n\n"
    "  scalinglab plot schedule wsd:total=10000,decay=1000,warmup=100+cosine:period=10000,warmup=100"
)
def plot(
    kind: Annotated[str, typer.Argument(help="Which figure; `scalinglab plot list` names them.")],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A table, a saved fit (JSON) or a study folder; for the figure schedule a schedule's text or a study.",
            metavar="INPUT",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Picture to write (.png, .svg, .pdf); default KIND.png.")
    ] = None,
    eval_set: Annotated[
        str | None, typer.Option("--eval-set", help="Which held-out set, where the table has several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw a figure of a table, a fit, a study or a schedule."""
    from scalinglab.cli import _plot

    _plot.plot_command(kind, source, out, eval_set, as_json)


@app.command(
    epilog="Examples:\n\n  scalinglab reproduce --list\n\n  scalinglab reproduce lr-transfer --scale tiny\n\n"
    "  scalinglab reproduce published-fits --data ../shared/data\n\n  scalinglab reproduce --all"
)
def reproduce(
    experiment: Annotated[
        str | None, typer.Argument(help="What to reproduce; --list names it.", metavar="EXPERIMENT")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the real runs; default $SCALINGLAB_DATA, else ../shared/data."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder of figures and pages; default figures, of other scales figures/SCALE."),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(help="Of an experiment on runs of its own: tiny (two minutes), small or full."),
    ] = "small",
    runs: Annotated[Path, typer.Option(help="Folder that holds the studies' folders.")] = Path("runs"),
    workers: Workers = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Train what is missing without asking first.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Remake all figures, pages and the gallery from what is there; trains nothing."
        ),
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name what can be reproduced.")] = False,
    as_json: Json = False,
) -> None:
    """Remake experiments: published figures beside ours, why they differ, a page and the pictures.

    An experiment on runs of its own shows first what would be trained, what it costs and how long it takes; runs that
    stand already, in whatever study below --runs, are not trained again.
    """
    from scalinglab.cli import _reproduce

    if everything:
        if experiment:
            raise InputError(f"--all takes no experiment; leave out {experiment}, or --all")
        _reproduce.everything(data, figures or Path("figures"), runs, as_json)
        return
    if listing or experiment is None:
        _reproduce.print_list(as_json)
        return
    stopped = _reproduce.reproduce_command(experiment, data, figures, scale, runs, workers, yes, as_json)
    if stopped:
        raise typer.Exit(130)


@corpus_app.command("list", epilog="Example:\n\n  scalinglab corpus list")
def corpus_list(as_json: Json = False) -> None:
    """The registered text sources, their licences, and which are on this machine."""
    from scalinglab.cli import _corpus

    _corpus.list_command(as_json)


Text = Annotated[
    str, typer.Argument(help="A mix, a source, a study file, or a file or folder of text.", metavar="TEXT")
]
TokenKind = Annotated[
    str | None,
    typer.Option("--tokens", help="bytes (default), bpe-4096 or another number, or a tokenizer.json."),
]
TextField = Annotated[
    str | None, typer.Option("--field", help="Of JSONL lines, the one with the text; default text.")
]


@corpus_app.command(
    "build",
    epilog="Examples:\n\n  scalinglab corpus build small\n\n  scalinglab corpus build notes.jsonl.gz --tokens bpe-4096"
    "\n\n  scalinglab corpus build study.toml",
)
def corpus_build(
    text: Text = "small", tokens: TokenKind = None, field: TextField = None, as_json: Json = False
) -> None:
    """Build the shards of a text now, so that a sweep later finds them; an interrupted build goes on."""
    from scalinglab.cli import _corpus

    _corpus.build_command(text, tokens, field, as_json)


@corpus_app.command(
    "stats",
    epilog="Examples:\n\n  scalinglab corpus stats small --tokens bpe-4096\n\n  scalinglab corpus stats study.toml",
)
def corpus_stats(
    text: Text = "small", tokens: TokenKind = None, field: TextField = None, as_json: Json = False
) -> None:
    """Documents, bytes, tokens, copies and held-out share of a text, source by source."""
    from scalinglab.cli import _corpus

    _corpus.stats_command(text, tokens, field, as_json)


def fail_unknown(what: str, name: str, known: Any) -> InputError:
    """The sentence for a name that is not in a list."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return InputError(f"{what} {name!r} is not known; {hint}")
