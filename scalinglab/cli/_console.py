"""What the command line shares: one console, one way of saying no, plain JSON."""

import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast, get_type_hints

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from typer.models import OptionInfo

from scalinglab.errors import InputError

Command = TypeVar("Command", bound=Callable[..., None])

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say_warnings_plainly() -> None:
    """Python warnings become a line on stderr: the sentence, without file and source line.

    Of an extrapolation the answer itself holds the note, which is printed with it.
    """

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        if category.__name__ == "ExtrapolationWarning":
            return
        errors.print(f"[yellow]note:[/] {escape(str(message))}", soft_wrap=True)

    warnings.showwarning = show


def fail(message: object, code: int) -> int:
    """One sentence on stderr."""
    sentence = str(message).rstrip(".")
    sentence += "" if sentence.endswith("?") else "."
    errors.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    return code


given_options: ContextVar[Mapping[str, Any] | None] = ContextVar("given_options", default=None)
"""What the running command was given, by the names of its parameters."""


def in_options(**others: str) -> Callable[[Command], Command]:
    """Round a command: an InputError names the command's options where it names arguments of Python's.

    others: argument -> option, where the two are not of one name, as loss and --loss-value.
    """

    def around(command: Command) -> Command:
        options = {
            name: next(iter(each.param_decls or ()), f"--{name.replace('_', '-')}")
            for name, hint in get_type_hints(command, include_extras=True).items()
            for each in getattr(hint, "__metadata__", ())
            if isinstance(each, OptionInfo)
        }

        @wraps(command)
        def run(**given: Any) -> None:
            token = given_options.set(given)
            try:
                command(**given)
            except InputError as error:
                error.args = (as_options(str(error), options | others), *error.args[1:])
                raise
            finally:
                given_options.reset(token)

        return cast(Command, run)

    return around


def as_options(sentence: str, options: dict[str, str]) -> str:
    """`tokens=` and `cost="6ND"` as `--tokens` and `--cost 6ND`; sentence and its other words stay."""
    sentence = re.sub(r" \(in Python \w+=\)", "", sentence)

    def option(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"] or ""
        if name not in options:
            return found[0]
        value = value.strip("\"'").replace("[", "").replace("]", "").replace(", ", ",")
        return f"{options[name]} {value}" if value else options[name]

    value = r"""(?P<value>"[^"]*"|'[^']*'|\[[^]]*\]|[\d.]+(?:e[+-]?\d+)?)?"""
    return re.sub(r"(?<![\w.-])(?P<name>[A-Za-z]\w*)=(?!=)" + value, option, sentence)


def say(message: object, style: str = "", soft_wrap: bool = False) -> None:
    """A line on stdout, taken as it is: a path or a title may hold square brackets."""
    console.print(Text(str(message), style=style), soft_wrap=soft_wrap)


def note(message: object) -> None:
    """Something the reader should know."""
    console.print(f"[yellow]note:[/] {escape(str(message))}")


def print_json(value: Any) -> None:
    """JSON on stdout, keys in order; numbers that JSON does not have become null."""
    json.dump(_plain(value), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
