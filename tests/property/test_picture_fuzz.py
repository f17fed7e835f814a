"""Damaged pictures and archives: whatever bytes are wrong, a file is read, or skipped with a reason, and nothing else happens."""

from __future__ import annotations

import io
import resource
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engram.data import Images
from engram.errors import DataError

MUTANTS = 300
MEMORY = 300 << 10  # KiB that reading them may add


def _pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (24, 20, 3)).astype(np.uint8))
    grey, alpha = colour.convert("L"), colour.convert("RGBA")
    exif = Image.Exif()
    exif[274] = 6
    made = {
        "a.png": (alpha, {"exif": exif.tobytes()}),
        "b.png": (colour.convert("P"), {"transparency": 3}),
        "c.jpg": (colour, {"exif": exif.tobytes()}),
        "d.jpg": (colour.convert("CMYK"), {"progressive": True}),
        "e.webp": (alpha, {"lossless": True}),
        "f.bmp": (colour, {}),
        "g.tif": (colour, {"compression": "tiff_lzw"}),
        "h.tif": (grey.convert("F"), {}),
        "i.tif": (grey, {"compression": "jpeg"}),
        "j.tif": (alpha, {"compression": "tiff_adobe_deflate"}),
        "k.png": (Image.fromarray(rng.integers(0, 65536, (24, 20)).astype(np.uint16)), {}),
    }
    found = {}
    for name, (picture, settings) in made.items():
        file = io.BytesIO()
        picture.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper()), **settings)
        found[name] = file.getvalue()
    return found


def mutants(contents: dict[str, bytes], n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, damaged bytes): bytes changed (the first ones more often), cut out, doubled, or the end cut off."""
    rng = np.random.default_rng(seed)
    names = list(contents)
    for i in range(n):
        name = names[i % len(names)]
        content = bytearray(contents[name])
        for _ in range(rng.integers(1, 9)):
            if not content:
                break
            at = int(rng.integers(min(len(content), 200) if rng.random() < 0.6 else len(content)))
            way, length = rng.random(), int(rng.integers(1, 30))
            if way < 0.7:
                content[at] = int(rng.choice([0, 255, 127, 128, int(rng.integers(256))]))
            elif way < 0.8:
                del content[at : at + length]
            elif way < 0.9:
                content[at:at] = content[at : at + length]
            else:
                content = content[: max(at, 1)]
        yield name, bytes(content)


def read_or_refused(path: Path, **wishes: Any) -> np.ndarray | None:
    """Read pictures; return None where that is refused in our words, and leave no file."""
    try:
        return Images.from_folder(path, cache=False, **wishes).raw
    except DataError:
        return None
    finally:
        path.unlink()
        assert not list(path.parent.glob("[!w]*"))


def check(folder: Path, n: int, seed: int) -> int:
    """Read so many damaged pictures; return how many could be read."""
    read = 0
    for i, (name, content) in enumerate(mutants(_pictures(), n, seed)):
        path = folder / f"{i}{name}"
        path.write_bytes(content)
        found = read_or_refused(path, size=(9, 7), resize=("crop", "pad", "resize")[i % 3])
        if found is not None:
            read += 1
            assert found.shape[:3] == (1, 9, 7)
            assert str(found.dtype) in ("uint8", "uint16", "float32")
            assert np.isfinite(found).all()
    return read


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """Little memory; warnings of the data are expected."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


def test_damaged_pictures_are_read_or_skipped(tmp_path: Path):
    assert 0 < check(tmp_path, MUTANTS, 1) < MUTANTS


def test_damaged_archives_are_read_or_refused(tmp_path: Path):
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as file:
        for name, content in _pictures().items():
            method = zipfile.ZIP_DEFLATED if name < "f" else zipfile.ZIP_STORED
            file.writestr(name, content, method)
    end = whole.read_bytes()[-900:]
    for _, content in mutants({"a.zip": end}, 100, 2):
        path = tmp_path / "damaged.zip"
        path.write_bytes(whole.read_bytes()[:-900] + content)
        read_or_refused(path, size=8, resize="crop", formats=["PNG", "JPEG", "BMP"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_damaged_pictures(tmp_path: Path, seed: int):
    assert check(tmp_path, 1000, 100 + seed) > 0
