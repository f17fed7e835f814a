"""Rows that do not fit into memory, in small: streamed rows give what the same rows give in memory, and apply goes on after any kill."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from commands import engram

import engram as library
from engram.cli import output, pieces, program
from engram.data import picture_stream, stream
from engram.data.images import Images
from engram.data.picture_stream import PictureStream
from engram.data.rows import Rows
from engram.data.stream import RowStream
from engram.training import staging

N, GROUP, PIECE = 700, 90, 128
QUICK = ("--max-epochs", "2", "--hidden", "8", "--code-size", "2")


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    common = random.normal(size=N)
    frame = pd.DataFrame({"age": 40 + 10 * common, "income": 3000 + 800 * common + 100 * random.normal(size=N)})
    frame["city"] = random.choice(["Lima", "Oslo", "Rome"], N)
    frame["children"] = random.poisson(2, N)
    frame["fraud"] = (np.arange(N) % 10 == 0).astype(int)
    frame.loc[::7, "age"] = np.nan
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with t.parquet, a run on it, and what is computed of all its rows in memory."""
    folder = tmp_path_factory.mktemp("streams")
    table().to_parquet(folder / "t.parquet", row_group_size=GROUP)
    engram("fit", "autoencoder", folder / "t.parquet", "-o", folder / "run", "--label", "fraud", *QUICK)
    for get in ("codes", "scores", "reconstruction"):
        for suffix in ("csv", "parquet"):
            apply(folder, f"whole-{get}.{suffix}", get)
    apply(folder, "whole-codes.npy", "codes", label=False)
    return folder


def apply(home: Path, name: str | Path, get: str = "scores", *more: str, label: bool = True, code: int = 0) -> Result:
    labels = ("--label", "fraud") if label else ()
    return engram("apply", home / "run", home / "t.parquet", "-o", home / name, "--get", get, *labels, *more, code=code)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is too large for memory."""
    monkeypatch.setattr(stream, "STREAMED_FROM", 0)
    monkeypatch.setattr(stream, "CHUNK", 64)
    monkeypatch.setattr(pieces, "ROWS", (16, PIECE))
    monkeypatch.setattr(picture_stream, "STREAMED_FROM", 0)


# --- rows ---


def test_slices_and_samples_of_a_stream_are_the_rows_of_the_file(home: Path, small: None) -> None:
    whole = table()
    rows = RowStream(home / "t.parquet")
    random = np.random.default_rng(1)
    for excluded in ([], [0, 1, 5], random.permutation(N)[:300], range(80, 200)):
        some, rest = rows.without(np.array(excluded, dtype=int)), whole.drop(index=list(excluded))
        assert some.shape == rest.shape
        for start, stop in [(0, 10), (10, 30), (400, 500), (5, 6), (0, N), (395, N), (N, N + 5)]:
            pd.testing.assert_frame_equal(some[start:stop], rest[start:stop], check_dtype=start < len(rest))
        numbers, sample = some.sample(50, seed=3)
        pd.testing.assert_frame_equal(sample, rest.loc[numbers])
        assert not set(numbers) & set(excluded)
        pd.testing.assert_frame_equal(pd.concat([frame for _, frame in some.chunks()]), rest)


def test_slices_and_samples_of_a_picture_stream_are_the_pictures(small: None) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (100, 9, 7, 3), dtype=np.uint8)
    excluded = np.array([0, 3, 4, 50, 99])
    some, rest = PictureStream(pictures).without(excluded), np.delete(pictures, excluded, 0)
    assert some.shape == rest.shape
    for start, stop in [(0, 10), (40, 60), (0, 100), (94, 95)]:
        assert np.array_equal(some[start:stop], rest[start:stop])
    numbers = some.shuffled(np.random.default_rng(0))
    assert np.array_equal(np.sort(numbers), np.setdiff1d(np.arange(100), excluded))
    assert not np.array_equal(np.sort(numbers), numbers)
    chosen, found = some.sample(20)
    assert np.array_equal(found, pictures[chosen])


# --- apply ---


@pytest.mark.parametrize("get", ["codes", "scores", "reconstruction"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_streamed_rows_give_what_they_give_in_memory(home: Path, small: None, get: str, suffix: str) -> None:
    name = f"streamed-{get}.{suffix}"
    assert f"of {N} rows" in apply(home, name, get).stderr
    streamed, whole = home / name, home / f"whole-{get}.{suffix}"
    if suffix == "csv":
        assert streamed.read_bytes() == whole.read_bytes()
    else:
        pd.testing.assert_frame_equal(pd.read_parquet(streamed), pd.read_parquet(whole))
    assert not (home / f".{name}.parts").exists()


def test_arrays_and_standard_output_are_streamed_too(home: Path, small: None) -> None:
    apply(home, "streamed.npy", "codes", label=False)
    assert (home / "streamed.npy").read_bytes() == (home / "whole-codes.npy").read_bytes()
    shown = engram("apply", home / "run", home / "t.parquet", "-o", "-", "--get", "scores", "--label", "fraud")
    assert shown.stdout_bytes == (home / "whole-scores.csv").read_bytes()


def test_labels_with_holes_are_of_one_form_in_all_pieces(home: Path, small: None) -> None:
    frame = table()
    frame["fraud"] = frame["fraud"].astype("Int64").mask(frame.index < N // 2)  # the first pieces hold none
    frame.to_parquet(home / "holes.parquet", row_group_size=GROUP)
    out = home / "holes-out.parquet"
    engram("apply", home / "run", home / "holes.parquet", "-o", out, "--label", "fraud")
    found = pd.read_parquet(out)["fraud"]
    assert found.isna().sum() == N // 2
    assert np.array_equal(found.dropna(), frame["fraud"].dropna())


def test_pieces_of_other_types_become_one_file(tmp_path: Path) -> None:
    """A column can be all holes, numbers, or numbers and texts (values that explanations name) in a piece."""
    pieces_of: list[list[object]] = [[None, None], [1.5, 2.0], ["red", 3.0], [4.0, None]]
    parts = [tmp_path / f"{i}" for i in range(len(pieces_of))]
    for i, (part, cells) in enumerate(zip(parts, pieces_of, strict=True)):
        rows = pd.DataFrame({"value": pd.Series(cells, dtype=object), "n": [i, None] if i % 2 else [i, i]})
        output.save_part(rows, part, ".parquet", first=i == 0)
    output.join_parts(parts, tmp_path / "whole", ".parquet")
    found = pd.read_parquet(tmp_path / "whole")
    assert found["value"].astype(object).where(found["value"].notna(), None).tolist() == [
        *(None, None, "1.5", "2.0", "red", "3.0", "4.0", None)
    ]
    assert found["n"].isna().sum() == 2
    assert found["n"].dropna().tolist() == [0, 0, 1, 2, 2, 3]


def test_what_was_left_out_is_told_once_for_all_pieces(home: Path, small: None) -> None:
    frame = table()
    frame["city"] = "Atlantis"
    frame.to_parquet(home / "new.parquet", row_group_size=GROUP)
    told = engram("apply", home / "run", home / "new.parquet", "-o", home / "new.csv").stderr
    assert told.count("note:") == 1
    assert f"({N} cells)" in told


class PlugPulledError(BaseException):
    """The machine is off: no clean-up runs."""


def steps(monkeypatch: pytest.MonkeyPatch, dies_at: int) -> list[str]:
    """Let the work die before or after a step that changes the disk; return the steps that were taken."""
    taken: list[str] = []

    def guarded(name: str, function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            for moment in ("before", "after"):
                taken.append(f"{moment} {name}")
                if len(taken) > dies_at:
                    raise PlugPulledError
                if moment == "before":
                    found = function(*args, **options)
            return found

        return call

    monkeypatch.setattr(pieces, "save_part", guarded("part", output.save_part))
    monkeypatch.setattr(pieces, "join_parts", guarded("join", output.join_parts))
    monkeypatch.setattr(staging, "put", guarded("count", staging.put))
    monkeypatch.setattr(Path, "replace", guarded("rename", Path.replace))
    return taken


def test_a_kill_at_any_step_leaves_something_to_go_on_with(
    home: Path, small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = (home / "whole-scores.csv").read_bytes()
    out = tmp_path / "out.csv"
    dies_at, alive = 0, False
    while not alive:
        with monkeypatch.context() as patch:
            steps(patch, dies_at)
            alive = CliRunner().invoke(program, command(home, out)).exit_code == 0
        if not alive:
            assert not out.exists() or out.read_bytes() == expected  # nothing half-written
            begun = (tmp_path / ".out.csv.parts" / "progress.json").exists()
            engram(*command(home, out), *(["--resume"] if begun else []))
        assert out.read_bytes() == expected
        assert {p.name for p in tmp_path.iterdir()} == {"out.csv"}
        out.unlink()
        dies_at += 1
    assert dies_at > 4 * N // PIECE


def command(home: Path, out: Path) -> list[str]:
    return [
        *("apply", str(home / "run"), str(home / "t.parquet")),
        *("-o", str(out), "--get", "scores", "--label", "fraud"),
    ]


def interrupted(home: Path, out: Path, *more: str, after: int = 2) -> None:
    """Leave a work after some pieces, as a kill does."""
    with pytest.MonkeyPatch.context() as patch:
        steps(patch, 8 * after - 1)
        assert CliRunner().invoke(program, [*command(home, out), *more]).exit_code != 0
    assert json.loads((out.parent / f".{out.name}.parts" / "progress.json").read_bytes())["done"] > 0


def test_a_work_is_resumed_only_by_the_same_command_on_the_same_rows(home: Path, small: None, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    given = command(home, out)
    assert "no interrupted work" in engram(*given, "--resume", code=2).stderr
    interrupted(home, out)
    kept = {p.name: p.read_bytes() for p in (tmp_path / ".out.csv.parts").iterdir() if p.name != ".lock"}
    assert "--resume" in engram(*given, code=2).stderr  # nothing is begun anew unasked
    changed = [text.replace("scores", "codes") for text in given]
    assert "--get changed" in engram(*changed, "--resume", code=2).stderr
    assert "--label changed" in engram(*given[:-2], "--resume", code=2).stderr
    engram(
        "fit", "autoencoder", home / "t.parquet", "-o", tmp_path / "other", "--label", "fraud", *QUICK, "--seed", "3"
    )
    other = [str(tmp_path / "other") if text == str(home / "run") else text for text in given]
    assert "the run changed" in engram(*other, "--resume", code=2).stderr
    table().iloc[::-1].to_parquet(tmp_path / "t.parquet", row_group_size=GROUP)
    other = [str(tmp_path / "t.parquet") if text == str(home / "t.parquet") else text for text in given]
    assert "the rows changed" in engram(*other, "--resume", code=2).stderr
    assert "give one of them" in engram(*given, "--resume", "--force", code=2).stderr
    assert kept == {p.name: p.read_bytes() for p in (tmp_path / ".out.csv.parts").iterdir() if p.name != ".lock"}
    engram(*given, "--force")
    assert out.read_bytes() == (home / "whole-scores.csv").read_bytes()
    assert not (tmp_path / ".out.csv.parts").exists()


def test_a_file_that_is_there_is_replaced_only_as_asked(home: Path, small: None, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert "exists already" in engram(*command(home, out), code=2).stderr
    interrupted(home, out, "--force")
    assert out.read_text() == "mine"
    engram(*command(home, out), "--resume")  # --force was given at the beginning
    assert out.read_bytes() == (home / "whole-scores.csv").read_bytes()
    out.unlink()
    interrupted(home, out)
    out.write_text("made in the meantime")
    assert "in the meantime" in engram(*command(home, out), "--resume", code=2).stderr
    assert out.read_text() == "made in the meantime"


def test_a_folder_that_is_no_works_is_left_alone(home: Path, small: None, tmp_path: Path) -> None:
    folder = tmp_path / ".out.csv.parts"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    for more in ([], ["--force"], ["--resume"]):
        assert "in the way" in engram(*command(home, tmp_path / "out.csv"), *more, code=2).stderr
    assert (folder / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_work_after_a_piece(
    home: Path, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    out = tmp_path / "out.csv"
    real = output.save_part

    def signalled(rows: Any, path: Path, suffix: str, *, first: bool) -> None:
        real(rows, path, suffix, first=first)
        if path.name == "part-1":
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(pieces, "save_part", signalled)
        told = engram(*command(home, out), code=code).stderr
    assert f"stopped after {2 * PIECE} of {N} rows" in told
    assert "--resume" in told
    engram(*command(home, out), "--resume")
    assert out.read_bytes() == (home / "whole-scores.csv").read_bytes()


def test_rows_that_cannot_be_used_leave_nothing(home: Path, small: None, tmp_path: Path) -> None:
    frame = table()
    frame.loc[600, "income"] = np.inf
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=GROUP)
    told = engram("apply", home / "run", tmp_path / "bad.parquet", "-o", tmp_path / "out.csv", code=3).stderr
    assert "income" in told
    assert {p.name for p in tmp_path.iterdir()} == {"bad.parquet"}


def test_rows_in_memory_have_nothing_to_resume(home: Path, tmp_path: Path) -> None:
    assert "Leave it out" in engram(*command(home, tmp_path / "out.csv"), "--resume", code=2).stderr


# --- fit ---


def test_a_streamed_file_is_fitted_judged_and_evaluated(home: Path, small: None, tmp_path: Path) -> None:
    source = home / "t.parquet"
    planned = json.loads(engram("fit", "vae", source, "--dry-run", "--label", "fraud", *QUICK, "--json").stdout)[
        "result"
    ]
    assert planned["train_rows"] + planned["validation_rows"] + planned["test_rows"] == N
    engram("fit", "vae", source, "-o", tmp_path / "run", "--label", "fraud", *QUICK)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "auroc" in {result["name"] for result in report["metrics"]}  # the labels of the test part were read
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["rows"] == N - planned["test_rows"]
    told = engram("evaluate", tmp_path / "run", source, "--label", "fraud").stderr
    assert "rows that were held out of it" in told
    assert "no such column" in engram("fit", "vae", source, "-o", tmp_path / "b", "--label", "frau", code=2).stderr


def test_validation_may_be_streamed(home: Path, small: None) -> None:
    path = str(home / "t.parquet")
    model = library.Autoencoder(code_size=2, max_epochs=1, random_state=0).fit(path, validation=path)
    assert model.data_["trained_on"] == N


# --- pictures ---


def pictures(n: int = 120) -> np.ndarray:
    height, width = np.mgrid[0:9, 0:7]
    centre = np.random.default_rng(2).uniform(2, 5, size=(2, n, 1, 1))
    grey = np.exp(-((height - centre[0]) ** 2 + (width - centre[1]) ** 2) / 6)
    return (255 * grey[..., None] * [1, 0.5, 0.2]).astype(np.uint8)


@pytest.fixture
def counted(small: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the pictures that are made into numbers of a network at once."""
    counts: list[int] = []
    real = Images.encode

    def encode(kind: Images, conformed: Any) -> Rows:
        counts.append(len(conformed))
        return real(kind, conformed)

    monkeypatch.setattr(Images, "encode", encode)
    monkeypatch.setattr(stream, "SAMPLE", 40)
    return counts


def test_mapped_pictures_are_never_taken_in_as_a_whole(counted: list[int], tmp_path: Path) -> None:
    X = pictures()
    np.save(tmp_path / "p.npy", X)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    models = [
        library.Autoencoder(network="conv", hidden=(4,), code_size=2, max_epochs=2, random_state=0).fit(given)
        for given in (mapped, X)
    ]
    assert max(counted) <= 40
    assert models[0].data_ == {"rows": 120, "trained_on": 116, "fingerprint": models[1].data_["fingerprint"]}
    pairs = zip(*(model.network_.state_dict().values() for model in models), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    counted.clear()
    engram("fit", "autoencoder", tmp_path / "p.npy", "-o", tmp_path / "run", *QUICK)
    assert max(counted) <= 40


def test_streamed_pictures_are_the_same_numbers(counted: list[int], tmp_path: Path) -> None:
    X = pictures()
    model = library.Autoencoder(network="conv", hidden=(4,), code_size=2, max_epochs=1, random_state=0).fit(X)
    kind: Any = model.kind_
    parts = [kind.encode(kind.conform(PictureStream(X)[at : at + 50])).x for at in (0, 50, 100)]
    assert torch.equal(torch.cat(parts), kind.encode(kind.conform(X)).x)
    assert torch.equal(torch.cat(parts), torch.from_numpy(X.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)))
    assert np.array_equal(model.transform(PictureStream(X)), model.transform(X))
    model.save(tmp_path / "run")
    np.save(tmp_path / "p.npy", X)
    engram("apply", tmp_path / "run", tmp_path / "p.npy", "-o", tmp_path / "back.npy", "--get", "reconstruction")
    assert np.array_equal(np.load(tmp_path / "back.npy"), model.reconstruct(X))
    engram("apply", tmp_path / "run", tmp_path / "p.npy", "-o", tmp_path / "back.png", "--get", "reconstruction")
