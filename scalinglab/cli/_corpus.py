"""`scalinglab corpus`: what text there is."""

from pathlib import Path

from rich.markup import escape

from scalinglab import corpus
from scalinglab.cli._app import fail_unknown
from scalinglab.cli._console import console, note, print_json, say
from scalinglab.cli._progress import steps
from scalinglab.cli._table import table
from scalinglab.corpus.build import listing
from scalinglab.errors import InputError


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


def build_command(name: str, tokens: str | None, field: str | None, as_json: bool) -> None:
    texts = _opened(name, tokens, field, as_json)
    if as_json:
        meaning = {"name": texts.tokens.name, "vocab": texts.tokens.vocab, "sha256": texts.tokens.sha256}
        print_json(
            {
                "fingerprint": texts.fingerprint,
                "tokens": meaning | {"file": texts.tokens.file and str(texts.tokens.file)},
                "sources": texts.summary(),
                "files": {
                    source: {
                        part: [str(piece.path) for piece in getattr(files, part)]
                        for part in ("train", "heldout")
                    }
                    for source, files in texts.files.items()
                },
            }
        )
        return
    print_texts(texts)
    if texts.tokens.file is not None:
        say(f"Tokenizer {texts.tokens.file} ({texts.tokens.vocab:,} tokens)", soft_wrap=True)
    for source, files in texts.files.items():
        say(f"{source}: {files.train[0].path.parent}", soft_wrap=True)


def stats_command(name: str, tokens: str | None, field: str | None, as_json: bool) -> None:
    from scalinglab.corpus.stats import statistics

    found = statistics(_opened(name, tokens, field, as_json))
    if as_json:
        print_json(found)
        return
    meaning = found["tokens"]
    what = "token ids" if meaning["name"] == "ids" else Path(meaning["name"]).name
    shown = table(
        f"{name}, in {what} (vocabulary {meaning['vocab']:,})",
        *("source", "domain", "docs", "MB", "M tokens", "bytes/tok", "copies", "held out"),
    )
    shown.columns[1].justify, shown.columns[1].no_wrap = "left", False
    total = {"source": "all", "domain": ""} | found["total"]
    for row in [*found["sources"], *([total] if len(found["sources"]) > 1 else [])]:
        shown.add_row(
            row["source"],
            row["domain"],
            _known(row["documents"], "{:,}"),
            _known(row["bytes"] and row["bytes"] / 1e6, "{:.2f}"),
            f"{row['tokens'] / 1e6:.2f}",
            _known(row["bytes_per_token"], "{:.2f}"),
            _known(row["duplicates"], "{:,}"),
            f"{row['heldout_share']:.1%}",
        )
    console.print(shown)
    console.print(
        "copies: exact duplicates, left out when the text was built; held out: share of the tokens."
    )
    console.print(f"Documents that are both trained on and held out: {found['overlap']}.")


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _opened(name: str, tokens: str | None, field: str | None, as_json: bool) -> corpus.Corpus:
    """The text of a mix, a source, a study file or a path, built if need be."""
    path = Path(name).expanduser()
    if name not in corpus.MIXES and name not in corpus.SOURCES and not path.exists():
        raise fail_unknown("text", name, [*corpus.MIXES, *corpus.SOURCES])
    console.quiet = as_json
    with steps("Corpus") as progress:
        if path.suffix == ".toml":
            if tokens is not None or field is not None:
                raise InputError(
                    f"{name}: a study says itself what its tokens and fields are; leave out the options"
                )
            from scalinglab.ladder import read_study
            from scalinglab.sweep.text import study_text

            texts = study_text(read_study(path), path, progress=progress)
        else:
            source = name if name in corpus.MIXES or name in corpus.SOURCES else None
            texts = corpus.build(
                source or corpus.text_source(path, field=field or "text"),
                tokens=tokens or "bytes",
                fallback=False,
                progress=progress,
            )
    console.quiet = False
    for sentence in texts.notes if not as_json else ():
        note(sentence)
    return texts


def print_texts(texts: corpus.Corpus) -> None:
    """The sources of a corpus and how much of each is trained on and held out."""
    byte_tokens = texts.tokens.name == "bytes"
    shown = table(
        "Text", "source", "language", "train", "held out", "documents", *(() if byte_tokens else ("tokens",))
    )
    for row in texts.summary():
        counts = [row[f"{part}_documents"] for part in ("train", "heldout")]
        cells = [row["source"], row["language"]]
        for part in ("train", "heldout"):
            size = row[f"{part}_bytes"]
            cells.append("-" if size is None else f"{size / 1e6:.2f} MB")
        cells.append("-" if None in counts else f"{sum(counts):,}")
        if not byte_tokens:
            cells.append(f"{(row['train_tokens'] + row['heldout_tokens']) / 1e6:.2f}M")
        shown.add_row(*cells)
    console.print(shown)
