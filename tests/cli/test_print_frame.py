"""Tables of answers fit 80 columns without a cell cut."""

import numpy as np
import pandas as pd
import pytest

from scalinglab.cli import _answers


@pytest.mark.parametrize("columns", [3, 6, 12])
def test_no_cell_is_cut(capsys: pytest.CaptureFixture[str], columns: int) -> None:
    frame = pd.DataFrame({"flops": [1.25e20, 1.25e21]})
    for i in range(columns):
        frame[f"figure_no_{'abcdefghijkl'[i]}"] = [1.0 + i, 2.0 + i]
        frame[f"figure_no_{'abcdefghijkl'[i]}_lo"] = 1.23e-7
        frame[f"figure_no_{'abcdefghijkl'[i]}_hi"] = 4.56e12
    _answers.print_frame(frame)
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= _answers.console.width
    assert out.count("1.23e-07") == 2 * columns
    assert out.count("4.56e+12") == 2 * columns
    assert "1.25e+20" in out


def test_unknown_figures_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(
        {"value": [1.0, np.nan], "lo": [0.5, np.nan], "hi": [2.0, np.nan], "unit": ["x", "x"]},
        index=["ratio", "times"],
    )
    _answers.print_frame(frame)
    out = capsys.readouterr().out
    assert "ratio" in out
    assert "times" not in out
