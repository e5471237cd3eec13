"""`scalinglab corpus`: what text there is."""

from rich.markup import escape

from scalinglab import corpus
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, print_json
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.corpus.build import listing


def list_command(as_json: bool) -> None:
    rows = listing()
    if as_json:
        print_json({"sources": rows, "mixes": {name: list(names) for name, names in corpus.MIXES.items()}})
        return
    shown = table("Text sources", "source", "text", "licence", "download", "built")
    for column in shown.columns[1:3]:
        column.justify, column.no_wrap = "left", False
    for row in rows:
        download = f"{row['download_bytes'] / 1e6:.1f} MB" if row["download_bytes"] else "none"
        built = f"{row['train_bytes'] / 1e6:.1f} MB" if row["train_bytes"] else "-"
        shown.add_row(row["source"], f"{row['domain']}, {row['language']}", row["licence"], download, built)
    console.print(shown)
    for name, names in corpus.MIXES.items():
        default = " (default)" if name == corpus.DEFAULT_MIX else ""
        console.print(f"mix [bold]{name}[/]{default}: {', '.join(names)}")
    console.print(f"[dim]Cache: {escape(str(corpus.cache_folder()))}[/]", soft_wrap=True)


def get_command(name: str, as_json: bool) -> None:
    if name not in corpus.MIXES and name not in corpus.SOURCES:
        raise fail_unknown("text", name, [*corpus.MIXES, *corpus.SOURCES])
    with steps("Corpus") as progress:
        texts = corpus.build(name, fallback=False, progress=progress)
    if as_json:
        print_json({"fingerprint": texts.fingerprint, "sources": texts.summary()})
        return
    print_texts(texts)


def print_texts(texts: corpus.Corpus) -> None:
    """The sources of a corpus and how much of each is trained on and held out."""
    shown = table("Text", "source", "language", "train", "held out", "documents")
    for row in texts.summary():
        documents = row["train_documents"] + row["heldout_documents"]
        shown.add_row(
            row["source"],
            row["language"],
            f"{row['train_bytes'] / 1e6:.2f} MB",
            f"{row['heldout_bytes'] / 1e6:.2f} MB",
            f"{documents:,}",
        )
    console.print(shown)
