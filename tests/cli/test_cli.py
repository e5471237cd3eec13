"""The command line: what it prints, how it says no, what it loads."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.37
    frame = pd.DataFrame({"params": n, "tokens": d, "loss": loss * np.exp(rng.normal(0, 1e-3, n.size))})
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def loaded_modules(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy() -> None:
    assert not {"torch", "matplotlib.pyplot", "pandas", "scipy"} & loaded_modules("import scalinglab")
    fitting = loaded_modules("import scalinglab as sl; sl.fit, sl.read_runs, sl.laws, sl.plots.KINDS")
    assert not {"torch", "matplotlib.pyplot"} & fitting


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['scalinglab', '--help']\n"
        "from scalinglab.cli import main\ntry: main()\nexcept SystemExit: pass"
    )
    assert not {"torch", "matplotlib", "pandas", "numpy", "scipy", "pydantic"} & loaded_modules(code)


@pytest.mark.parametrize(
    "command",
    [
        "quickstart",
        "sweep",
        "status",
        "fit",
        "compare",
        "backtest",
        "reproduce",
        "plot",
        "corpus list",
        "corpus build",
        "corpus stats",
    ],
)
def test_every_command_has_help_with_an_example(cli: Cli, command: str) -> None:
    code, out, _ = cli(*command.split(), "--help")
    assert code == 0
    assert re.search(rf"Examples?:.*scalinglab {command}", out, re.DOTALL)


def test_version(cli: Cli) -> None:
    assert cli("--version")[1] == f"scalinglab {sl.__version__}\n"


def test_fit_prints_constants_and_saves(cli: Cli, table: Path, tmp_path: Path) -> None:
    code, out, err = cli("fit", table, "--bootstrap", 200, "--out", tmp_path / "fit.json")
    assert (code, err) == (0, "")
    assert "exponent of the size term" in out
    assert max(map(len, out.splitlines())) <= 80
    again = sl.Fit.from_json(tmp_path / "fit.json")
    assert again.constants["alpha"] == pytest.approx(0.35, abs=0.03)


def test_fit_as_json_is_the_python_fit(cli: Cli, table: Path) -> None:
    code, out, _ = cli("fit", table, "--loss", "squared", "--bootstrap", 100, "--json")
    assert code == 0
    found = json.loads(out)
    ours = sl.fit(sl.laws.Chinchilla(), sl.read_runs(table), loss=sl.Squared())
    assert {k: v["value"] for k, v in found["constants"].items()} == ours.constants
    assert all(v["lo"] <= v["value"] <= v["hi"] for v in found["constants"].values())


def test_fit_leaves_undecayed_trunks_out_and_says_so(cli: Cli, table: Path) -> None:
    frame = pd.read_csv(table).assign(kind="branch")
    undecayed = frame.assign(kind="trunk", loss=frame["loss"] * 1.1)
    pd.concat([frame, undecayed]).to_csv(table, index=False)
    code, out, _ = cli("fit", table, "--bootstrap", 50, "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 25
    (left_out,) = [w for w in json.loads(out)["warnings"] if w["code"] == "undecayed-rows"]
    assert left_out["sentence"].startswith("25 rows of undecayed trunks are left out of the fit")
    assert left_out["sentence"].endswith("25 remain")


REFUSED = [
    (("fit", "{dir}/none.csv"), 2, "none.csv"),
    (("fit", "{table}", "--law", "chinchila"), 2, "law 'chinchila' is not known; did you mean 'chinchilla'?"),
    (
        ("fit", "{table}", "--loss", "hubert"),
        2,
        "--loss 'hubert' is not known; write huber:1e-3, likelihood:1e-3 or squared",
    ),
    (("fit", "{table}", "--loss", "huber:-1"), 2, "delta must be positive and finite, got -1.0"),
    (("fit", "{table}", "--by", "trunk"), 2, "'trunk'"),
    (("fit", "{few}"), 2, "4 rows cannot determine the 5 constants"),
    (("fit", "{text}"), 2, "loss"),
    (("plot", "contour", "{table}"), 2, "figure 'contour' is not known; did you mean 'contours'?"),
    (("plot", "contours"), 2, "needs an INPUT"),
    (("plot", "schedule", "cosin:period=100"), 2, "schedule 'cosin' is not known; did you mean cosine"),
    (
        ("plot", "schedule", "{dir}/none"),
        2,
        "is neither a study nor a schedule's text; a text that works: wsd:",
    ),
    (("plot", "schedule", "{dir}"), 2, "is a folder without a study.toml; give a study file or its folder"),
    (("plot", "schedule", "fit.json"), 2, "the figure schedule is drawn from a schedule's text or a study"),
    (("plot", "contours", "{table}", "--out", "x.bmp"), 2, "a picture ends in .png, .svg, .pdf"),
    (("corpus", "build", "wikki"), 2, "text 'wikki' is not known; did you mean 'wiki'?"),
    (("sweep", "{dir}/none.toml"), 2, "none.toml: cannot be read"),
    (("status", "{dir}/none"), 2, "there is no such study file or folder"),
]


@pytest.mark.parametrize(("args", "code", "said"), REFUSED)
def test_bad_input_gets_one_sentence(
    cli: Cli, table: Path, tmp_path: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    good = pd.read_csv(table)
    good.iloc[:4].to_csv(tmp_path / "few.csv", index=False)
    good.astype(object).replace({good.loc[3, "loss"]: "high"}).to_csv(tmp_path / "text.csv", index=False)
    places = {"dir": tmp_path, "table": table, "few": tmp_path / "few.csv", "text": tmp_path / "text.csv"}
    got, out, err = cli(*(part.format(**places) for part in args))
    assert got == code
    assert said in err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_plot_draws_each_figure_of_a_table(cli: Cli, table: Path, tmp_path: Path) -> None:
    for kind in ("contours", "loss-vs-tokens", "residuals"):
        code, out, err = cli("plot", kind, table, "--out", tmp_path / f"{kind}.png", "--json")
        assert (code, err) == (0, "")
        assert Path(json.loads(out)["figure"]).read_bytes().startswith(b"\x89PNG")
    assert cli("plot", "list")[0] == 0


def test_plot_draws_schedules_of_texts_and_all_kinds_without_input(cli: Cli, tmp_path: Path) -> None:
    for source in ((), ("wsd:total=1e+4,decay=1000 + cosine:period=10000,warmup=100",)):
        code, out, err = cli("plot", "schedule", *source, "--out", tmp_path / "it.svg", "--json")
        assert (code, err) == (0, "")
        assert "<svg" in Path(json.loads(out)["figure"]).read_text("utf-8")


def test_corpus_list_names_sources_and_licences(cli: Cli) -> None:
    found = json.loads(cli("corpus", "list", "--json")[1])
    assert {row["source"] for row in found["sources"]} >= {"wiki", "books", "code", "python"}
    assert all(row["licence"] for row in found["sources"])
    assert set(found["mixes"]["small"]) <= {row["source"] for row in found["sources"]}


def test_corpus_build_and_stats_of_ones_own_text(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALINGLAB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(40)]
    texts = [f"{n} " + " ".join(rng.choice(words, 80)) for n in range(50)]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(json.dumps({"body": text}) for text in [*texts, texts[0]]))
    code, out, err = cli("corpus", "build", path, "--field", "body", "--tokens", "bpe-270", "--json")
    assert (code, err) == (0, "")
    built = json.loads(out)
    assert built["tokens"]["vocab"] == 270
    assert all(Path(each).exists() for each in built["files"]["notes"]["train"])
    code, out, _ = cli("corpus", "stats", path, "--field", "body", "--tokens", "bpe-270", "--json")
    found = json.loads(out)
    assert found["fingerprint"] == built["fingerprint"]
    (row,) = found["sources"]
    assert (row["documents"], row["duplicates"], found["overlap"]) == (50, 1, 0)
    assert (
        row["bytes"] == sum(len(text.encode()) for text in texts) + 48
    )  # a byte between documents, in each part
    assert row["bytes_per_token"] == row["bytes"] / row["tokens"] > 1.1
    code, out, _ = cli("corpus", "stats", path, "--field", "body", "--tokens", "bpe-270")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = cli("corpus", "build", path)
    assert (code, err.count("\n")) == (2, 1)
    assert "line 1: has no field 'text' (it has body); name its field of text with field = \"body\"" in err
