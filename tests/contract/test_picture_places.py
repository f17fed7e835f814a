"""Archives, the cache of decoded pictures, and picture folders in fit, apply and evaluate."""

from __future__ import annotations

import json
import multiprocessing
import os
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import engram
from engram.cli import program
from engram.data import DataWarning, Images, as_kind, picture_cache, picture_files, picture_places
from engram.errors import DataError

rng = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def make(
    folder: Path, n: int = 3, *, suffix: str = "png", channels: int = 3, size: tuple[int, int] = (6, 9)
) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = rng.integers(0, 256, (n, *size, channels)).astype(np.uint8)
    arrays = arrays[..., 0] if channels == 1 else arrays
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:03}.{suffix}")
    return arrays


# --- archives ---


def packed(path: Path, folder: Path, more: dict[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for one in sorted(folder.rglob("*.*")):
            file.write(one, one.relative_to(folder).as_posix())
        for name, content in (more or {}).items():
            file.writestr(name, content)
    return path


def test_an_archive_reads_as_its_folder(tmp_path: Path):
    for label in "ab":
        make(tmp_path / "photos" / label)
    archive = packed(tmp_path / "photos.zip", tmp_path / "photos", {"__MACOSX/a/._000.png": b"junk"})
    before = sorted(tmp_path.rglob("*"))
    found, expected = Images.from_folder(archive, cache=False), Images.from_folder(tmp_path / "photos", cache=False)
    assert np.array_equal(found.raw, expected.raw)
    assert (found.names, found.labels.tolist()) == (expected.names, expected.labels.tolist())
    assert sorted(tmp_path.rglob("*")) == before


def test_odd_members_of_an_archive_are_skipped_and_nothing_is_unpacked(tmp_path: Path):
    make(tmp_path / "photos", 1)
    picture = (tmp_path / "photos" / "000.png").read_bytes()
    names = ("../out.png", "a/../../out.png", "/etc/out.png", "C:\\out.png", "a\\..\\..\\out.png")
    archive = packed(tmp_path / "odd.zip", tmp_path / "photos", dict.fromkeys(names, picture))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.bmp", bytes(5_000_000))
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr(zipfile.ZipInfo("slow.png"), picture, zipfile.ZIP_LZMA)
        file.writestr("cut.png", picture[:-40])
    with pytest.warns(DataWarning, match="9 of 10 files in 'odd.zip' were skipped"):
        found = Images.from_folder(archive)
    assert found.names == ["000.png"]
    reasons = {name.replace("\\", "/"): reason for name, reason in found.skipped.items()}
    for name in names:
        assert "leads out of the archive" in reasons[name.replace("\\", "/")]
    assert "200 times" in reasons["bomb.bmp"]
    assert reasons["link.png"] == "a link"
    assert "deflate" in reasons["slow.png"]
    assert "damaged" in reasons["cut.png"]
    assert not list(tmp_path.rglob("out.png"))


def test_a_member_that_lies_about_its_size_is_skipped(tmp_path: Path):
    make(tmp_path / "photos", 2)
    archive = packed(tmp_path / "a.zip", tmp_path / "photos", {"zz.bmp": os.urandom(1000) + bytes(100_000)})
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 1100)  # 100 times what it says
    archive.write_bytes(content)
    with pytest.warns(DataWarning, match=r"'zz\.bmp': damaged"):
        assert len(Images.from_folder(archive).raw) == 2


def test_archives_that_are_none_or_hold_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(tmp_path / "photos", 3)
    archive = packed(tmp_path / "a.zip", tmp_path / "photos")
    (tmp_path / "b.zip").write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match="no archive that can be read"):
        Images.from_folder(tmp_path / "b.zip")
    monkeypatch.setattr(picture_places, "MOST_DIRECTORY", 100)
    with pytest.raises(DataError, match="table of contents"):
        Images.from_folder(archive)
    monkeypatch.undo()
    monkeypatch.setattr(picture_places, "MOST_MEMBERS", 2)
    with pytest.raises(DataError, match="holds 3 files, more than 2"):
        Images.from_folder(archive, cache=False)


# --- the cache ---


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the name of every file that is decoded."""
    seen: list[str] = []
    decoded = picture_files.decoded

    def noted(file: Any, *args: Any) -> Any:
        seen.append(file.name)
        return decoded(file, *args)

    monkeypatch.setattr(picture_files, "decoded", noted)
    return seen


def test_pictures_are_decoded_once_until_something_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    expected, seen = make(tmp_path / "photos"), decodings(monkeypatch)
    first = Images.from_folder(tmp_path / "photos")
    assert len(seen) == 3
    again = Images.from_folder(tmp_path / "photos")
    assert len(seen) == 3
    for found in (first.raw, again.raw):
        assert isinstance(found, np.memmap)
        assert found.mode == "r"
        assert np.array_equal(found, expected)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]
    assert np.array_equal(np.load(next(cache.glob("*.npy"))), expected)
    Images.from_folder(tmp_path / "photos", size=4, resize="crop")  # another wish
    os.utime(tmp_path / "photos" / "000.png", (1, 1))  # another version
    Images.from_folder(tmp_path / "photos")
    (tmp_path / "photos" / "002.png").rename(tmp_path / "photos" / "009.png")  # another name
    assert Images.from_folder(tmp_path / "photos").names == ["000.png", "001.png", "009.png"]
    assert len(seen) == 12


def test_what_is_said_of_pictures_is_said_from_the_cache_too(tmp_path: Path):
    make(tmp_path / "photos", 2)
    make(tmp_path / "photos" / "grey", 1, channels=1)
    (tmp_path / "photos" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told = []
    for _ in range(2):
        with pytest.warns(DataWarning):
            found = Images.from_folder(tmp_path / "photos")
        told.append((found.notes, found.names, found.skipped, found.labels.tolist()))
    assert told[0] == told[1]
    assert len(told[0][0]) == 2


@pytest.mark.parametrize(
    "damage", ["array cut", "array gone", "facts gone", "facts damaged", "facts of others", "pickle"]
)
def test_an_entry_that_is_not_whole_is_made_anew(tmp_path: Path, cache: Path, damage: str):
    expected = make(tmp_path / "photos")
    Images.from_folder(tmp_path / "photos")
    array, facts = next(cache.glob("*.npy")), next(cache.glob("*.json"))
    if damage == "array cut":
        array.write_bytes(array.read_bytes()[:-7])
    elif damage == "pickle":
        np.save(array, np.array([{}], dtype=object), allow_pickle=True)
    elif damage.endswith("gone"):
        (array if "array" in damage else facts).unlink()
    else:
        facts.write_text("{" if "damaged" in damage else json.dumps({"skipped": [[7, "x"]], "notes": {}}))
    assert np.array_equal(Images.from_folder(tmp_path / "photos").raw, expected)
    assert np.array_equal(np.load(array), expected)


def forked(work: Callable[[], None]) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_a_killed_writer_leaves_is_ignored_and_removed_later(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    expected, ready, decoded = make(tmp_path / "photos"), tmp_path / "ready", picture_files.decoded

    def slow(file: Any, *args: Any) -> Any:
        if file.name == "002.png":
            ready.touch()
            time.sleep(60)
        return decoded(file, *args)

    monkeypatch.setattr(picture_files, "decoded", slow)
    writer = forked(lambda: Images.from_folder(tmp_path / "photos"))
    while not ready.exists():
        assert writer.is_alive()
        time.sleep(0.01)
    writer.kill()
    writer.join()
    monkeypatch.setattr(picture_files, "decoded", decoded)
    left = list(cache.iterdir())
    assert [path.suffix for path in left] == [".tmp"]
    assert np.array_equal(Images.from_folder(tmp_path / "photos").raw, expected)
    os.utime(left[0], (1, 1))
    Images.from_folder(tmp_path / "photos", size=3, resize="crop")
    assert not left[0].exists()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_at_once_agree(tmp_path: Path, cache: Path):
    expected = make(tmp_path / "photos", 40, size=(40, 40))

    def read() -> None:
        found = Images.from_folder(tmp_path / "photos").raw
        sys.exit(int(not (isinstance(found, np.memmap) and np.array_equal(found, expected))))

    readers = [forked(read) for _ in range(4)]
    for reader in readers:
        reader.join()
    assert [reader.exitcode for reader in readers] == [0] * 4
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_without_a_place_for_the_cache_pictures_are_decoded_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = make(tmp_path / "photos")
    alpha = np.dstack([expected[0], np.full(expected[0].shape[:2], 255, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "photos" / "000.png")
    (tmp_path / "file").touch()
    for value in (str(tmp_path / "file"), "off"):
        monkeypatch.setenv("ENGRAM_CACHE", value)
        found = Images.from_folder(tmp_path / "photos").raw
        assert not isinstance(found, np.memmap)
        assert np.array_equal(found, expected)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        picture_cache, "_finish", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    assert np.array_equal(Images.from_folder(tmp_path / "photos").raw, expected)
    assert list((tmp_path / "cache" / "pictures").iterdir()) == []
    monkeypatch.undo()
    assert isinstance(Images.from_folder(tmp_path / "photos", cache=tmp_path / "own").raw, np.memmap)
    assert len(list((tmp_path / "own").glob("*.npy"))) == 1


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    entries = []
    for i in range(3):
        make(tmp_path / str(i), 1)
        Images.from_folder(tmp_path / str(i))
        entries.append(max(cache.glob("*.npy"), key=lambda path: path.stat().st_ctime_ns))
        os.utime(entries[-1], (100 + i, 100 + i))
    Images.from_folder(tmp_path / "0")  # used again
    monkeypatch.setattr(picture_cache, "LIMIT", 3 * entries[0].stat().st_size)
    make(tmp_path / "3", 1)
    Images.from_folder(tmp_path / "3")
    assert [path.exists() for path in entries] == [True, False, True]
    assert [path.with_suffix(".json").exists() for path in entries] == [True, False, True]


# --- learning from them ---


def test_a_model_reads_new_files_as_those_it_was_fitted_on(tmp_path: Path):
    make(tmp_path / "photos", 12, size=(20, 30))
    model = engram.create("autoencoder", max_epochs=1, code_size=2, random_state=0)
    model.fit(Images(tmp_path / "photos", size=(8, 10), resize="crop"))
    assert model.kind_.shape == (3, 8, 10)
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    grey = make(tmp_path / "new", 2, channels=1, size=(50, 40))
    Image.fromarray(grey[0].astype(np.uint16) * 257).save(tmp_path / "new" / "000.png")
    with pytest.warns(DataWarning, match=r"grey turned into RGB \(2 pictures\)"):
        source = again.kind_.read(tmp_path / "new")
    assert source.rows.shape == (2, 8, 10, 3)
    assert source.rows.dtype == np.uint8
    expected = Images.from_folder(tmp_path / "new" / "001.png", size=(8, 10), resize="crop").raw[0]
    assert np.array_equal(source.rows[1], np.dstack([expected] * 3))
    with pytest.warns(DataWarning):
        assert np.array_equal(model.transform(tmp_path / "new"), again.transform(source.rows))
    files = sorted((tmp_path / "photos").iterdir())
    assert np.array_equal(model.transform(files), model.transform(tmp_path / "photos"))
    assert "cropped to this size" in again.kind_.describe()[0][1]


def test_a_grey_model_and_a_float_model_take_colours_and_bytes(tmp_path: Path):
    make(tmp_path / "new", 2)
    grey = Images().fit(np.zeros((3, 6, 9), np.uint8))
    with pytest.warns(DataWarning, match="colour turned into grey"):
        found = grey.read(tmp_path / "new").rows
    expected = [np.asarray(Image.open(path).convert("L")) for path in sorted((tmp_path / "new").iterdir())]
    assert np.abs(found.astype(int) - expected).max() <= 1
    unit = Images().fit(np.random.default_rng(0).random((3, 6, 9, 3)))
    found = unit.read(tmp_path / "new").rows
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    with pytest.raises(DataError, match="5 x 5 is expected"):
        Images().fit(np.zeros((3, 5, 5), np.uint8)).read(tmp_path / "new")


def test_a_mapped_array_is_not_copied_before_its_blocks_are_encoded(tmp_path: Path):
    make(tmp_path / "photos")
    kind, raw = as_kind(str(tmp_path / "photos"))
    conformed = kind.fit(raw).conform(raw)
    assert np.shares_memory(conformed, raw)
    before = np.array(raw)
    assert kind.encode(conformed[:2]).x.shape == (2, 3, 6, 9)
    assert np.array_equal(raw, before)
    floats = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    given = floats.copy()
    Images().fit(floats).encode(Images().fit(floats).conform(floats))
    assert np.array_equal(floats, given)


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(program, [str(arg) for arg in args])
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def test_a_folder_of_photos_on_the_command_line(tmp_path: Path):
    for label, size in (("tall", (40, 30)), ("wide", (30, 40))):
        make(tmp_path / "photos" / label, 15, suffix="jpg", size=size)
    good = (tmp_path / "photos" / "wide" / "000.jpg").read_bytes()
    (tmp_path / "photos" / "wide" / "bad.jpg").write_bytes(good[:-300])
    photos, folder = tmp_path / "photos", tmp_path / "run"
    quick = ("--max-epochs", "1", "--code-size", "2", "--quiet")
    told = run("fit", "autoencoder", photos, "-o", folder, *quick, code=3).stderr
    assert "15 of 40 x 30" in told
    assert "--size 30 --resize crop" in told
    assert "--size" in run("fit", "autoencoder", photos, "-o", folder, "--resize", "crop", code=2).stderr
    assert "no size" in run("fit", "autoencoder", photos, "-o", folder, "--size", "big", code=2).stderr
    assert "picture files" in run("fit", "autoencoder", "digits", "-o", folder, "--size", "8", code=2).stderr
    dry = json.loads(
        run("fit", "autoencoder", photos, "--size", "32x24", "--resize", "pad", "--dry-run", "--json").stdout
    )
    assert dry["result"]["encoded_row"] == [3, 32, 24]
    done = run("fit", "autoencoder", photos, "-o", folder, "--size", 32, "--resize", "crop", *quick)
    assert "1 of 31 files in 'photos' was skipped ('wide/bad.jpg': damaged" in done.stderr
    assert (folder / "code-map.png").exists()
    assert "skipped" in json.loads((folder / "config.json").read_text())["findings"][0]["message"]
    assert json.loads((folder / "kind.json").read_text())["state"]["resize"] == "crop"
    run("apply", folder, photos, "-o", tmp_path / "codes.csv")
    codes = pd.read_csv(tmp_path / "codes.csv")
    assert list(codes) == ["file", "code0", "code1"]
    assert codes.file.tolist() == [f"{label}/{i:03}.jpg" for label in ("tall", "wide") for i in range(15)]
    run("apply", folder, photos / "wide" / "003.jpg", "-o", tmp_path / "one.csv")
    assert np.allclose(pd.read_csv(tmp_path / "one.csv").code0, codes.code0[18], rtol=1e-5)
    run("apply", folder, photos, "--get", "reconstruction", "-o", tmp_path / "back.npy")
    assert np.load(tmp_path / "back.npy").shape == (30, 32, 32, 3)
    told = run("evaluate", folder, photos, "--train", photos).stderr
    assert "held out" in told or "judging" in told
