"""What tests of the sweep share: the tiny study, swept without interruption."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from scalinglab.records.store import StudyFolder
from scalinglab.sweep import Swept, prepare, run


@pytest.fixture(scope="session")
def whole(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """The uninterrupted run, on two workers. Not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    swept = run(prepare(tiny_study, out), tiny_study, workers=2)
    assert not swept.outcome.failed
    return swept


@pytest.fixture(scope="session")
def results() -> Callable[[StudyFolder], dict[str, str]]:
    """File name below a study's folder -> hash, of the table and of every checkpoint."""

    def hashes(folder: StudyFolder) -> dict[str, str]:
        files = [folder.table_path, *sorted(folder.path.glob("*/checkpoints/step-*.safetensors"))]
        found = {str(path.relative_to(folder.path)): hashlib.sha256(path.read_bytes()) for path in files}
        return {name: digest.hexdigest() for name, digest in found.items()}

    return hashes
