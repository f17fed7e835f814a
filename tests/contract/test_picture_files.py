"""Pictures from files: every format and depth comes back as it was saved, odd files are named and skipped, nothing else happens."""

from __future__ import annotations

import json
import os
import resource
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import engram as command
from PIL import Image

import engram
from engram.data import DataWarning, Images, as_kind, read
from engram.errors import DataError, UsageError

rng = np.random.default_rng(0)
HIGH, WIDE = 6, 9


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def bytes_(channels: int = 3, size: tuple[int, int] = (HIGH, WIDE)) -> np.ndarray:
    found = rng.integers(0, 256, (*size, channels)).astype(np.uint8)
    return found[:, :, 0] if channels == 1 else found


def save(path: Path, array: np.ndarray | Image.Image, **settings: Any) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(path, **settings)
    return np.asarray(array)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int, height: int, depth: int, colour: int, pixels: bytes, *, before: bytes = b"", after: bytes = b""
) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(pixels, 9)) + after + chunk(b"IEND", b"")


def quietly(*args: Any, **settings: Any) -> Images:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return Images.from_folder(*args, **settings)


# --- formats, modes and depths ---

LOSSLESS: dict[str, tuple[Any, dict[str, Any]]] = {
    "grey.png": (bytes_(1), {}),
    "colour.png": (bytes_(3), {}),
    "alpha.png": (bytes_(4), {}),
    "grey.tif": (bytes_(1), {}),
    "colour.tif": (bytes_(3), {}),
    "packed.tiff": (bytes_(3), {"compression": "tiff_lzw"}),
    "alpha.tif": (bytes_(4), {}),
    "grey.bmp": (bytes_(1), {}),
    "colour.bmp": (bytes_(3), {}),
    "colour.webp": (bytes_(3), {"lossless": True, "exact": True}),
    "alpha.webp": (bytes_(4), {"lossless": True, "exact": True}),
    "16-bit.png": (rng.integers(0, 65536, (HIGH, WIDE)).astype(np.uint16), {}),
    "16-bit.tif": (rng.integers(0, 65536, (HIGH, WIDE)).astype(np.uint16), {}),
    "float.tif": (rng.normal(size=(HIGH, WIDE)).astype(np.float32), {}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_file_comes_back_as_it_was_saved(photos: Path, name: str):
    array, settings = LOSSLESS[name]
    save(photos / name, array, **settings)
    found = Images.from_folder(photos)
    assert found.raw.dtype == array.dtype
    assert found.raw.shape == (1, *array.shape)
    assert np.array_equal(found.raw[0], array)
    assert found.names == [name]


def test_other_modes_come_as_grey_or_colour(photos: Path):
    colour, grey = Image.fromarray(bytes_(3)), Image.fromarray(bytes_(1))
    for suffix in ("png", "tif", "bmp"):
        save(photos / "1" / f"a.{suffix}", grey.convert("1"))
        save(photos / "palette" / f"a.{suffix}", colour.convert("P"))
    save(photos / "grey palette" / "a.png", grey.convert("P"))
    save(photos / "grey and alpha" / "a.png", Image.merge("LA", [grey, grey.point(lambda v: v // 2)]))
    save(photos / "32-bit" / "a.tif", Image.fromarray(np.arange(-9, 45, dtype=np.int32).reshape(HIGH, WIDE)))
    assert set(np.unique(Images.from_folder(photos / "1").raw)) == {0, 255}
    assert np.array_equal(Images.from_folder(photos / "palette").raw[0], np.asarray(colour.convert("P").convert("RGB")))
    assert np.array_equal(Images.from_folder(photos / "grey palette").raw[0], np.asarray(grey))
    found = quietly(photos / "grey and alpha").raw[0]
    assert np.array_equal(found, np.dstack([np.asarray(grey)] * 3 + [np.asarray(grey) // 2]))
    found = Images.from_folder(photos / "32-bit").raw
    assert found.dtype == np.float32
    assert found[0, 0, 0] == -9


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_comes_back_nearly(photos: Path, mode: str):
    smooth = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    picture = Image.fromarray(np.dstack([smooth, smooth.T.reshape(48, 64), smooth[::-1]])).convert(mode)
    save(photos / "a.jpg", picture, quality=98)
    found = quietly(photos)
    expected = np.asarray(Image.open(photos / "a.jpg").convert("L" if mode == "L" else "RGB"))
    assert np.array_equal(found.raw[0], expected)
    assert found.notes == (("CMYK turned into RGB (1 picture)",) if mode == "CMYK" else ())


def test_16_bit_colour_is_read_and_what_it_loses_is_said(photos: Path):
    deep = rng.integers(0, 65536, (HIGH, WIDE, 3)).astype(">u2")
    pixels = b"".join(b"\0" + row.tobytes() for row in deep)
    (photos / "deep.png").write_bytes(png(WIDE, HIGH, 16, 2, pixels))
    with pytest.warns(DataWarning, match=r"16-bit colour .* read as 8-bit.*\(1 picture\)"):
        found = Images.from_folder(photos)
    assert np.array_equal(found.raw[0], deep // 256)


def test_alpha_is_kept_only_where_a_picture_uses_it(photos: Path):
    opaque = bytes_(4)
    opaque[:, :, 3] = 255
    save(photos / "a.png", opaque)
    save(photos / "b.png", bytes_(3))
    assert Images.from_folder(photos).raw.shape == (2, HIGH, WIDE, 3)
    clear = save(photos / "c.png", bytes_(4))
    found = Images.from_folder(photos).raw
    assert found.shape == (3, HIGH, WIDE, 4)
    assert np.array_equal(found[2], clear)
    assert (found[:2, :, :, 3] == 255).all()


def test_grey_becomes_colour_among_colour_and_8_bit_becomes_16_bit_among_16_bit(photos: Path):
    grey, colour = save(photos / "a.png", bytes_(1)), save(photos / "b.png", bytes_(3))
    with pytest.warns(DataWarning, match=r"grey turned into RGB \(1 picture\)"):
        found = Images.from_folder(photos).raw
    assert np.array_equal(found, [np.dstack([grey] * 3), colour])
    deep = save(photos / "b.png", np.full((HIGH, WIDE), 1000, np.uint16))
    assert np.array_equal(Images.from_folder(photos).raw, [grey.astype(np.uint16) * 257, deep])


def test_floating_point_and_whole_numbers_have_no_scale_in_common(photos: Path):
    save(photos / "a.tif", rng.random((HIGH, WIDE)).astype(np.float32))
    save(photos / "b.png", bytes_(1))
    with pytest.raises(DataError, match=r"'a\.tif' .* floating point .* 'b\.png'"):
        Images.from_folder(photos)


# --- orientation ---


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_every_orientation_stands_upright(photos: Path, suffix: str):
    upright = np.kron(bytes_(3, (2, 3)), np.ones((16, 16, 1), np.uint8))
    back = {  # what a camera stores, so that the tag brings it back
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    lossless = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    for orientation, stored in back.items():
        exif = Image.Exif()
        exif[274] = orientation
        save(photos / f"{orientation}.{suffix}", np.ascontiguousarray(stored), exif=exif.tobytes(), **lossless)
    found = Images.from_folder(photos).raw
    assert found.shape == (8, 32, 48, 3)
    assert np.abs(found.astype(int) - upright).max() <= (8 if suffix == "jpg" else 0)


def test_a_damaged_orientation_is_no_damaged_picture(photos: Path):
    array = save(photos / "a.png", bytes_(3), exif=b"Exif\0\0garbage garbage")
    assert np.array_equal(quietly(photos).raw[0], array)


# --- sizes ---


def test_unequal_sizes_say_which_how_many_and_what_to_write(photos: Path):
    for i in range(3):
        save(photos / f"wide{i}.png", bytes_(3, (20, 30)))
    save(photos / "tall.png", bytes_(3, (30, 20)))
    with pytest.raises(DataError) as caught:
        Images.from_folder(photos)
    told = str(caught.value)
    for words in (
        "3 of 20 x 30",
        "1 of 30 x 20 (such as 'tall.png')",
        "--size 20 --resize crop",
        "from_folder(path, size=20",
    ):
        assert words in told
    with pytest.raises(DataError, match="10 x 12 is expected"):
        Images.from_folder(photos, size=(10, 12))
    with pytest.warns(DataWarning, match=r"smaller than 20 x 30 and enlarged \(1 picture\)"):
        assert Images.from_folder(photos, size=(20, 30), resize="crop").raw.shape == (4, 20, 30, 3)


def test_crop_pad_and_resize(photos: Path):
    stripes = np.zeros((20, 60), np.uint8)
    stripes[:, 20:40], stripes[:, 40:] = 100, 200
    save(photos / "a.png", stripes)
    cropped = Images.from_folder(photos, size=10, resize="crop").raw[0]
    assert np.abs(cropped[:, 1:-1].astype(int) - 100).max() <= 1
    padded = Images.from_folder(photos, size=30, resize="pad").raw[0]
    assert (padded[:10] == 0).all()
    assert (padded[20:] == 0).all()
    assert padded[15].tolist()[::10] == [0, padded[15, 10], padded[15, 20]]
    assert padded[15, 15] == 100
    resized = Images.from_folder(photos, size=(5, 6), resize="resize").raw[0].astype(int)
    assert resized[2, 2] <= resized[2, 3] < resized[2, 5] == pytest.approx(200, abs=3)


@pytest.mark.parametrize("name", ["16-bit.tif", "float.tif", "alpha.png", "grey.png", "colour.jpg"])
@pytest.mark.parametrize("resize", ["crop", "pad", "resize"])
def test_every_depth_is_resized_within_its_range(photos: Path, name: str, resize: str):
    array = LOSSLESS[name][0] if name in LOSSLESS else bytes_(3, (64, 48))
    save(photos / name, array)
    found = quietly(photos, size=(7, 5), resize=resize).raw
    assert found.shape[1:3] == (7, 5)
    assert found.dtype == array.dtype
    assert array.dtype.kind == "u" or min(array.min(), 0) <= found.min() <= found.max() <= array.max()


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"resize": "crop"}, "needs a size"),
        ({"size": 8, "resize": "corp"}, "'crop'"),
        ({"size": 0}, "no size"),
        ({"size": 10**6}, "at most"),
        ({"formats": ["GIF"]}, "'GIF' is not read"),
        ({"max_pixels": 0}, "max_pixels"),
    ],
)
def test_wrong_wishes_are_told(photos: Path, wishes: dict[str, Any], told: str):
    save(photos / "a.png", bytes_(1))
    with pytest.raises(UsageError, match=told):
        Images.from_folder(photos, **wishes)


# --- labels, order, names ---


def test_sub_folders_are_labels_and_names_are_sorted(photos: Path):
    for name in ("b/2.png", "a/deep/1.png", "b/10.png", "top.png"):
        save(photos / name, bytes_(1))
    found = Images.from_folder(photos)
    assert found.names == ["a/deep/1.png", "b/10.png", "b/2.png", "top.png"]
    assert found.labels.tolist() == ["a", "b", "b", "."]
    assert Images.from_folder(photos / "b").labels is None
    (photos / "top.png").unlink()
    assert quietly(photos.parent).labels.tolist() == ["a", "b", "b"]  # the shared folder says nothing


def test_a_list_keeps_its_order_and_one_file_is_a_list(photos: Path):
    arrays = [save(photos / name, bytes_(1)) for name in ("a.png", "b.png")]
    paths = [photos / "b.png", str(photos / "a.png")]
    assert np.array_equal(Images.from_folder(paths).raw, arrays[::-1])
    assert np.array_equal(read(photos / "a.png").rows, arrays[:1])
    assert np.array_equal(as_kind([str(path) for path in paths])[1], arrays[::-1])


# --- what is skipped ---


def bomb(side: int = 9000) -> bytes:
    return png(side, side, 1, 0, bytes(side * (side // 8 + 1)))


def test_odd_files_are_named_and_skipped(photos: Path, tmp_path: Path):
    good = save(photos / "good.png", bytes_(3))
    content = (photos / "good.png").read_bytes()
    odd = {
        "cut.png": (content[:-60], "damaged"),
        "empty.jpg": (b"", "an empty file"),
        "text.png": (b"no picture at all", "no PNG, JPEG, WEBP, BMP or TIFF file inside"),
        "bomb.png": (bomb(), "81.0 megapixels, more than the 25 allowed"),
    }
    for name, (bad, _) in odd.items():
        (photos / name).write_bytes(bad)
    Image.new("L", (WIDE, HIGH)).save(photos / "really-a.gif")
    (photos / "really-a.gif").rename(photos / "gif.png")
    save(tmp_path / "outside.png", bytes_(3))
    (photos / "link.png").symlink_to(tmp_path / "outside.png")
    (photos / "inside.png").symlink_to("good.png")
    (photos / "nowhere.png").symlink_to("nothing.png")
    (photos / "folder").symlink_to(tmp_path)
    os.mkfifo(photos / "pipe.png")
    (photos / "notes.txt").write_text("hello")
    (photos / ".hidden.png").write_bytes(b"")
    with pytest.warns(DataWarning) as told:
        found = Images.from_folder(photos, size=(HIGH, WIDE), resize="crop")
    assert found.names == ["good.png", "inside.png"]
    assert np.array_equal(found.raw, [good, good])
    for name, (_, reason) in odd.items():
        assert reason in found.skipped[name], found.skipped
    assert "leads out" in found.skipped["link.png"]
    assert "leads out" in found.skipped["nowhere.png"]
    assert found.skipped["folder/"] == "a link to a folder"
    assert found.skipped["pipe.png"] == "not a regular file"
    assert "no PNG" in found.skipped["gif.png"]
    words = " ".join(str(warning.message) for warning in told)
    assert f"{len(found.skipped)} of {len(found.skipped) + 2} files in 'photos' were skipped" in words
    assert "1 file in 'photos' with other endings was left alone (1 x .txt)" in words
    model = engram.create("autoencoder", max_epochs=1, code_size=1).fit(found)
    assert any("were skipped" in finding.message for finding in model.findings_ if finding.kind == "data")


def test_pixels_that_are_no_numbers_are_skipped(photos: Path):
    for i, value in enumerate((1.0, np.nan, np.inf)):
        save(photos / f"{i}.tif", np.array([[value, 1], [2, 3]], np.float32))
    assert quietly(photos).skipped == dict.fromkeys(("1.tif", "2.tif"), "pixels that are no numbers or infinite")


def test_a_small_file_of_many_pixels_is_never_decoded(photos: Path):
    (photos / "bomb.png").write_bytes(bomb())
    (photos / "huge.bmp").write_bytes(
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    )
    assert (photos / "bomb.png").stat().st_size < 11_000
    save(photos / "good.png", bytes_(1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert quietly(photos).names == ["good.png"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB
    (photos / "good.png").unlink()
    with pytest.raises(DataError, match=r"max_pixels=, or by ENGRAM_MAX_PIXELS"):
        Images.from_folder(photos)


def test_the_cap_can_be_moved(photos: Path, monkeypatch: pytest.MonkeyPatch):
    save(photos / "a.png", bytes_(1))
    for settings in ({"max_pixels": HIGH * WIDE - 1}, {}):
        with pytest.raises(DataError, match="megapixels"):
            Images.from_folder(photos, **settings)
        monkeypatch.setenv("ENGRAM_MAX_PIXELS", "10")
    assert len(Images.from_folder(photos, max_pixels=HIGH * WIDE).raw) == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_a_file_cut_anywhere_is_skipped_or_whole(photos: Path, suffix: str):
    save(photos / f"whole.{suffix}", bytes_(3, (16, 16)))
    content = (photos / f"whole.{suffix}").read_bytes()
    for n in range(0, len(content), 10):
        (photos / f"{n:05}.{suffix}").write_bytes(content[:n])
    found = quietly(photos)
    assert found.names is not None
    assert found.names[-1] == f"whole.{suffix}"
    assert len(found.raw) + len(found.skipped) == len(list(photos.iterdir()))
    assert len(found.raw) <= 4  # the last bytes of some formats say nothing of the pixels
    assert all(np.array_equal(one, found.raw[-1]) for one in found.raw)


@pytest.mark.parametrize("content", [{}, {"a.csv": b"a,b\n1,2\n"}, {"a.png": b"x"}])
def test_no_readable_picture_at_all_is_an_error(photos: Path, content: dict[str, bytes]):
    for name, text in content.items():
        (photos / name).write_bytes(text)
    with pytest.raises(DataError, match="is a folder without a picture that can be read") as caught:
        Images.from_folder(photos)
    assert all(Path(name).suffix in str(caught.value) for name in content)
    with pytest.raises(DataError, match="no folder, archive or file of pictures"):
        Images.from_folder("digits")


def test_a_file_without_permission_is_read_once_it_has_one(photos: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a.png", "b.png"):
        save(photos / name, bytes_(1))
    opened = Path.open

    def refused(path: Path, *args: Any, **settings: Any) -> Any:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **settings)

    monkeypatch.setattr(Path, "open", refused)
    for _ in range(2):  # the second time from the cache
        assert quietly(photos).skipped == {"b.png": "cannot be opened: Permission denied"}
    monkeypatch.undo()
    assert Images.from_folder(photos, cache=False).names == quietly(photos).names == ["a.png", "b.png"]


def test_class_folders_are_no_anomalies_unless_they_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / "in" / ("cats" if i % 4 else "dogs") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)).save(path)
    quick = ("--max-epochs", "1", "--hidden", "4", "--code-size", "2")
    told = command("fit", "autoencoder", tmp_path / "in", "-o", tmp_path / "run", *quick).stdout
    assert "auroc: left out, the labels y are taken for classes" in told
    found = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "AUROC" not in found["headline"]
    assert set(found["facts"]["scores"]["groups"]) == {"training rows", "rows not trained on"}
    assert found["facts"]["codes"]["labels"]  # they colour the map
    told = command("evaluate", tmp_path / "run", tmp_path / "in", "--label", "label").stdout
    assert "count as anomalies, the rarer one" in told
