"""Whether the first line of a CSV file names its columns: found out, or said; and kept with the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import engram
from engram.cli import program
from engram.data import DataWarning, Table
from engram.data.source import read
from engram.errors import DataError, DataTypeError, UsageError

SMALL: dict[str, Any] = {"code_size": 1, "hidden": (4,), "max_epochs": 2, "random_state": 0}
QUICK = ("--max-epochs", "2", "--hidden", "4", "--quiet")
NAMES = ["column0", "column1", "column2"]


def engram_cli(*args: object, code: int = 0) -> str:
    done = CliRunner().invoke(program, [str(arg) for arg in args])
    assert done.exit_code == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def body() -> str:
    values = np.random.default_rng(0).normal(size=(60, 3)).round(3)
    return "\n".join(",".join(map(str, row)) for row in values) + "\n"


@pytest.fixture
def bare(tmp_path: Path, body: str) -> Path:
    """A file whose first line is a row like all others."""
    (tmp_path / "bare.csv").write_text(body)
    return tmp_path / "bare.csv"


@pytest.fixture
def years(tmp_path: Path, body: str) -> Path:
    """A file whose first line looks like a row, and names the columns."""
    (tmp_path / "years.csv").write_text("0.5,1.5,2.25\n" + body)
    return tmp_path / "years.csv"


def test_what_is_said_of_the_first_line_holds(bare: Path, years: Path) -> None:
    found = read(bare, header=False)
    assert (list(found.rows.columns), len(found.rows), found.header) == (NAMES, 60, False)
    found = read(years, header=True)
    assert (list(found.rows.columns), len(found.rows), found.header) == (["0.5", "1.5", "2.25"], 60, True)
    with pytest.warns(DataWarning, match=r"looks like the rows below it.*--header or header=True"):
        found = read(years)
    assert (list(found.rows.columns), len(found.rows), found.header) == (NAMES, 61, False)


def test_a_header_that_is_no_flag_is_refused(bare: Path) -> None:
    with pytest.raises(UsageError, match="header='first' is not valid"):
        Table(bare, header="first")  # type: ignore[arg-type]


@pytest.mark.parametrize("header", [False, True])
def test_a_model_reads_later_files_as_the_first_one(years: Path, tmp_path: Path, header: bool) -> None:
    """Also one with a single row, of which nobody could tell whether it is a header."""
    model = engram.Autoencoder(**SMALL).fit(Table(years, header=header))
    model.save(tmp_path / "run")
    loaded: Any = engram.load(tmp_path / "run")
    first = "0.5,1.5,2.25\n" if header else ""
    (tmp_path / "one.csv").write_text(f"{first}0.1,0.2,0.3\n")
    expected = pd.DataFrame([[0.1, 0.2, 0.3]], columns=["0.5", "1.5", "2.25"] if header else NAMES)
    np.testing.assert_array_equal(loaded.transform(tmp_path / "one.csv"), model.transform(expected))


def test_what_was_found_out_at_fit_is_kept_too(bare: Path, tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match="first line"):
        model = engram.Autoencoder(**SMALL).fit(bare)
    (tmp_path / "one.csv").write_text("0.1,0.2,0.3\n")
    assert model.transform(tmp_path / "one.csv").shape == (1, 1)


def test_a_run_of_an_earlier_version_finds_it_out(bare: Path, tmp_path: Path) -> None:
    engram.Autoencoder(**SMALL).fit(Table(bare, header=False)).save(tmp_path / "run")
    told = json.loads((tmp_path / "run" / "kind.json").read_text())
    del told["state"]["header"]
    (tmp_path / "run" / "kind.json").write_text(json.dumps(told))
    model: Any = engram.load(tmp_path / "run")
    with pytest.warns(DataWarning, match="first line"):
        assert model.transform(bare).shape == (60, 1)


def test_a_kind_that_contradicts_the_wrapper_is_refused(bare: Path) -> None:
    with pytest.raises(DataTypeError, match="these data cannot be images"):
        engram.Autoencoder(**SMALL, kind="images").fit(Table(bare, header=False))
    with pytest.raises(UsageError, match="kind='images', but these data are given as table"):
        engram.Autoencoder(**SMALL, kind="images").fit(Table(np.zeros((4, 8, 8))))


def test_the_command_line_keeps_what_was_said_with_the_run(years: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    engram_cli("fit", "autoencoder", years, "-o", run, "--header", *QUICK)
    columns = [c["name"] for c in json.loads((run / "kind.json").read_text())["state"]["columns"]]
    assert columns == ["0.5", "1.5", "2.25"]
    engram_cli("apply", run, years, "-o", tmp_path / "codes.csv")
    assert len(pd.read_csv(tmp_path / "codes.csv")) == 60
    told = engram_cli("apply", run, years, "-o", tmp_path / "other.csv", "--no-header", code=3)
    assert "are missing" in told
    engram_cli("evaluate", run, years, "--quiet")


def test_a_file_without_names_can_be_applied_to_row_by_row(bare: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    engram_cli("fit", "autoencoder", bare, "-o", run, "--no-header", *QUICK)
    (tmp_path / "one.csv").write_text("0.1,0.2,0.3\n")
    engram_cli("apply", run, tmp_path / "one.csv", "-o", tmp_path / "codes.csv")
    assert len(pd.read_csv(tmp_path / "codes.csv")) == 1
    (tmp_path / "named.csv").write_text("column0,column1,column2\n0.1,0.2,0.3\n")
    engram_cli("apply", run, tmp_path / "named.csv", "-o", tmp_path / "again.csv", "--header")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "codes.csv").read_text()


def test_the_flags_are_for_csv_files(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((30, 3)))
    told = engram_cli("fit", "autoencoder", tmp_path / "t.npy", "-o", tmp_path / "run", "--no-header", code=2)
    assert "--header and --no-header are for CSV files" in told


def test_two_columns_of_one_name_are_no_error_where_there_are_no_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,a\nb,c\nb,b\n")
    assert read(tmp_path / "t.csv", header=False).rows.shape == (3, 2)
    with pytest.raises(DataError, match="two columns are called 'a'"):
        read(tmp_path / "t.csv", header=True)
