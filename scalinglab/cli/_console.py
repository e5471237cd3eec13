"""What the command line shares: one console, one way of saying no, plain JSON."""

import json
import math
import sys
import warnings
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

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
