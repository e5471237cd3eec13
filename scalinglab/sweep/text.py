"""The text of a study: named by its file, kept as it was when the study began."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scalinglab import corpus
from scalinglab.errors import InputError
from scalinglab.ladder import Study
from scalinglab.ladder import study as sections
from scalinglab.ladder.definition import Weights
from scalinglab.ladder.study_file import tokenizer_path
from scalinglab.records.derive import AVERAGE
from scalinglab.records.store import StudyFolder, read_json
from scalinglab.sweep.agreement import check_text

Progress = Callable[[str, int, int], None]
"""Takes (name, done, total) of each step."""


def study_text(
    study: Study, study_path: Path, folder: StudyFolder | None = None, progress: Progress | None = None
) -> corpus.Corpus:
    """The study's text; a study that has begun in `folder` keeps the text and the tokenizer it began with.

    Raises StudyConflict when that text has changed, InputError for a source under a reserved name.
    """
    if folder is not None and not folder.runs():
        folder = None  # nothing was trained there, whatever it says
    if study.data.mix and folder is not None and folder.data_path.exists():
        return begun_text(study, folder, progress)
    check_sources(study, study_path)
    return _built(_wanted(study, study_path), study, study_path, folder, progress)


def check_sources(study: Study, study_path: Path) -> None:
    """That every source is known, and that the user's own files are there. Opens none.

    Raises InputError naming the study file and what is missing.
    """
    try:
        corpus.resolve(_wanted(study, study_path))
    except InputError as error:
        raise InputError(f"{study_path}: data.{'mix' if study.data.mix else 'sources'}: {error}") from None


def _wanted(study: Study, study_path: Path) -> Any:
    """What the study names, as the corpus takes it."""
    return study.data.mix or [
        _source(source, study_path.parent / (source.path or ""), source.label)
        for source in study.data.sources
    ]


def begun_text(study: Study, folder: StudyFolder, progress: Progress | None = None) -> corpus.Corpus:
    """The text that a folder's runs were trained on, wherever its study file lies now. Raises as `study_text`."""
    rows = read_json(folder.data_path)["sources"]
    if study.data.sources:
        wanted = [
            _source(source, Path(row["origin"]), row["source"])
            for row, source in zip(rows, study.data.sources, strict=True)
        ]
    else:
        wanted = [row["source"] for row in rows]
    return _built(wanted, study, folder.study_path, folder, progress)


def _source(source: sections.Source, path: Path, name: str) -> str | corpus.Source:
    """A source as the corpus knows it, called `name`. path: where its own files lie, if it has some."""
    share = source.heldout_share or 0.05
    field = source.field or "text"
    if source.hf is not None:
        return corpus.hub_source(source.hf, source.split or "train", name, share, field=field)
    if source.path is not None:
        return corpus.text_source(
            path, name, share, field=field, dtype=source.dtype or "uint16", end=source.end
        )
    return name


def _built(
    wanted: Any, study: Study, study_path: Path, folder: StudyFolder | None, progress: Progress | None
) -> corpus.Corpus:
    tokens: str | Path = study.data.tokens
    begun = folder is not None and folder.data_path.exists() and folder.tokenizer_path.exists()
    if tokens != "bytes":
        tokens = tokenizer_path(study, study_path) or tokens
    texts = corpus.build(
        wanted,
        tokens=tokens,
        vocab=study.data.vocab,
        trained=folder.tokenizer_path if folder is not None and begun else None,
        progress=progress,
    )
    if AVERAGE in texts.names:
        raise InputError(
            f"a text source cannot be called {AVERAGE!r}: that names the mean over the held-out sets"
        )
    if folder is not None:
        check_text(texts.fingerprint, folder)
    return texts


def text_weights(study: Study, names: Sequence[str]) -> Weights:
    """Weight of each source on the trunks."""
    if study.data.mix:
        return tuple((name, 1.0) for name in names)
    return tuple((name, source.weight) for name, source in zip(names, study.data.sources, strict=True))


def source_names(study: Study) -> tuple[str, ...]:
    """The names that the study's sources will have. Opens no text; raises InputError for an unknown name."""
    if study.data.mix:
        return tuple(source.name for source in corpus.resolve(study.data.mix))
    return tuple(source.label for source in study.data.sources)
