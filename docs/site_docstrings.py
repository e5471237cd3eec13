"""Docstrings as the API pages show them: arguments as a list, examples as code, formulas letter by letter."""

import re
from typing import Any

import griffe

_ARGUMENT = re.compile(r"^([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*): (?=\S)")
_SAYS_MORE = re.compile(r"(Returns|Raises|Warns) ")  # about the whole, after the last argument
_CODE = re.compile(r"(`[^`]*`)")


def as_markdown(text: str) -> str:
    """Plain text with backticks, `name: meaning` lines and >>> examples -> Markdown."""
    out: list[str] = []
    fenced = False
    for line in text.splitlines():
        example = line.startswith((">>> ", "... "))
        if example != fenced:
            out += ["", "```pycon"] if example else ["```", ""]
            fenced = example
        if example:
            out.append(line)
            continue
        argument = _ARGUMENT.match(line)
        if argument and not line.startswith("    "):
            if not (out and out[-1].startswith(("- ", "  "))):
                out.append("")
            out.append(f"- **{argument[1]}**: {_literal(line[argument.end() :])}")
        elif line.strip() and out and out[-1].startswith(("- ", "  ")) and line.startswith("    "):
            out.append("  " + _literal(line.strip()))
        elif line.startswith("    "):
            out.append(line)  # a formula on its own
        else:
            if _SAYS_MORE.match(line):
                out.append("")
            if line.strip() and out and out[-1].startswith(("- ", "  ")):
                out[-1] += " " + _literal(line.strip())  # the argument's sentence goes on
            else:
                out.append(_literal(line))
    return "\n".join([*out, *(["```"] if fenced else [])])


def _literal(line: str) -> str:
    """No letter of a formula is taken for markup."""
    parts = _CODE.split(line)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*\[\]])", r"\\\1", part).replace("<", "&lt;")
        for part in parts
    )


class PlainDocstrings(griffe.Extension):
    """Called by griffe for every object it reads."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
