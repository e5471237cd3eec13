"""MiniCPM's reading of Llama 2's curves: the printed figures, and the side that is not printed."""

from scalinglab.experiments.catalogue import EXPERIMENTS


def test_printed_and_other_side() -> None:
    assert EXPERIMENTS["llama2-ratio"].needs == "nothing"
    report = EXPERIMENTS["llama2-ratio"].run(None)
    printed = [(float(line.published), line.ours) for line in report.lines if line.published]
    assert [(a, round(b)) for a, b in printed] == [(99.0, 99), (72.0, 72)]
    least = [round(line.ours) for line in report.lines if "at least" in line.what]
    assert least == [14, 17]
    assert "inside both brackets" in report.verdict
    assert "above both brackets" in report.verdict
    assert "between 17 and 72" in report.verdict
    ax = report.figures["llama2-ratio"]()
    ax.figure.canvas.figure.draw_without_rendering()
    levels = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() != "None"]
    assert levels == [192.0, 20.0]


def test_on_the_command_line(cli, tmp_path) -> None:
    code, out, _ = cli("reproduce", "llama2-ratio", "--figures", tmp_path)
    assert code == 0
    assert "98.6" in out
    assert (tmp_path / "llama2-ratio.png").is_file()
