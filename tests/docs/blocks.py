"""The code blocks of README and docs, and how each kind is executed.

A block of Python runs, after the ones before it on its page. A line of the shell that starts with `scalinglab` runs in
this process, or is parsed by the real command where PARSED_ONLY says why. TOML is read by what it is for. A block of
text is what the block before it prints; three dots stand for anything. `title="NAME"` writes a block to that file. A
block under `<!-- not run: reason -->` is left alone.
"""

import contextlib
import io
import itertools
import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "api"),
]
_FENCE = re.compile(r'^( *)```(\w*)(?: title="([^"]+)")?\s*$')
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->\s*$")

PARSED_ONLY = {
    "quickstart": "trains",
    "sweep": "trains",
    "search": "trains",
    "fork": "trains",
    "extend": "trains",
    "rm": "deletes runs",
    "report": "takes long",
    "paired": "takes long; so do those below, and the Python beside them runs",
    "compare": "takes long",
    "corpus": "downloads",
    "status": "looks at a sweep under way",
    "reproduce": "trains, or takes long",
}
"""Command -> why its lines are parsed, command and options, and not run."""
_YET_RUN = {
    "sweep": ("--dry-run",),
    "reproduce": ("--list", "llama2-ratio"),
    "corpus": ("list",),
    "status": ("runs/quickstart",),
}
"""Command -> arguments with which its lines are cheap."""
_NEVER_RUN = ("--simulate", "--time", "--all")


FEW = 100
"""Resamples of a bootstrap whose output no page shows."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    """Of its first line of code, from 1."""
    language: str
    title: str
    text: str
    not_run: str
    """Why it is not run; "" where it is."""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order. Raises ValueError for a fence that does not end."""
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    i = 0
    while i < len(lines):
        opened = _FENCE.match(lines[i])
        if not opened:
            if lines[i].lstrip().startswith("```"):
                raise ValueError(f"{page}:{i + 1}: a fence that is not understood")
            i += 1
            continue
        indent, language, title = opened[1], opened[2], opened[3] or ""
        end = next((j for j in range(i + 1, len(lines)) if lines[j].rstrip() == f"{indent}```"), None)
        if end is None:
            raise ValueError(f"{page}:{i + 1}: a fence that does not end")
        above = next((line for line in reversed(lines[:i]) if line.strip()), "")
        marked = _NOT_RUN.match(above)
        text = "".join(line.removeprefix(indent) + "\n" for line in lines[i + 1 : end])
        found.append(Block(page, i + 2, language, title, text, marked[1] if marked else ""))
        i = end + 1
    return found


def run_page(page: Path) -> None:
    """Execute every block of a page, in the current folder. Raises AssertionError where one does not do as shown."""
    module = ModuleType("a_page_of_the_docs")
    sys.modules[module.__name__] = module
    said: str | None = None
    try:
        found = blocks_of(page)
        for block, after in itertools.zip_longest(found, found[1:]):
            if block.not_run:
                said = None
                continue
            if block.title:
                Path(block.title).parent.mkdir(parents=True, exist_ok=True)
                Path(block.title).write_text(block.text, "utf-8")
            shown = after is not None and after.language == "text"
            if block.language == "python":
                with bootstraps(None if shown else FEW):
                    said = run_python(block, module)
            elif block.language == "sh":
                with bootstraps(None if shown else FEW):
                    said = "".join(run_line(line, block) for line in lines_of(block.text))
            elif block.language == "toml":
                read_toml(block)
            elif block.language == "text":
                assert said is not None, f"{block.where}: shows what no block before it printed"
                assert_shown(block, said)
            else:
                assert block.language == "csv", (
                    f"{block.where}: no way to execute {block.language or 'a plain'} block"
                )
                assert block.title, f"{block.where}: a table without a title, which is its file"
    finally:
        del sys.modules[module.__name__]


@contextlib.contextmanager
def bootstraps(most: int | None) -> Iterator[None]:
    """Where no output is shown, the number of resamples is of no account: at most so many are taken."""
    from scalinglab.fitting import Fit

    whole = Fit.bootstrap
    if most is not None:
        Fit.bootstrap = lambda self, n=4000, **how: whole(self, min(n, most), **how)
    try:
        yield
    finally:
        Fit.bootstrap = whole


def assert_shown(block: Block, said: str) -> None:
    """What a block shows is what was printed, up to blanks at the ends of lines; "..." is anything."""
    shown, printed = (_tidy(text) for text in (block.text, said))
    pattern = re.escape(shown).replace(r"\.\.\.", ".*")
    if not re.fullmatch(pattern, printed, re.S):
        raise AssertionError(f"{block.where} shows\n{shown}\nand this was printed:\n{printed}")


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


# ---- Python -------------------------------------------------------------------------------------------


def run_python(block: Block, module: ModuleType) -> str:
    """Run a block in the page's namespace. Returns what it printed, with the package's own warnings."""

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        print(f"{category.__name__}: {message}")

    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec", dont_inherit=True)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as out:
        warnings.simplefilter("error")
        warnings.simplefilter("always", UserWarning)  # the package's own: what a reader would see is shown
        warnings.showwarning = show
        exec(code, vars(module))
    return out.getvalue()


# ---- the shell ----------------------------------------------------------------------------------------


def lines_of(text: str) -> list[str]:
    """The commands of a block: without comments, those that go on over several lines as one."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if shlex.split(line, comments=True)]


def run_line(line: str, block: Block) -> str:
    """Run, or check without running, one command. Returns what it printed."""
    words = shlex.split(line, comments=True)
    if words[0] == "scalinglab":
        if why_parsed_only(words[1:]):
            parse(words[1:], block)
            return ""
        return run_command(words[1:], block)
    if words[0] == "make":
        targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
        known = set(" ".join(targets).split())
        assert set(words[1:]) <= known, f"{block.where}: make has no such target"
    elif words[0].endswith("pip"):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = [extra for word in words for extra in re.findall(r"\[(.*)\]", word)]
        named = {name for extra in extras for name in extra.split(",")}
        assert words[1] == "install", f"{block.where}: {line}"
        assert named <= set(project["optional-dependencies"]), f"{block.where}: no such extra in {line}"
    elif words[0].startswith("python"):
        made = words[1:3] == ["-m", "venv"] or words[1:3] == ["-m", "http.server"]
        assert made or (ROOT / words[1]).is_file(), f"{block.where}: there is no {words[1]}"
    else:
        assert words[0] in (".", "cd"), f"{block.where}: no way to check {line!r}"
    return ""


def why_parsed_only(words: list[str]) -> str:
    """Why this command line is not run; "" where it is."""
    command, rest = words[0], words[1:]
    if any(word in rest for word in _NEVER_RUN):
        return "takes long"
    if any(word in rest for word in _YET_RUN.get(command, ())):
        return ""
    return PARSED_ONLY.get(command, "")


def run_command(words: list[str], block: Block) -> str:
    """Run the command line in this process; what it says on stderr fails no test, a code other than 0 or 1 does."""
    from scalinglab.cli import main

    before, code = sys.argv, 0
    sys.argv = ["scalinglab", *words]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)  # said on stderr, as everywhere
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    findings = words[0] == "check" and code in (1, 4)
    assert code == 0 or findings, f"{block.where}: {shlex.join(words)} ended with {code}: {err.getvalue()}"
    return out.getvalue()


def parse(words: list[str], block: Block) -> None:
    """Have the real command take its arguments and options without running its body."""
    import typer

    from scalinglab.cli._app import app

    command = typer.main.get_command(app)
    context = command.make_context("scalinglab", list(words))
    rest = [*context._protected_args, *context.args]
    while hasattr(command, "resolve_command"):
        try:
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, list(rest), parent=context)
        except Exception as error:
            raise AssertionError(f"{block.where}: {shlex.join(words)}: {error}") from error
        rest = [*context._protected_args, *context.args] if hasattr(command, "resolve_command") else []


# ---- TOML ---------------------------------------------------------------------------------------------


def read_toml(block: Block) -> None:
    """A study is read and planned, a map is read; some lines of a map are read as part of one."""
    from scalinglab.ladder import plan, read_study
    from scalinglab.records.importers import read_map

    given = tomllib.loads(block.text)
    path = Path(block.title or f"block-{block.line}.toml")
    path.write_text(block.text, "utf-8")
    if "ladder" in given:
        assert plan(read_study(path))
    else:
        if "columns" not in given:
            path.write_text(f'[columns]\nloss = "loss"\n{block.text}', "utf-8")
        assert read_map(path).losses


def command_lines() -> Iterator[tuple[Block, str]]:
    """Every command of every page."""
    for block in itertools.chain.from_iterable(blocks_of(page) for page in PAGES):
        if block.language == "sh" and not block.not_run:
            for line in lines_of(block.text):
                yield block, line
