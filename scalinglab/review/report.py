"""The report of a review: findings in order of weight, as sentences, a table, JSON, or on a console."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglab.records.files import write_atomic
from scalinglab.review.finding import SEVERITIES, Finding, Severity, listed
from scalinglab.shown import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_SHOWN = 12  # rows listed on a console


@dataclass(frozen=True)
class Report:
    """findings: gravest first. table_name, n_rows: what was reviewed. checks: the names of what was looked for.

    runs: the table as it was read, whose positions the findings' rows are.
    """

    findings: tuple[Finding, ...]
    table_name: str
    n_rows: int
    checks: tuple[str, ...]
    runs: pd.DataFrame = field(repr=False, compare=False)

    @property
    def severity(self) -> Severity | None:
        """The gravest; None where nothing was found."""
        return self.findings[0].severity if self.findings else None

    def of(self, code: str) -> tuple[Finding, ...]:
        """The findings of one code."""
        return tuple(found for found in self.findings if found.code == code)

    @property
    def counts(self) -> dict[str, int]:
        """Severity -> how many."""
        found = Counter(each.severity for each in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def headline(self) -> str:
        said = [f"{n} {severity}{'s' * (n > 1)}" for severity, n in self.counts.items() if n]
        return f"{self.table_name}: {self.n_rows} rows, {', '.join(said) if said else 'nothing found'}"

    def table(self) -> pd.DataFrame:
        """One row a finding: severity, code, rows (how many; 0: the whole table), number, of, says, meaning, mend."""
        columns = ["severity", "code", "rows", "number", "of", "says", "meaning", "mend"]
        return pd.DataFrame(
            [
                [f.severity, f.code, len(f.rows), f.number, f.of, f.says, f.meaning, f.mend]
                for f in self.findings
            ],
            columns=columns,
        )

    def to_frame(self) -> pd.DataFrame:
        """`table`, a finding each; attrs: table, rows, checks."""
        frame = self.table()
        frame.attrs = {"table": self.table_name, "rows": self.n_rows, "checks": list(self.checks)}
        return frame

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """The rows over N and D, those with a finding marked: `scalinglab.plots.review` of this report."""
        from scalinglab import plots

        return plots.review(self, ax=ax, **options)

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON; NaN where a number is not known."""
        return {
            "table": self.table_name,
            "rows": self.n_rows,
            "severity": self.severity,
            "counts": self.counts,
            "findings": [
                {
                    "code": f.code,
                    "severity": f.severity,
                    "says": f.says,
                    "number": f.number,
                    "of": f.of,
                    "rows": list(f.rows),
                    "runs": list(f.runs),
                    "meaning": f.meaning,
                    "mend": f.mend,
                }
                for f in self.findings
            ],
            "checks": list(self.checks),
        }

    def to_json(self, path: str | Path) -> Path:
        """Write `plain()` to a file, null for numbers that JSON does not have. Returns its path."""
        plain = self.plain()
        for each in plain["findings"]:
            each["number"] = each["number"] if np.isfinite(each["number"]) else None
        write_atomic(Path(path), json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
        return Path(path)

    # ---- reading --------------------------------------------------------------------------------

    def __str__(self) -> str:
        lines = [wrapped(self.headline())]
        for f in self.findings:
            lines += [wrapped(f"{f.severity} {f.code}: {f.says}."), wrapped(f.meaning, "  ")]
            lines += [wrapped(f"→ {f.mend}", "  ")] + ([wrapped(_where(f), "  ")] if f.rows else [])
        return "\n".join(lines)

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.padding import Padding
        from rich.text import Text

        parts: list[Any] = [Text(self.headline(), style="bold")]
        for f in self.findings:
            head = Text()
            head.append(f.severity, style=_COLOURS[f.severity])
            head.append(f" {f.code}", style="bold")
            head.append(f"  {f.says[0].upper() + f.says[1:]}.")
            body = Text(f.meaning)
            body.append("\n→ ", style="bold")
            body.append(f.mend)
            if f.rows:
                body.append("\n" + _where(f), style="dim")
            parts += [Text(), head, Padding(body, (0, 0, 0, 2))]
        return Group(*parts)

    def _repr_html_(self) -> str:
        import html

        items = "".join(
            f"<li><b>{f.severity} {f.code}</b>: {html.escape(f.says)}.<br>{html.escape(f.meaning)}<br>→ "
            f"{html.escape(f.mend)}<br><small>{html.escape(_where(f)) if f.rows else ''}</small></li>"
            for f in self.findings
        )
        return f"<p>{html.escape(self.headline())}</p><ul>{items}</ul>"


def _where(finding: Finding) -> str:
    """ "rows 3–5, 9 (runs a, b)"."""
    rows = np.array(finding.rows)
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    spans = [f"{s[0]}–{s[-1]}" if len(s) > 1 else f"{s[0]}" for s in np.split(rows, breaks)]
    runs = f" (run{'s' * (len(finding.runs) > 1)} {listed(list(finding.runs), 3)})" if finding.runs else ""
    return f"row{'s' * (len(rows) > 1)} {listed(spans, _SHOWN)}{runs}"
