"""The text of a study: named by its file, kept as it was when the study began."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scalinglab import corpus
from scalinglab.errors import InputError
from scalinglab.ladder import Study
from scalinglab.ladder.definition import Weights
from scalinglab.records.derive import AVERAGE
from scalinglab.records.store import StudyFolder, read_json
from scalinglab.sweep.agreement import check_text

Progress = Callable[[str, int, int], None]
"""Takes (name, done, total) of each step."""

Streams = dict[str, tuple[Path, Path]]
"""Source -> its (training, held-out) byte files."""


def study_text(
    study: Study, study_path: Path, folder: StudyFolder, progress: Progress | None = None
) -> corpus.Corpus:
    """The study's text; a study that has begun keeps the text it began with.

    Raises StudyConflict when that text has changed, InputError for a source under a reserved name.
    """
    if study.data.mix and folder.data_path.exists():
        return begun_text(study, folder, progress)
    wanted: Any = study.data.mix or [
        source.name or (study_path.parent / str(source.path)) for source in study.data.sources
    ]
    return _built(wanted, folder, progress)


def begun_text(study: Study, folder: StudyFolder, progress: Progress | None = None) -> corpus.Corpus:
    """The text that a folder's runs were trained on, wherever its study file lies now. Raises as `study_text`."""
    rows = read_json(folder.data_path)["sources"]
    own = [source.path is not None for source in study.data.sources] or [False] * len(rows)
    wanted = [Path(row["origin"]) if path else row["source"] for row, path in zip(rows, own, strict=True)]
    return _built(wanted, folder, progress)


def _built(wanted: Any, folder: StudyFolder, progress: Progress | None) -> corpus.Corpus:
    texts = corpus.build(wanted, progress=progress)
    if AVERAGE in texts.names:
        raise InputError(
            f"a text source cannot be called {AVERAGE!r}: that names the mean over the held-out sets"
        )
    check_text(texts.fingerprint, folder)
    return texts


def text_files(texts: corpus.Corpus) -> Streams:
    """Where the text lies."""
    return {
        name: (
            Path(str(texts.train[name].filename)),  # type: ignore[attr-defined]
            Path(str(texts.heldout[name].filename)),  # type: ignore[attr-defined]
        )
        for name in texts.names
    }


def text_weights(study: Study, names: Sequence[str]) -> Weights:
    """Weight of each source on the trunks."""
    if study.data.mix:
        return tuple((name, 1.0) for name in names)
    return tuple((name, source.weight) for name, source in zip(names, study.data.sources, strict=True))


def source_names(study: Study) -> tuple[str, ...]:
    """The names that the study's sources will have. Opens no text; raises InputError for an unknown name."""
    if study.data.mix:
        return tuple(source.name for source in corpus.resolve(study.data.mix))
    return tuple(source.name or Path(str(source.path)).stem for source in study.data.sources)
