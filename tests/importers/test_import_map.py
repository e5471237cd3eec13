"""Names, units and the map: each unit against its closed form, each gap named, and a map that remakes its table."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglab.errors import InputError
from scalinglab.records import read_runs
from scalinglab.records.importers import Entry, Map, import_runs, map_text, read_map
from scalinglab.records.importers._map import map_of
from scalinglab.records.importers._names import named, named_loss
from scalinglab.records.importers._quantities import NoQuantity, quantity

Cli = Callable[..., tuple[int, str, str]]
AWKWARD = (
    "Run,Model size (B),non-emb. params,Tokens (B),val bpb,remarks\n"
    "s,0.0705,18.9M,1.5,1.3261,\nm,0.124,85.1M,3,1.0788,\nl,0.355,302M,6,0.9277,again\n"
)

WRITTEN = {
    "1.3B": 1.3e9,
    "~125M": 125e6,
    "70M params": 70e6,
    "1.3 billion": 1.3e9,
    "1,024": 1024,
    "1 024 000": 1024000,
    "6.9 × 10^9": 6.9e9,
    "10^9": 1e9,
    "-.5k": -500,
    "3.2e9 tokens": 3.2e9,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_numbers_as_people_write_them(text: str) -> None:
    assert quantity(text) == (WRITTEN[text], "")


def test_ratios_commas_and_what_is_no_number() -> None:
    assert quantity("20 tokens/param") == quantity("20 tokens per parameter") == (20, "tokens/param")
    assert quantity("0.5xC") == (0.5, "chinchilla")
    assert quantity("1.234,5", decimal=",") == (1234.5, "")
    for text in ("1,5", "1.3Q", "abc", "1,00,000", True):
        with pytest.raises(NoQuantity):
            quantity(text)


NAMES = {
    "Tokens (B)": ("tokens", "B"),
    "tokens_b": ("tokens", "B"),
    "train/num_input_tokens_seen": ("tokens", None),
    "throughput/total_tokens": ("tokens", None),
    "D": ("tokens", None),
    "tokens/param": ("ratio", None),
    "param_data_ratio": ("ratio", None),
    "non-emb. params": ("nonemb", None),
    "nNonEmbeddingParams": ("nonemb", None),
    "Params (incl. embeddings) [M]": ("total", "M"),
    "total_params": ("total", None),
    "model/num_params": ("size", None),
    "Model size (B)": ("size", "B"),
    "batch_size_tokens": ("batch_tokens", None),
    "global_batch_size": ("batch", None),
    "trainer/global_step": ("step", None),
    "max_seq_len": ("context", None),
    "Peak LR": ("lr", None),
    "flops_non_embedding": None,
    "layers": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_name_says(name: str) -> None:
    found = named(name)
    assert (found and (found.kind, found.unit)) == NAMES[name]


LOSSES: dict[str, Any] = {
    "val bpb": ("bits/byte", 0, ""),
    "Loss": ("nats/token", 1, ""),
    "train/loss": ("nats/token", 2, ""),
    "eval/c4_en-validation/CrossEntropyLoss": ("nats/token", 0, "c4_en"),
    "heldout/wiki": ("nats/token", 0, "wiki"),
    "validation_ppl": ("perplexity", 0, ""),
    "loss_dolma_books": ("nats/token", 1, "dolma_books"),
    "aux_loss": None,
    "z_loss": None,
    "loss_se": None,
    "loss_kind": None,
    "Best val loss": None,
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_a_loss_is_called(name: str) -> None:
    found = named_loss(name)
    assert (found and (found.unit, found.rank, found.eval_set)) == LOSSES[name]


def one(columns: dict[str, Any], **cells: Any) -> pd.Series:
    """The one row that a map makes of a row of cells."""
    return import_runs_frame(
        pd.DataFrame({name: [cell] for name, cell in cells.items()}), {"columns": columns}
    ).loc[0]


def import_runs_frame(frame: pd.DataFrame, how: Any) -> pd.DataFrame:
    return read_runs(frame, map=how)


def test_losses_in_every_unit() -> None:
    counts = {"params": "n", "tokens": "d"}
    closed = {
        "nats/token": (2.5, "nats/token"),
        "nats/byte": (2.5, "nats/byte"),
        "bits/token": (2.5 * math.log(2), "nats/token"),
        "bits/byte": (2.5 * math.log(2), "nats/byte"),
        "perplexity": (math.log(2.5), "nats/token"),
    }
    for unit, (value, named_) in closed.items():
        row = one(counts | {"loss": {"from": "x", "unit": unit}}, n=1e6, d=1e7, x=2.5)
        assert (row["loss"], row["loss_unit"]) == (pytest.approx(value, rel=1e-15), named_)
    row = one(
        counts | {"loss": {"from": "x", "bytes_per_token": 4.0}, "loss_se": "se"}, n=1e6, d=1e7, x=3.0, se=0.1
    )
    assert (row["loss"], row["loss_unit"], row["loss_se"]) == (0.75, "nats/byte", 0.025)


def test_counts_in_every_way() -> None:
    def tokens(entry: Any, **cells: Any) -> float:
        return one({"params": "n", "tokens": entry, "loss": "x"}, n="10M", x=3.0, **cells)["tokens"]

    assert tokens({"from": "d", "unit": "tokens/param"}, d=20) == 2e8
    assert tokens({"from": "d"}, d="20 tokens/param") == 2e8
    assert tokens({"from": "d", "unit": "chinchilla"}, d=0.5) == 1e8
    assert tokens({"from": "c", "unit": "flops"}, c=6e16) == 6e16 / (6 * 1e7)
    assert tokens({"product": ["step", "batch", 1024]}, step=100, batch="64") == 100 * 64 * 1024
    assert tokens({"from": "d", "unit": "B"}, d="1.3") == 1.3e9  # exactly, as if it were written 1.3e9
    row = one(
        {"params": {"from": "all", "minus": [["vocab", "width"]]}, "tokens": "d", "loss": "x"},
        all=1e8, vocab=50000, width=512, d=1e9, x=3.0,
    )  # fmt: skip
    assert row["params"] == 1e8 - 50000 * 512
    scaled = {"from": "all", "unit": "M", "minus": [3e6]}
    assert (
        one({"params": scaled, "tokens": "d", "loss": "x"}, all=10, d=1e9, x=3.0)["params"] == 7e6
    )  # after the unit
    ratio = {"from": "d", "unit": "tokens/param"}
    with pytest.raises(InputError, match="only tokens or params can be given so"):
        one({"params": ratio, "tokens": ratio, "loss": "x"}, d=20, x=3.0)


def wsd(tmp_path: Path) -> Path:
    """Two curves: one of constant rate, one that warms up, stays and decays; and one that diverges."""
    rows = ["run,schedule,step,lr,val_loss,n"]
    rows += [f"flat,constant,{s},0.01,{5 - s / 100},1e6" for s in (10, 20, 30)]
    rows += [
        f"down,wsd,{s},{lr},{5 - s / 100},1e6" for s, lr in ((10, 0.005), (20, 0.01), (30, 0.01), (40, 0.001))
    ]
    rows += [f"bad,wsd,{s},0.01,{loss},1e6" for s, loss in ((10, 4), (20, "inf"), (30, 9))]
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_curves_become_ends_or_points_of_trunks(tmp_path: Path) -> None:
    base = {"run": "run", "order": "step"}
    columns: dict[str, Any] = {
        "params": "n",
        "tokens": {"product": ["step", 100]},
        "loss": "val_loss",
        "lr": "lr",
    }

    def points(how: str, **more: Any) -> list[tuple[str, str, float]]:
        made = import_runs(wsd(tmp_path), base | {"points": how, "columns": columns | more})
        assert any(
            "1 run(s) diverged and are left out from there: bad at step 20." in note for note in made.notes
        )
        return list(zip(made.table["run_id"], made.table["kind"], made.table["tokens"] / 100, strict=True))

    ends = [("flat", "full", 30), ("down", "full", 40)]
    trunks = [("flat", "trunk", 10), ("flat", "trunk", 20), ("flat", "trunk", 30)]
    assert points("ends") == ends
    assert points("trunk") == [*trunks, ("down", "trunk", 20), ("down", "trunk", 30), ("bad", "trunk", 10)]
    assert points("schedule", schedule="schedule") == [*trunks, ("down", "full", 40)]
    assert points("both")[2:] == [
        ends[0],
        ("down", "trunk", 20),
        ("down", "trunk", 30),
        ends[1],
        ("bad", "trunk", 10),
    ]
    assert points("ends", trunk_id={"value": "t"})[0][1] == "branch"


def test_the_default_of_curves_follows_the_schedule(tmp_path: Path) -> None:
    path = wsd(tmp_path)
    with pytest.raises(InputError, match="tokens: steps are there"):
        import_runs(path)
    text = path.read_text().replace("step,", "tokens,", 1)
    path.write_text(text)
    assert import_runs(path).map.points == "schedule"
    path.write_text("\n".join(line for line in text.splitlines() if "constant" not in line))
    assert import_runs(path).map.points == "ends"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=4, max_size=4, unique=True), st.floats(1, 1e9))
def test_a_map_file_says_what_the_map_says(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], number: float
) -> None:
    a, b, c, d = names
    mapping = Map(
        {
            "params": Entry(source=a, unit="M", minus=(number, (b, 2)), find="(x)"),
            "tokens": Entry(product=(b, number)),
            "kind": Entry(source=c, values={a: "trunk", d: "branch"}),
        },
        (Entry(source=d, unit="bits/byte", eval_set=c), Entry(sum=(a, 3), bytes_per_token=4.5)),
        "both",
        a,
        b,
        {c: (d, 3)},
        (a, d),
    )
    path = tmp_path_factory.mktemp("map") / "m.toml"
    path.write_text(map_text(mapping), "utf-8")
    assert read_map(path) == mapping


BAD_MAPS: dict[str, tuple[Any, str]] = {
    "a key": ({"colums": {}}, 'the key "colums" is unknown; did you mean "columns"'),
    "a column": (
        {"columns": {"param": "n"}},
        'the key "param" is no column of the run table; did you mean "params"',
    ),
    "a unit": (
        {"columns": {"loss": {"from": "x", "unit": "bits"}}},
        'the unit "bits" is unknown; write one of nats/token',
    ),
    "two ways": ({"columns": {"tokens": {"from": "x", "value": 3}}}, "this one has from and value"),
    "points": ({"columns": {}, "points": "end"}, 'points = "end" is unknown'),
    "a factor": ({"columns": {"tokens": {"product": [True]}}}, "it may have column names and numbers"),
    "no columns": ({}, r"has no table \[columns\]"),
}


@pytest.mark.parametrize("name", BAD_MAPS)
def test_a_wrong_map_is_refused(name: str) -> None:
    given_, said = BAD_MAPS[name]
    with pytest.raises(InputError, match=said):
        map_of(given_)


def test_a_map_that_does_not_fit_names_row_and_column() -> None:
    frame = pd.DataFrame({"size": ["1M", "huge"], "d": [1e7, 2e7], "x": [3.0, 2.5], "phase": ["up", "down"]})
    columns: dict[str, Any] = {"params": "size", "tokens": "d", "loss": "x"}
    with pytest.raises(
        InputError, match=r'the DataFrame, row 1, column "size": "huge" is not a number, and the map takes'
    ):
        read_runs(frame, map={"columns": columns})
    with pytest.raises(
        InputError, match='no column "sizes", which the map takes for params; did you mean "size"'
    ):
        read_runs(frame, map={"columns": columns | {"params": "sizes"}})
    with pytest.raises(
        InputError, match='row 1, column "phase": the map does not say what "down" means for kind'
    ):
        read_runs(
            frame,
            map={
                "columns": columns
                | {"params": {"value": 1e6}, "kind": {"from": "phase", "values": {"up": "trunk"}}}
            },
        )
    kept = read_runs(frame, map={"columns": columns, "keep": {"phase": "up"}})
    assert kept["params"].tolist() == [1e6]


# The command ----------------------------------------------------------------------------------------------


def test_the_map_beside_a_table_remakes_it_byte_for_byte(cli: Cli, tmp_path: Path) -> None:
    source, out = tmp_path / "runs.csv", tmp_path / "table.csv"
    source.write_text(AWKWARD)
    code, said, err = cli("import", source, "--out", out, "--yes")
    assert (code, err) == (0, "")
    assert max(map(len, said.replace(str(tmp_path), "").splitlines())) <= 80
    runs = read_runs(out)
    assert runs["params"].tolist() == [18.9e6, 85.1e6, 302e6]
    assert runs["params_total"].tolist() == [70.5e6, 124e6, 355e6]
    assert runs["loss"].tolist() == pytest.approx(
        [bpb * math.log(2) for bpb in (1.3261, 1.0788, 0.9277)], rel=1e-15
    )
    first = out.read_bytes()
    beside = tmp_path / "table.map.toml"
    assert cli("import", source, "--map", beside, "--out", tmp_path / "again.csv")[0] == 0
    assert (tmp_path / "again.csv").read_bytes() == first
    assert cli("import", source, "--out", out, "--yes")[0] == 0  # the same proposal: nothing to lose
    beside.write_text(beside.read_text().replace('unit = "bits/byte"', 'unit = "nats/byte"'))
    code, _, err = cli("import", source, "--out", out, "--yes")
    assert code == 2
    assert "is there already and says something else than the proposal" in " ".join(err.split())
    source.write_text(AWKWARD.replace("0.9277", "0.9278"))
    code, said, _ = cli("import", source, "--map", beside, "--out", out)
    assert code == 0
    assert "its content has changed since" in " ".join(said.split())
    assert read_runs(out)["loss"].tolist() == [1.3261, 1.0788, 0.9278]


def test_what_cannot_be_guessed_is_asked_for_in_the_map(cli: Cli, tmp_path: Path) -> None:
    source, out = tmp_path / "runs.csv", tmp_path / "t.csv"
    source.write_text("run,size,step,valid loss\na,1.3,1000,3.1\nb,0.3,1000,3.4\n")
    code, _, err = cli("import", source, "--out", out, "--yes")
    sentence = " ".join(err.split())
    assert code == 2
    assert (
        'params: "size" holds 0.3 to 1.3, too few to be parameters; say their unit: params = { from = "size"'
        in sentence
    )
    assert (
        'tokens: steps are there ("step") but not the tokens of one; write tokens = { product = ["step", 524288] }'
        in sentence
    )
    assert not out.exists()
    text = (tmp_path / "t.map.toml").read_text()
    text = text.replace("# params = ", 'params = { from = "size", unit = "B" }')
    (tmp_path / "t.map.toml").write_text(
        text.replace("# tokens = ", 'tokens = { product = ["step", 524288] }')
    )
    assert cli("import", source, "--map", tmp_path / "t.map.toml", "--out", out, "--json")[0] == 0
    assert read_runs(out)[["params", "tokens"]].to_numpy().tolist() == [
        [1.3e9, 524288000],
        [0.3e9, 524288000],
    ]
