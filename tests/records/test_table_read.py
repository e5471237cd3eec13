"""read_runs on good and bad tables: each bad input is refused in one sentence that names place and mend."""

import builtins
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglab as sl
from scalinglab.errors import EnvironmentProblem, InputError
from scalinglab.records import COLUMNS, TableWarning, columns_markdown, read_runs

HEADER = "params,tokens,loss\n"
GOOD = HEADER + "1e6,2e7,3.5\n2e6,2e7,3.25\n"

IMPORT = "; or let scalinglab import make a run table of it."


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "runs.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def sentence(source) -> str:
    with pytest.raises(InputError) as caught:
        read_runs(source)
    message = str(caught.value)
    assert "\n" not in message
    assert message[-1] in ".?"
    return message


# What comes out of a good table ---------------------------------------------------------------------------


def test_canonical_columns_first_and_the_others_kept(write):
    runs = read_runs(write("note,loss,tokens,seed,width,params\nx,3.5,2e7,7,64,1e6\n"))
    assert list(runs.columns) == ["params", "tokens", "loss", "seed", "note", "width"]
    assert runs["params"].dtype == runs["loss"].dtype == np.float64
    assert runs["seed"].dtype == "Int64"
    assert runs.loc[0].tolist() == [1e6, 2e7, 3.5, 7, "x", 64]


def test_counts_are_floats_so_that_6nd_does_not_overflow():
    ints = pd.DataFrame({"params": [70_000_000_000], "tokens": [15_000_000_000_000], "loss": [1.9]})
    with np.errstate(over="raise"):
        runs = read_runs(ints)
        flops = 6 * runs["params"] * runs["tokens"]
    assert flops[0] == pytest.approx(6.3e24, rel=1e-15)
    assert (6 * ints["params"] * ints["tokens"])[0] != flops[0]  # what int64 makes of it
    assert ints["params"].dtype == np.int64  # the caller's frame is not touched


@pytest.mark.parametrize(
    "dtype", ["int64", "uint64", "float32", "Int64", "Float64", "object", "str", "category"]
)
def test_any_number_dtype_of_a_frame_is_converted(dtype):
    frame = pd.DataFrame(
        {"params": [1_000_000, 2_000_000], "tokens": [4_000_000, 8_000_000], "loss": [3.5, 3.25]}
    )
    frame = frame.astype({"params": dtype, "tokens": dtype})
    runs = read_runs(frame)
    assert runs["params"].tolist() == [1e6, 2e6]
    assert runs["params"].dtype == np.float64


def test_ids_of_digits_stay_text(write):
    runs = read_runs(write("run_id,params,tokens,loss\n001,1e6,2e7,3.5\n002,2e6,2e7,3.25\n"))
    assert runs["run_id"].tolist() == ["001", "002"]
    with_id = '{"run_id": 7, "params": 1e6, "tokens": 2e7, "loss": 3.5}'
    without = '{"params": 2e6, "tokens": 2e7, "loss": 3.25}'
    runs = read_runs(write(f"{with_id}\n{without}\n", "runs.jsonl"))
    assert runs["run_id"][0] == "7"
    assert runs["run_id"].isna().tolist() == [False, True]


@pytest.mark.parametrize("chunk", [1, 2, 20_000])
def test_a_seed_keeps_all_its_digits(write, monkeypatch, chunk):
    monkeypatch.setattr("scalinglab.records.read._CHUNK", chunk)
    runs = read_runs(write("params,tokens,loss,seed\n1e6,2e7,3.5,9007199254740993\n2e6,2e7,3.25,\n"))
    assert runs["seed"][0] == 9007199254740993
    assert runs["seed"].isna()[1]
    lines = [
        '{"params": 1e6, "tokens": 2e7, "loss": 3.5, "seed": 9007199254740993}',
        '{"params": 1e6, "tokens": 2e7, "loss": 3}',
    ]
    assert read_runs(write("\n".join(lines), "runs.jsonl"))["seed"][0] == 9007199254740993
    assert '"1.5" is no whole number' in sentence(write("params,tokens,loss,seed\n1e6,2e7,3.5,1.5\n"))


def test_spaces_blank_lines_byte_order_mark_and_a_written_index_do_no_harm(write):
    path = write("\ufeff\n,params, tokens ,loss\n\n0, 1e6 ,2e7,3.5\n   \n1,2e6,2e7,3.25\n")
    runs = read_runs(path)
    assert runs.to_dict("list") == {"params": [1e6, 2e6], "tokens": [2e7, 2e7], "loss": [3.5, 3.25]}


def test_tsv_jsonl_and_parquet_read_alike(write, tmp_path):
    frame = read_runs(write(GOOD))
    frame.to_csv(tmp_path / "runs.tsv", sep="\t", index=False)
    frame.to_json(tmp_path / "runs.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "runs.parquet")
    for name in ("runs.tsv", "runs.jsonl", "runs.parquet"):
        pd.testing.assert_frame_equal(read_runs(tmp_path / name), frame)
    pd.testing.assert_frame_equal(read_runs(str(tmp_path / "runs.tsv")), frame)


def test_a_study_folder_is_read_from_its_table(write, tmp_path):
    write(GOOD, "table.csv")
    assert len(read_runs(tmp_path)) == 2


def test_a_named_index_becomes_columns():
    frame = pd.DataFrame({"run_id": ["a", "b"], "params": [1e6, 2e6], "tokens": 2e7, "loss": [3.5, 3.25]})
    runs = read_runs(frame.set_index(["run_id", "params"]))
    assert runs["run_id"].tolist() == ["a", "b"]
    assert runs["params"].tolist() == [1e6, 2e6]


def test_the_schema_documents_itself():
    text = columns_markdown()
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.dtype} |" in text
    assert [column.name for column in COLUMNS if column.demanded] == ["params", "tokens", "loss"]
    wanted = (
        "run_id, trunk_id, kind, params, params_total, tokens, unique_tokens, flops_6nd, flops_exact, "
        "eval_set, loss, loss_unit, loss_se, seed, lr, batch_tokens, schedule, decay_share"
    )
    assert [column.name for column in COLUMNS] == wanted.split(", ")


def test_importing_the_room_loads_no_pandas():
    code = "import sys, scalinglab.records; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Bad columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "found", "wanted"),
    [
        ("N,tokens,loss", "N", "params"),
        ("n_params,tokens,loss", "n_params", "params"),
        ("params_nonemb,tokens,loss", "params_nonemb", "params"),
        ("params_total,tokens,loss", "params_total", "params"),
        ("Params,tokens,loss", "Params", "params"),
        ("param,tokens,loss", "param", "params"),
        ("params,D,loss", "D", "tokens"),
        ("params,n_tokens,loss", "n_tokens", "tokens"),
        ("params,train tokens,loss", "train tokens", "tokens"),
        ("params,tokens,val_loss", "val_loss", "loss"),
        ("params,tokens,Loss", "Loss", "loss"),
    ],
)
def test_a_missing_column_comes_with_the_near_one_and_is_not_renamed(write, header, found, wanted):
    message = sentence(write(f"{header}\n1e6,2e7,3.5\n"))
    assert message.endswith(f'rename "{found}" to "{wanted}"{IMPORT}')
    assert f'lacks the column "{wanted}"' in message


def test_several_missing_columns_are_said_at_once(write):
    message = sentence(write("N,D,L,step\n1e6,2e7,3.5,10\n"))
    assert 'lacks the columns "params" (N, non-embedding parameters) and "tokens"' in message
    assert message.endswith(f'rename "N" to "params" and "D" to "tokens" and "L" to "loss"{IMPORT}')


def test_nothing_near_lists_what_there_is(write):
    assert sentence(write("params,tokens,zzz\n1,2,3\n")).endswith(f'it has "params", "tokens", "zzz"{IMPORT}')


def test_a_column_twice(write, tmp_path):
    assert 'has the column "loss" twice' in sentence(write("params,tokens,loss,loss\n1e6,2e7,3.5,3.5\n"))
    message = sentence(write('{"params": 1e6, "tokens": 2e7, "loss": 3.5, "loss": 3.25}\n', "runs.jsonl"))
    assert 'line 1 has the column "loss" twice' in message
    frame = pd.DataFrame([[1e6, 2e7, 3.5, 3.5]], columns=["params", "tokens", "loss", "loss"])
    assert 'the DataFrame has the column "loss" twice' in sentence(frame)


def test_columns_of_several_levels():
    frame = pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("params", "a"), ("loss", "b")]))
    assert "columns of several levels" in sentence(frame)


# Bad values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "mend"),
    [
        ("1.2B", "write 1.2e9."),
        ("125M", "write 125e6."),
        ('"1,000,000"', "write 1000000."),
        ('"3,14"', "write 3.14."),
        ("about 7", "write a plain number such as 1.2e9."),
        ("0x10", "write a plain number such as 1.2e9."),
    ],
)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_text_in_a_number_is_shown_with_its_line(write, cell, mend, column):
    bad = ["1e6", "2e7", "3.5"]
    bad[column] = cell
    path = write(HEADER + "1e6,2e7,3.5\n\n" + ",".join(bad) + "\n")
    name = ("params", "tokens", "loss")[column]
    shown = cell.strip('"')
    assert sentence(path) == f'{path}, line 4, column "{name}": "{shown}" is not a number; {mend}'


def test_a_quoted_line_break_moves_the_line_number(write):
    path = write('note,params,tokens,loss\n"two\nlines",1e6,2e7,3.5\nx,1e6,2e7,oops\n')
    assert "line 4, column" in sentence(path)


@pytest.mark.parametrize("column", ["params", "tokens", "loss"])
@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("", "there is no value"),
        ("nan", "there is no value"),
        ("NA", "there is no value"),
        ("inf", "the value is infinite (inf)"),
        ("1e999", "the value is infinite (inf)"),
        ("-inf", "the value is infinite (-inf)"),
        ("0", "the value is 0"),
        ("-3.5", "the value is -3.5"),
    ],
)
def test_missing_infinite_zero_and_negative_values(write, column, cell, what):
    row = {"params": "1e6", "tokens": "2e7", "loss": "3.5", column: cell, "z": "1"}
    path = write("params,tokens,loss,z\n1e6,2e7,3.5,1\n" + ",".join(row.values()) + "\n")
    message = sentence(path)
    assert message.startswith(f'{path}, line 3, column "{column}": {what}; ')
    assert re.search(r"fill it in|delete the row|mend it", message)
    # the same in a frame, named by its own index
    frame = pd.read_csv(path).set_index(pd.Index(["first", "second"]))
    assert sentence(frame).startswith(f"the DataFrame, row 'second', column \"{column}\": {what}; ")


def test_more_bad_rows_are_counted(write):
    message = sentence(write(HEADER + "1e6,2e7,3.5\n" + "1e6,2e7,\n" * 3))
    assert "line 3" in message
    assert "(and in 2 more rows)" in message


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [
        ("loss_se", "-0.1", "loss_se must be 0 or more"),
        ("decay_share", "10", "decay_share must be between 0 and 1"),
        ("unique_tokens", "0", "unique_tokens must be above 0"),
        ("lr", "fast", '"fast" is not a number'),
        ("kind", "trnk", "write branch, trunk, full, after or merge, or rename the column"),
    ],
)
def test_optional_columns_are_checked_where_given_and_may_be_empty(write, column, cell, what):
    assert what in sentence(write(f"params,tokens,loss,{column}\n1e6,2e7,3.5,{cell}\n"))
    assert read_runs(write(f"{column},params,tokens,loss\n,1e6,2e7,3.5\n"))[column].isna().all()


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, 1j, pd.Timestamp("2024-01-01"), "x" * 90, b"7"])
def test_objects_that_are_no_numbers(value):
    frame = pd.DataFrame({"params": pd.Series([1e6, value], dtype=object), "tokens": 2e7, "loss": 3.5})
    message = sentence(frame)
    assert "row 1" in message
    assert "is not a number" in message
    assert len(message) < 200


def test_an_integer_too_long_for_a_float_is_infinite():
    frame = pd.DataFrame({"params": pd.Series([10**400], dtype=object), "tokens": 2e7, "loss": 3.5})
    assert "the value is infinite" in sentence(frame)


def test_repeated_rows_warn_with_their_count(write):
    path = write(GOOD + "1e6,2e7,3.5\n1e6,2e7,3.5\n")
    with pytest.warns(
        TableWarning, match=r"2 rows repeat an earlier one in every column \(first: line 4\)"
    ) as seen:
        assert len(read_runs(path)) == 4
    assert seen[0].filename == __file__  # it points at the caller's line
    # equal in N, D and loss only: two seeds or eval sets, no repeat
    read_runs(write("params,tokens,loss,eval_set\n1e6,2e7,3.5,c4\n1e6,2e7,3.5,pile\n"))


# Bad files ------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_a_table(write, tmp_path):
    assert "does not exist" in sentence(tmp_path / "none.csv")
    assert "is empty" in sentence(write(""))
    assert "has no rows" in sentence(write(HEADER))
    assert "has no rows" in sentence(pd.DataFrame({"params": [], "tokens": [], "loss": []}))
    assert 'has the suffix ".xlsx"; a run table ends in .csv' in sentence(write("x", "runs.xlsx"))
    assert "has no suffix" in sentence(write("x", "runs"))
    assert "without a study.toml or a table.csv" in sentence(tmp_path)
    write("", "study.toml")
    assert "is a study without a table.csv yet" in sentence(tmp_path)
    assert "not UTF-8" in sentence(write(GOOD.encode("utf-16")))
    assert "not UTF-8" in sentence(write("params,tokens,loss,é\n".encode("latin-1")))
    assert "separated by semicolons" in sentence(write(GOOD.replace(",", ";")))
    assert "separated by commas" in sentence(write(GOOD, "runs.tsv"))
    assert "takes a path or a DataFrame, not int" in sentence(7)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(write):
    path = write(GOOD)
    path.chmod(0)
    assert "cannot be read: Permission denied" in sentence(path)


@pytest.mark.parametrize(
    ("text", "line", "count"),
    [
        (HEADER + "1e6,2e7,3.5\n1e6,2e7\n", 3, 2),
        (HEADER + "1e6,2e7,3.5\n\n1e6,2e7,3.5,9\n", 4, 4),
        (HEADER + "1e6,2e7,3.5,9\n1e6,2e7,3.5\n", 2, 4),
        (HEADER + "1e6,2e7,3.5,\n1e6,2e7,3.5,\n", 2, 4),
        (HEADER + '"1e6",2e7,3.5\n"1e6"\n', 3, 1),
    ],
)
def test_ragged_rows(write, text, line, count):
    assert f"line {line} has {count} fields where the header has 3" in sentence(write(text))


def test_an_open_quote(write):
    assert "runs.csv" in sentence(write(GOOD + '"1e6,2e7,3.5\n'))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"params": 1e6, "tokens": 2e7', "line 3 is not JSON"),
        ("{'params': 1}", "line 3 is not JSON"),
        ("[1, 2]", "line 3 is not a JSON object"),
        ("7", "line 3 is not a JSON object"),
        ('{"params": 1e6, "tokens": 2e7}', 'line 3, column "loss": there is no value'),
        ('{"params": "1.2B", "tokens": 2e7, "loss": 3}', 'line 3, column "params": "1.2B" is not a number'),
        ('{"params": [1], "tokens": 2e7, "loss": 3}', 'line 3, column "params": [1] is not a number'),
        ('{"params": 1e6, "tokens": Infinity, "loss": 3}', 'line 3, column "tokens": the value is infinite'),
        ('{"params": 1e6, "tokens": 2e7, "loss": NaN}', 'line 3, column "loss": there is no value'),
        ('{"params": 1e6, "tokens": 2e7, "loss": "\\ud800"}', "runs.jsonl, line"),
        ("[" * 100_000, "line 3 is not JSON"),
        ("9" * 5000, "line 3 is not JSON"),
    ],
)
def test_bad_json_lines(write, line, what):
    first = json.dumps({"params": 1e6, "tokens": 2e7, "loss": 3.5})
    assert what in sentence(write(f"{first}\n\n{line}\n", "runs.jsonl"))


def test_broken_parquet(write, tmp_path):
    assert "is not a Parquet file or is damaged" in sentence(write("PAR1 no", "runs.parquet"))
    good = tmp_path / "good.parquet"
    read_runs(write(GOOD)).to_parquet(good)
    torn = write(good.read_bytes()[:-20], "torn.parquet")
    assert "is not a Parquet file or is damaged" in sentence(torn)


def test_parquet_without_pyarrow_is_one_sentence_and_csv_needs_none(write, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return real(name, *args, **kwargs)

    path = write("PAR1", "runs.parquet")
    csv = write(GOOD)
    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EnvironmentProblem, match="needs the package pyarrow; install it"):
        read_runs(path)
    assert len(read_runs(csv)) == 2


# Real tables ----------------------------------------------------------------------------------------------


def test_real_tables(data_folder):
    hoffmann = read_runs(data_folder / "hoffmann_epoch_fig4.csv")
    assert len(hoffmann) == 245
    assert hoffmann["params"][0] == 6.7956003493e9
    message = sentence(data_folder / "gemstones.csv")
    assert message.endswith(f'rename "params_nonemb" to "params"{IMPORT}')
    gemstones = pd.read_csv(data_folder / "gemstones.csv").rename(columns={"params_nonemb": "params"})
    assert len(sl.read_runs(gemstones)) == 642
