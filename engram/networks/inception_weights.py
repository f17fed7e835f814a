"""Files of Inception weights: which are read, what is made of their names, and why others are not.

The two published state dicts, ``pt_inception-2015-12-05-6726825d.pth`` (pytorch-fid and what builds on it) and
``weights-inception-2015-12-05-6726825d.pth`` (torch-fidelity, torchmetrics), hold the same tensors under the same names:
those of torchvision's modules, with ``fc.weight`` (1008, 2048). What differs between files in use, and is taken here:

- the container: torch's archive of before 1.6, its zip archive of since, or safetensors;
- counters of batches (``num_batches_tracked``), which conversions from TensorFlow lack and modules saved again have;
- a prefix of all names, from a module that held the network, and a dictionary ``state_dict`` around them;
- numbered blocks (``blocks.0.0.conv.weight``), as pytorch-fid's own module saves itself; those lack the last layer.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engram.errors import DataError, UsageError
from engram.networks.inception import BLOCKS, CLASSES, FEATURES, HALVED, STEM, Inception

FIRST, FIRST_NUMBERED = "Conv2d_1a_3x3.conv.weight", "blocks.0.0.conv.weight"
PUBLISHED = "6726825d"  # how the sha256 of the published files begins: it stands in their names
INSTEAD = (
    "Without such a file use features='judge' (rows with labels), 'codes' or 'rows'; those numbers are not called FID."
)
WANTED = (
    "Wanted is the state dict of the FID Inception network (TensorFlow's of 2015-12-05, 1008 classes, 91 MB), as the projects "
    "pytorch-fid (pt_inception-2015-12-05-6726825d.pth) and torch-fidelity (weights-inception-2015-12-05-6726825d.pth) publish "
    "it beside their releases. Engram downloads nothing: fetch one, copy it to this machine and give its path."
)


def load_inception(path: str | Path) -> tuple[Inception, str]:
    """Read Inception weights; nothing in the file is run.

    Parameters
    ----------
    path : path
        A state dict of either published layout: .pth (torch's archives) or .safetensors.

    Returns
    -------
    module : Inception
        In evaluation mode, float32, without gradients.
    sha256 : str
        Of the file, 64 hexadecimal digits; those of the published files begin with `PUBLISHED`.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        The file is another network's, or no state dict; the message says which and what to do.
    """
    place = Path(path)
    if not place.is_file():
        what = "a folder" if place.is_dir() else "no file"
        raise UsageError(
            f"{str(place)!r} is {what}; it should be a file of Inception weights, on whose features the Frechet Inception distance "
            f"(FID), KID and the Inception score are computed. {WANTED} {INSTEAD}"
        )
    with place.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    tensors = _named_as_here(_read(place), place)
    with torch.device("meta"):  # no weights are drawn that are replaced at once
        module = Inception(classifier="fc.weight" in tensors)
    _check(tensors, {name: tuple(t.shape) for name, t in module.state_dict().items()}, place)
    counters = {n: torch.zeros((), dtype=torch.long) for n in module.state_dict() if n.endswith("num_batches_tracked")}
    module.load_state_dict(counters | {n: t.float() for n, t in tensors.items()}, assign=True)
    return module.eval().requires_grad_(False), sha256


def _read(place: Path) -> Mapping[Any, Any]:
    """Return what a file holds; only tensors and plain containers can be in it."""
    with place.open("rb") as file:
        start = file.read(9)
    if place.suffix == ".safetensors" or start[8:9] == b"{":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found: Mapping[Any, Any] = load_file(place)
        except SafetensorError as error:
            raise _refused(place, f"it is damaged, or no safetensors file ({error})") from None
        return found
    if start[:2] == b"\x1f\x8b" or place.suffix == ".pb":
        raise _refused(place, "it is TensorFlow's graph (.tgz, .pb), which the projects named below converted")
    if _is_script(place):
        raise _refused(
            place, "it is TorchScript, as StyleGAN's metrics use it: a program, and Engram runs no code from files"
        )
    try:
        loaded = torch.load(place, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is none of this fails in many ways
        reason = str(error).partition("\n")[0][:120]
        raise _refused(
            place,
            f"it is damaged, or a pickle that holds more than tensors, which could run code when read ({type(error).__name__}: {reason})",
        ) from None
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(inner, Mapping):
        raise _refused(place, f"it holds a {type(inner).__name__}, not tensors by name")
    return inner


def _is_script(place: Path) -> bool:
    if not zipfile.is_zipfile(place):
        return False
    with zipfile.ZipFile(place) as archive:
        names = archive.namelist()
    return any(name.endswith("constants.pkl") for name in names) and any("/code/" in name for name in names)


def _named_as_here(loaded: Mapping[Any, Any], place: Path) -> dict[str, Tensor]:
    """Return the tensors of the network by the names of `Inception`; others (an auxiliary head, counters) are left out."""
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    for first, names in ((FIRST, {}), (FIRST_NUMBERED, _numbered())):
        prefix = next((name.removesuffix(first) for name in tensors if name.endswith(first)), None)
        if prefix is not None:
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            return _kept({_replaced(name, names): t for name, t in own.items()})
    some = ", ".join(sorted(tensors)[:3]) or "no tensors"
    raise _refused(place, f"it is another network's: it has no {FIRST!r}, but {some}")


def _numbered() -> dict[str, str]:
    """Return the names of pytorch-fid's numbered blocks: {"blocks.0.0": "Conv2d_1a_3x3", ...}; each ends at a pool or the last head."""
    blocks: list[list[str]] = [[]]
    for name in [spec.name for spec, _ in STEM] + list(BLOCKS):
        if name == "Mixed_7a":  # the block that an auxiliary head would follow ends before it
            blocks.append([])
        blocks[-1].append(name)
        if name in HALVED:
            blocks.append([])
    return {f"blocks.{i}.{j}": name for i, block in enumerate(blocks) for j, name in enumerate(block)}


def _replaced(name: str, names: dict[str, str]) -> str:
    """Return a tensor's name with its first three parts replaced, where they are those of a numbered block."""
    parts = name.split(".")
    start = ".".join(parts[:3])
    return ".".join([names[start], *parts[3:]]) if start in names else name


def _kept(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    known = {spec.name for spec, _ in STEM} | set(BLOCKS) | {"fc"}
    return {n: t for n, t in tensors.items() if n.partition(".")[0] in known and not n.endswith("num_batches_tracked")}


def _check(tensors: dict[str, Tensor], wanted: dict[str, tuple[int, ...]], place: Path) -> None:
    """Raise `DataError` where the tensors are not those of the network."""
    found = tuple(tensors["fc.weight"].shape) if "fc.weight" in tensors else None
    if found is not None and found != (CLASSES, FEATURES):
        if found == (1000, FEATURES):
            raise _refused(
                place,
                "it is torchvision's network (1000 classes): other weights and other pools, whose distances are not comparable to any "
                "published FID",
            )
        raise _refused(place, f"its last layer is {found}, not {(CLASSES, FEATURES)}")
    missing = [n for n in wanted if n not in tensors and not n.endswith("num_batches_tracked")]
    extra = [n for n in tensors if n not in wanted]
    if missing or extra:
        told = f"{len(missing)} tensors are missing" if missing else f"{len(extra)} tensors are not of this network"
        raise _refused(place, f"{told}, such as {(missing or extra)[0]!r}")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted[name] or not tensor.is_floating_point():
            raise _refused(place, f"{name!r} is of shape {tuple(tensor.shape)}, not {wanted[name]}")


def _refused(place: Path, why: str) -> DataError:
    return DataError(f"{str(place)!r} cannot be used as Inception weights: {why}. {WANTED} {INSTEAD}")
