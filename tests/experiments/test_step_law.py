"""Step Law's dense runs: what is said of them is what the analysis gives."""

import pytest

from scalinglab.errors import InputError
from scalinglab.experiments.catalogue import EXPERIMENTS


def test_the_report(data_folder, monkeypatch) -> None:
    report = EXPERIMENTS["step-law"].run(data_folder)
    lines = {(line.what, line.note): line for line in report.lines}
    assert [line.published for line in report.lines[:5]] == ["1.79", "-0.713", "0.307", "0.58", "0.571"]
    for line in report.lines[:5]:
        assert line.ours.lo < float(line.published) < line.ours.hi
    assert lines["best_for_ND flags that are the least run", "the flags are the plain least run"].ours == 17
    # the authors find their law within 0.094 % of the best run on their test set; the surfaces say as much
    cost = lines["mean loss above the least, %", "printed law, by the cells' surfaces"].ours
    assert 0 < cost < 0.094
    assert "5 of the 5 printed constants" in report.verdict
    assert set(report.figures) == {
        f"step-law{end}" for end in ("", "-batch", "-valley", "-iso-loss", "-iso-loss-law")
    }
    assert report.figures["step-law"]().has_data()


def test_without_its_file(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file, and step-law is fitted to it"):
        EXPERIMENTS["step-law"].run(tmp_path)
