"""Bad input: each is one message with its exit code, or a named and counted note; no traceback, no file left behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from engram.cli import program

QUICK = ("--max-epochs", "1", "--hidden", "4", "--code-size", "1", "--seed", "1")
ROWS = 25


def good() -> pd.DataFrame:
    """Return a small table."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"age": random.normal(40, 9, ROWS), "income": random.normal(3000, 800, ROWS)})
    frame["city"] = random.choice(["Lima", "Oslo"], ROWS)
    return frame


def text(folder: Path, content: str, name: str = "bad.csv") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def table(folder: Path, **columns: object) -> Path:
    """Write the small table with some columns replaced or added."""
    good().assign(**columns).to_csv(folder / "bad.csv", index=False)
    return folder / "bad.csv"


def engram(*args: object, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(program, [str(arg) for arg in args], input=stdin)
    assert "Traceback" not in result.stderr + result.stdout
    return result


def listing(folder: Path) -> dict[str, object]:
    """Return everything below a folder, with the contents of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else path.is_dir()
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder; tests damage copies of it."""
    folder = tmp_path_factory.mktemp("fitted")
    good().to_csv(folder / "good.csv", index=False)
    done = engram("fit", "vae", folder / "good.csv", "-o", folder / "run", "--quiet", *QUICK)
    assert done.exit_code == 0, done.stderr
    return folder / "run"


def fails(folder: Path, *args: object, code: int, told: tuple[str, ...], stdin: bytes | None = None) -> None:
    """Check that a command fails with a code and words, says the same as JSON, and changes no file."""
    before = listing(folder)
    done = engram(*args, stdin=stdin)
    assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
    assert done.stdout == ""
    for words in ("error: ", *told):
        assert words in done.stderr, done.stderr
    as_json = engram(*args, "--json", stdin=stdin)
    error = json.loads(as_json.stdout)["error"]
    assert (as_json.exit_code, error["exit_code"], as_json.stderr) == (code, code, "")
    assert " ".join(told[0].split()) in error["message"]
    assert listing(folder) == before


# --- rows to learn from ---

Case = tuple[Callable[[Path], object], int, tuple[str, ...]]
SOURCES: dict[str, Case] = {
    "an empty file": (lambda f: text(f, ""), 3, ("is empty",)),
    "only blank lines": (lambda f: text(f, "\n\n"), 3, ("no rows",)),
    "only a header": (lambda f: text(f, "a,b\n"), 3, ("has no rows",)),
    "no columns": (lambda f: _npy(f, np.zeros((5, 0))), 3, ("0 feature",)),
    "no rows in an array": (lambda f: _npy(f, np.zeros((0, 5))), 3, ("has no rows",)),
    "a scalar": (lambda f: _npy(f, np.float64(3)), 3, ("holds one value",)),
    "five dimensions": (lambda f: _npy(f, np.zeros((2, 2, 2, 2, 2))), 3, ("cannot tell what kind",)),
    "complex numbers": (lambda f: _npy(f, np.ones((30, 2)) * 1j), 3, ("Complex data",)),
    "objects in an array": (lambda f: _npy(f, np.array([[{}], [{}]], dtype=object)), 3, ("cannot be read",)),
    "all columns missing": (lambda f: text(f, "a,b\n,\n,\n"), 3, ("no column can be learned from",)),
    "a different text in every row": (
        lambda f: text(f, "id\n" + "\n".join(f"k{i}" for i in range(50))),
        3,
        ("no column can be learned from", "id"),
    ),
    "an infinite value": (lambda f: table(f, age=[np.inf] + [1.0] * (ROWS - 1)), 3, ("'age', row 0", "infinit")),
    "an infinite value in the last row": (lambda f: table(f, age=[1.0, 2.0] * 12 + [-np.inf]), 3, ("'age', row 24",)),
    "two columns of one name": (lambda f: text(f, "a,b,a\n1,2,3\n4,5,6\n"), 3, ("two columns are called 'a'",)),
    "rows longer than the header": (lambda f: text(f, "a,b\n1,2,3\n4,5,6\n"), 3, ("more cells than its header",)),
    "rows of different lengths": (lambda f: text(f, "a,b\n1,2\n4,5,6\n"), 3, ("line 3",)),
    "an open quote": (lambda f: text(f, 'a,b\n1,"2\n3,4\n'), 3, ("cannot be read",)),
    "binary garbage as CSV": (lambda f: _bytes(f, "bad.csv"), 3, ("no text",)),
    "Latin-1 as CSV": (lambda f: _bytes(f, "bad.csv", "a,b\nü,1\n".encode("latin-1") * 9), 3, ("UTF-8",)),
    "UTF-16 as CSV": (lambda f: _bytes(f, "bad.csv", "a,b\n1,2\n".encode("utf-16")), 3, ("UTF-8",)),
    "binary garbage as npy": (lambda f: _bytes(f, "bad.npy"), 3, ("'bad.npy' cannot be read",)),
    "binary garbage as npz": (lambda f: _bytes(f, "bad.npz"), 3, ("'bad.npz' cannot be read",)),
    "binary garbage as parquet": (lambda f: _bytes(f, "bad.parquet"), 3, ("'bad.parquet' cannot be read",)),
    "a pickle as npy": (lambda f: _bytes(f, "bad.npy", b"\x80\x04\x95\x05"), 3, ("'bad.npy' cannot be read",)),
    "a truncated npy": (lambda f: _truncated(_npy(f, np.zeros((9, 9)))), 3, ("'bad.npy' cannot be read",)),
    "an unknown suffix": (lambda f: text(f, "a,b\n1,2\n", "bad.xls"), 3, ("unknown type '.xls'", ".parquet")),
    "a folder": (lambda f: f, 3, ("is a folder",)),
    "no such file": (lambda f: f / "nothing.csv", 2, ("there is no file",)),
    "nearly a bundled set": (lambda _: "digit", 2, ("Did you mean 'digits'?",)),
    "a name too long": (lambda f: f / ("x" * 300 + ".csv"), 3, ("cannot be read",)),
    "nothing on standard input": (lambda _: "-", 3, ("standard input",)),
}


def _npy(folder: Path, array: object) -> Path:
    np.save(folder / "bad.npy", array)
    return folder / "bad.npy"


def _bytes(folder: Path, name: str, content: bytes = bytes(range(256)) * 20) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def _truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-50])
    return path


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_learned_from(tmp_path: Path, name: str):
    make, code, told = SOURCES[name]
    fails(tmp_path, "fit", "vae", make(tmp_path), "-o", tmp_path / "run", *QUICK, code=code, told=told, stdin=b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_places_without_permission(tmp_path: Path):
    source, closed = table(tmp_path), tmp_path / "closed"
    closed.mkdir(mode=0o500)
    fails(tmp_path, "fit", "vae", source, "-o", closed / "run", *QUICK, code=4, told=("cannot write into",))
    source.chmod(0)
    done = engram("fit", "vae", source, "-o", tmp_path / "run", *QUICK)
    assert (done.exit_code, "cannot be read" in done.stderr) == (3, True)


# --- rows that work, with a note ---


def works(*args: object, told: tuple[str, ...]) -> str:
    done = engram(*args)
    assert done.exit_code == 0, done.stderr
    for words in told:
        assert words in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_one_row_works_and_says_that_nothing_was_checked(tmp_path: Path):
    source = text(tmp_path, "a,b\n1,x\n")
    told = works("fit", "vae", source, "-o", tmp_path / "run", *QUICK, told=("1 row:", "nothing was checked"))
    assert "pca" not in told
    assert not (tmp_path / "run" / "report.json").exists()
    works("inspect", tmp_path / "run", told=("none in the folder",))
    works("apply", tmp_path / "run", source, "-o", tmp_path / "codes.csv", told=("wrote codes of 1 row ",))
    works("evaluate", tmp_path / "run", source, told=("rows that the model was fitted on",))


def test_one_column_works(tmp_path: Path):
    source = tmp_path / "one.csv"
    good()[["age"]].to_csv(source, index=False)
    works("fit", "autoencoder", source, "-o", tmp_path / "run", *QUICK, told=("5 held-out rows",))


def test_an_all_missing_column_is_named(tmp_path: Path):
    source = table(tmp_path, nothing=np.nan, always=7)
    told = ("'nothing' is without any value", "'always' is constant")
    works("fit", "autoencoder", source, "-o", tmp_path / "run", *QUICK, told=told)


def test_huge_values_are_counted_or_used(tmp_path: Path):
    source = table(tmp_path, age=[1e300] + [1.0] * (ROWS - 1))
    works("fit", "autoencoder", source, "-o", tmp_path / "run", *QUICK, told=("Run folder",))
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        assert json.loads(line)["terms"]["reconstruction"] is not None  # null where it was not finite


def test_row_numbers_and_a_missing_header_are_noticed(tmp_path: Path):
    good().to_csv(tmp_path / "numbered.csv")
    works(
        "fit", "vae", tmp_path / "numbered.csv", "--dry-run", told=("note: numbered.csv: the first column has no name",)
    )
    plain = text(tmp_path, "1.5,2.5\n" + "3.5,4.5\n4.5,1\n" * 12)
    works("fit", "vae", plain, "--dry-run", told=("note: bad.csv: the first line looks like the rows",))


# --- rows to apply a model to ---

APPLIED: dict[str, Case] = {
    "texts where numbers were": (
        lambda f: table(f, age="old"),
        3,
        ("column 'age' holds numbers, but row 0 has 'old'",),
    ),
    "a missing column": (lambda f: _without(f, "city"), 3, ("missing: city",)),
    "another table": (lambda _: "wine", 3, ("missing: age, income, city",)),
    "pictures": (lambda _: "digits", 3, ("not a table",)),
    "an array of another width": (lambda f: _npy(f, np.zeros((5, 7))), 3, ("7 features",)),
    "an infinite value": (lambda f: table(f, age=np.inf), 3, ("infinit",)),
    "no rows": (lambda f: text(f, "age,income,city\n"), 3, ("has no rows",)),
}


def _without(folder: Path, column: str) -> Path:
    good().drop(columns=column).to_csv(folder / "bad.csv", index=False)
    return folder / "bad.csv"


@pytest.mark.parametrize("command", ["apply", "evaluate"])
@pytest.mark.parametrize("name", APPLIED)
def test_rows_that_a_model_cannot_take(tmp_path: Path, fitted: Path, command: str, name: str):
    make, code, told = APPLIED[name]
    output = tmp_path / ("codes.csv" if command == "apply" else "report.html")
    fails(tmp_path, command, fitted, make(tmp_path), "-o", output, "--quiet", code=code, told=told)


def test_new_categories_are_counted_and_more_columns_are_ignored(tmp_path: Path, fitted: Path):
    source = table(tmp_path, city=["Lima"] * 20 + ["Rome"] * 5, more=1)
    told = "note: column 'city': categories not seen at fit were treated as missing (5 cells)\n"
    works("apply", fitted, source, "-o", tmp_path / "codes.csv", told=(told,))
    done = engram("apply", fitted, source, "-o", tmp_path / "more.csv", "--json")
    assert json.loads(done.stdout)["notes"] == [told.removeprefix("note: ").strip()]


def test_values_far_out_are_counted(tmp_path: Path, fitted: Path):
    source = table(tmp_path, age=[1e300, -1e300] + [40.0] * (ROWS - 2))
    works("apply", fitted, source, "-o", tmp_path / "c.csv", "--get", "scores", told=("were clipped (2 cells)",))
    assert np.isfinite(pd.read_csv(tmp_path / "c.csv")["score"]).all()


# --- damaged run folders ---


def _json(run: Path, name: str, **changes: object) -> None:
    path = run / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _shape(run: Path, **changes: object) -> None:
    shapes = json.loads((run / "config.json").read_text())["shapes"]
    _json(run, "config.json", shapes=shapes | changes)


def _swap(run: Path, name: str, old: str, new: str) -> None:
    path = run / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def _cut(run: Path, name: str, keep: float = 0.5) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: int(len(content) * keep)])


def _link(run: Path, name: str) -> None:
    (run / name).rename(run.parent / name)
    (run / name).symlink_to(run.parent / name)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated weights": (lambda r: _cut(r, "weights.safetensors"), "weights.safetensors"),
    "empty weights": (lambda r: _cut(r, "weights.safetensors", 0), "weights.safetensors"),
    "a pickle for weights": (
        lambda r: (r / "weights.safetensors").write_bytes(b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93."),
        "weights.safetensors",
    ),
    "missing weights": (lambda r: (r / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    "broken JSON": (lambda r: _cut(r, "config.json"), "config.json"),
    "NaN in JSON": (lambda r: _swap(r, "kind.json", '"mean": ', '"mean": NaN, "x": '), "NaN is not JSON"),
    "a list for an object": (lambda r: (r / "config.json").write_text("[]"), "no JSON object"),
    "missing config": (lambda r: (r / "config.json").unlink(), "config.json is missing"),
    "missing kind": (lambda r: (r / "kind.json").unlink(), "kind.json is missing"),
    "an unknown model": (lambda r: _json(r, "config.json", model="os.system"), "unknown model 'os.system'"),
    "an unknown kind": (lambda r: _json(r, "kind.json", kind="subprocess"), "unknown kind"),
    "an unknown field": (lambda r: _json(r, "config.json", more=1), "more"),
    "a newer schema": (lambda r: _json(r, "config.json", schema_version=999), "newer Engram"),
    "another code size": (lambda r: _shape(r, code_size=3), "damaged"),
    "a network far too large": (lambda r: _shape(r, widths=[10**13]), "damaged"),
    "a link": (lambda r: _link(r, "weights.safetensors"), "is a link"),
    "another file": (lambda r: (shutil.rmtree(r), r.write_text("hello")), "not a run folder"),
    "nothing": (shutil.rmtree, "there is no run folder"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_folder(tmp_path: Path, fitted: Path, name: str):
    run = tmp_path / "run"
    shutil.copytree(fitted, run)
    damage, told = DAMAGES[name]
    damage(run)
    source = table(tmp_path)
    for args in (("apply", run, source, "-o", tmp_path / "c.csv"), ("sample", run, "-n", "2"), ("inspect", run)):
        fails(tmp_path, *args, code=4, told=(told,))


def test_a_damaged_report_is_told(tmp_path: Path, fitted: Path):
    run = tmp_path / "run"
    shutil.copytree(fitted, run)
    (run / "report.json").write_text('{"model": "VAE"}')
    fails(tmp_path, "inspect", run, code=4, told=("report.json is damaged",))


# --- commands ---

GOOD, RUN, OUT = "good.csv", "run", "out"  # stand for paths
COMMANDS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "an unknown command": (("fitt",), 2, ("Did you mean 'fit'",)),
    "an option before the command": (("--quiet", "list"), 2, ("options go after the command",)),
    "an unknown model": (("fit", "vea", GOOD, "-o", OUT), 2, ("unknown model 'vea'. Did you mean 'vae'",)),
    "no model": (("fit", GOOD, "-o", OUT), 2, ("Write: engram fit NAME SOURCE -o RUN",)),
    "an option before the model": (("fit", "-o", OUT, "vae", GOOD), 2, ("options go after NAME and SOURCE",)),
    "an unknown flag": (("fit", "vae", GOOD, "-o", OUT, "--code-sise", "3"), 2, ("Did you mean '--code-size'?",)),
    "a text for a number": (("fit", "vae", GOOD, "-o", OUT, "--code-size", "x"), 2, ("--code-size", "N|auto")),
    "a number out of range": (("fit", "vae", GOOD, "-o", OUT, "--dropout", "2"), 2, ("less than 1",)),
    "no choice": (("fit", "vae", GOOD, "-o", OUT, "--corruption", "gausian"), 2, ("--corruption", "gaussian")),
    "a bad duration": (("fit", "vae", GOOD, "-o", OUT, "--max-time", "soon"), 2, ("is not a duration",)),
    "a bad seed": (("fit", "vae", GOOD, "-o", OUT, "--seed", "-1"), 2, ("--seed",)),
    "no device": (("fit", "vae", GOOD, "-o", OUT, "--device", "abacus"), 2, ("no device",)),
    "a network for pictures": (("fit", "vae", GOOD, "-o", OUT, "--network", "conv"), 2, ("needs pictures",)),
    "a kind that does not fit": (("fit", "vae", GOOD, "-o", OUT, "--kind", "images"), 3, ("cannot be images",)),
    "no source": (("fit", "vae", "-o", OUT), 2, ("Missing argument 'SOURCE'",)),
    "no output": (("fit", "vae", GOOD), 2, ("Missing option '-o RUN'",)),
    "two wishes": (("fit", "vae", GOOD, "-o", OUT, "--force", "--resume"), 2, ("give one of them",)),
    "nothing to resume": (("fit", "vae", GOOD, "-o", OUT, "--resume"), 4, ("to resume",)),
    "an unknown label": (("fit", "vae", GOOD, "-o", OUT, "--label", "citty"), 2, ("Did you mean 'city'?",)),
    "an unknown column to drop": (("fit", "vae", GOOD, "-o", OUT, "--drop", "agge"), 2, ("Did you mean 'age'?",)),
    "all columns dropped": (
        ("fit", "vae", GOOD, "-o", OUT, "--drop", "age", "--drop", "income", "--drop", "city"),
        3,
        ("no column can be learned from",),
    ),
    "a column without type": (("fit", "vae", GOOD, "-o", OUT, "--column", "age"), 2, ("NAME=TYPE",)),
    "a column of no type": (("fit", "vae", GOOD, "-o", OUT, "--column", "age=nummer"), 2, ("Did you mean 'number'",)),
    "a type that does not fit": (
        ("fit", "vae", GOOD, "-o", OUT, "--column", "city=number"),
        3,
        ("'city' holds numbers",),
    ),
    "an existing folder": (("fit", "vae", GOOD, "-o", RUN), 4, ("exists already", "--force")),
    "an existing file": (("fit", "vae", GOOD, "-o", GOOD), 4, ("exists already",)),
    "a folder that is no run": (("fit", "vae", GOOD, "-o", ".", "--force"), 4, ("is not a run folder",)),
    "a run inside a file": (("fit", "vae", GOOD, "-o", f"{GOOD}/run"), 4, ("is a file",)),
    "apply without output": (("apply", RUN, GOOD), 2, ("Missing option '-o FILE'",)),
    "apply to an unknown suffix": (("apply", RUN, GOOD, "-o", "c.xlsx"), 2, (".csv, .parquet or .npy",)),
    "apply to no suffix": (("apply", RUN, GOOD, "-o", OUT), 2, ("no suffix",)),
    "apply to a missing folder": (("apply", RUN, GOOD, "-o", "no/c.csv"), 2, ("there is no folder",)),
    "apply to a folder": (("apply", RUN, GOOD, "-o", "dir.csv"), 2, ("is a folder",)),
    "apply to an existing file": (("apply", RUN, GOOD, "-o", GOOD), 2, ("exists already", "--force")),
    "apply for nothing known": (("apply", RUN, GOOD, "-o", "c.csv", "--get", "code"), 2, ("codes",)),
    "apply texts as npy": (("apply", RUN, GOOD, "-o", "c.npy", "--get", "reconstruction"), 2, ("'city'", ".parquet")),
    "apply labels as npy": (("apply", RUN, GOOD, "-o", "c.npy", "--label", "city"), 2, ("--label",)),
    "sample without n": (("sample", RUN), 2, ("Missing option",)),
    "sample nothing": (("sample", RUN, "-n", "0"), 2, ("0 is not a number from 1",)),
    "sample less than nothing": (("sample", RUN, "-n", "-3"), 2, ("-3 is not a number from 1",)),
    "sample a picture of a table": (("sample", RUN, "-n", "3", "-o", "s.png"), 2, (".csv, .parquet or .npy",)),
    "evaluate by no metric": (("evaluate", RUN, GOOD, "--metric", "aurok"), 2, ("Did you mean 'auroc'?",)),
    "evaluate to another file": (("evaluate", RUN, GOOD, "-o", "r.pdf"), 2, (".html or .json",)),
    "list of nothing known": (("list", "modles"), 2, ("models",)),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_cannot_be_done(tmp_path: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    good().to_csv(GOOD, index=False)
    shutil.copytree(fitted, RUN)
    Path("dir.csv").mkdir()
    args, code, told = COMMANDS[name]
    fails(tmp_path, *args, *(["--quiet"] if args[0] == "evaluate" else []), code=code, told=told)


def test_an_error_while_fitting_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = table(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr("engram.models.model.train", fail)
    fails(tmp_path, "fit", "vae", source, "-o", tmp_path / "a" / "run", "--quiet", code=1, told=("disk is on fire",))


def test_divergence_has_its_own_exit_code_and_leaves_nothing(tmp_path: Path):
    source = table(tmp_path)
    args = ("fit", "autoencoder", source, "-o", tmp_path / "run", "--learning-rate", "1e30", "--quiet")
    fails(tmp_path, *args, "--hidden", "9,9", "--max-epochs", "200", code=7, told=("diverged",))
