"""The FID Inception network against its layers written out one by one, its resize against the formula per pixel, its files."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from engram.errors import DataError, UsageError
from engram.networks.inception import Inception, tf1_resize
from engram.networks.inception_weights import load_inception

# --- the resize ---


def pixel(picture: np.ndarray, i: int, j: int, size: int) -> float:
    """One pixel of the result, as TensorFlow 1 computes it: float32 positions, the four neighbours, no other pixel."""
    height, width = picture.shape
    y = np.float32(i) * np.float32(height / size)
    x = np.float32(j) * np.float32(width / size)
    top, left = math.floor(y), math.floor(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = np.float32(y - np.float32(top)), np.float32(x - np.float32(left))
    first = picture[top, left] + (picture[top, right] - picture[top, left]) * across
    second = picture[below, left] + (picture[below, right] - picture[below, left]) * across
    return float(first + (second - first) * down)


@pytest.mark.parametrize(("height", "width", "size"), [(5, 7, 11), (9, 4, 3), (1, 6, 5), (8, 8, 8), (32, 32, 29)])
def test_the_resize_is_the_formula_of_tensorflow_1_for_every_pixel(height: int, width: int, size: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, height, width)).astype(np.float32)
    found = tf1_resize(torch.from_numpy(pictures), size)
    wanted = [
        [[[pixel(channel, i, j, size) for j in range(size)] for i in range(size)] for channel in picture]
        for picture in pictures
    ]
    np.testing.assert_array_equal(found.numpy(), np.array(wanted, dtype=np.float32))


def test_the_resize_is_not_one_of_the_others() -> None:
    """Half-pixel centres and aligned corners give other numbers; the upper left pixel stays where it is."""
    pictures = torch.arange(16.0).view(1, 1, 4, 4).expand(-1, 3, -1, -1) * 10
    found = tf1_resize(pictures, 9)
    assert found[0, 0, 0, 0] == 0
    for corners in (False, True):
        other = functional.interpolate(pictures, size=(9, 9), mode="bilinear", align_corners=corners)
        assert float((found - other).abs().max()) > 1


def test_pixels_are_rounded_to_8_bits_and_grey_becomes_three_channels() -> None:
    grey = torch.tensor([[[[0.4, 0.6], [254.7, 300.0]]]])
    np.testing.assert_array_equal(tf1_resize(grey, 2), np.tile([[[[0.0, 1.0], [255.0, 255.0]]]], (1, 3, 1, 1)))


def test_pictures_of_four_channels_are_refused() -> None:
    with pytest.raises(DataError, match="one or three channels"):
        tf1_resize(torch.zeros(1, 4, 8, 8))


# --- the network, layer by layer ---


@pytest.fixture(scope="module")
def network() -> Inception:
    """A network with random weights whose activations neither vanish nor explode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Inception().eval().requires_grad_(False)
        for name, tensor in module.state_dict().items():
            if name.endswith(("running_mean", "bn.bias")):
                tensor.normal_(std=0.1)
            elif name.endswith(("running_var", "bn.weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("conv.weight"):
                tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
    return module


def mean_of_neighbours(x: Tensor) -> Tensor:
    """The mean of the pixels of a 3 x 3 window that are inside the picture."""
    around = torch.ones(x.shape[1], 1, 3, 3)
    total = functional.conv2d(x, around, padding=1, groups=x.shape[1])
    return total / functional.conv2d(torch.ones_like(x), around, padding=1, groups=x.shape[1])


def written_out(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network as the published graph has it, every layer in words; features (rows, 2048)."""

    def c(x: Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        y = functional.conv2d(x, w[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, var, scale, shift = (
            w[f"{name}.bn.{n}"][:, None, None] for n in ("running_mean", "running_var", "weight", "bias")
        )
        return ((y - mean) / (var + 1e-3).sqrt() * scale + shift).clamp(min=0)

    def a(x: Tensor, n: str) -> Tensor:
        five = c(c(x, f"{n}.branch5x5_1"), f"{n}.branch5x5_2", 1, 2)
        three = c(c(c(x, f"{n}.branch3x3dbl_1"), f"{n}.branch3x3dbl_2", 1, 1), f"{n}.branch3x3dbl_3", 1, 1)
        return torch.cat([c(x, f"{n}.branch1x1"), five, three, c(mean_of_neighbours(x), f"{n}.branch_pool")], 1)

    def seven(x: Tensor, n: str) -> Tensor:
        once = c(c(c(x, f"{n}.branch7x7_1"), f"{n}.branch7x7_2", 1, (0, 3)), f"{n}.branch7x7_3", 1, (3, 0))
        twice = c(c(x, f"{n}.branch7x7dbl_1"), f"{n}.branch7x7dbl_2", 1, (3, 0))
        twice = c(c(twice, f"{n}.branch7x7dbl_3", 1, (0, 3)), f"{n}.branch7x7dbl_4", 1, (3, 0))
        twice = c(twice, f"{n}.branch7x7dbl_5", 1, (0, 3))
        return torch.cat([c(x, f"{n}.branch1x1"), once, twice, c(mean_of_neighbours(x), f"{n}.branch_pool")], 1)

    def e(x: Tensor, n: str, pooled: Tensor) -> Tensor:
        one = c(x, f"{n}.branch3x3_1")
        two = c(c(x, f"{n}.branch3x3dbl_1"), f"{n}.branch3x3dbl_2", 1, 1)
        parts = [c(x, f"{n}.branch1x1"), c(one, f"{n}.branch3x3_2a", 1, (0, 1)), c(one, f"{n}.branch3x3_2b", 1, (1, 0))]
        parts += [c(two, f"{n}.branch3x3dbl_3a", 1, (0, 1)), c(two, f"{n}.branch3x3dbl_3b", 1, (1, 0))]
        return torch.cat([*parts, c(pooled, f"{n}.branch_pool")], 1)

    x = c(c(c((x - 128) / 128, "Conv2d_1a_3x3", 2), "Conv2d_2a_3x3"), "Conv2d_2b_3x3", 1, 1)
    x = functional.max_pool2d(c(c(functional.max_pool2d(x, 3, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    x = a(a(a(x, "Mixed_5b"), "Mixed_5c"), "Mixed_5d")
    n = "Mixed_6a"
    three = c(c(c(x, f"{n}.branch3x3dbl_1"), f"{n}.branch3x3dbl_2", 1, 1), f"{n}.branch3x3dbl_3", 2)
    x = torch.cat([c(x, f"{n}.branch3x3", 2), three, functional.max_pool2d(x, 3, 2)], 1)
    x = seven(seven(seven(seven(x, "Mixed_6b"), "Mixed_6c"), "Mixed_6d"), "Mixed_6e")
    n = "Mixed_7a"
    long = c(c(c(x, f"{n}.branch7x7x3_1"), f"{n}.branch7x7x3_2", 1, (0, 3)), f"{n}.branch7x7x3_3", 1, (3, 0))
    three = c(c(x, f"{n}.branch3x3_1"), f"{n}.branch3x3_2", 2)
    x = torch.cat([three, c(long, f"{n}.branch7x7x3_4", 2), functional.max_pool2d(x, 3, 2)], 1)
    x = e(x, "Mixed_7b", mean_of_neighbours(x))
    x = e(x, "Mixed_7c", functional.max_pool2d(x, 3, 1, 1))
    return x.flatten(2).mean(2)


def test_the_network_is_the_published_one_layer_by_layer(network: Inception) -> None:
    pictures = torch.from_numpy(np.random.default_rng(1).uniform(0, 255, (2, 3, 107, 139)).astype(np.float32))
    with torch.no_grad():
        found, wanted = network(pictures), written_out(network.state_dict(), pictures)
    assert found.shape == (2, 2048)
    assert float(wanted.std(0).mean()) > 1e-3, "the two pictures differ"
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_the_network_has_the_published_numbers_of_weights(network: Inception) -> None:
    """Torchvision's network without its auxiliary head has 23,834,568; eight more classes have 2,049 weights each."""
    assert sum(p.numel() for p in network.parameters()) == 23_834_568 + 8 * 2049
    convolutions = [n for n in network.state_dict() if n.endswith("conv.weight")]
    assert len(convolutions) == 94


def test_logits_leave_the_bias_out(network: Inception) -> None:
    features = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 2048)).astype(np.float32))
    assert network.fc is not None
    wanted = network.fc(features) - network.fc.bias
    torch.testing.assert_close(network.logits(features), wanted, rtol=1e-4, atol=1e-5)
    assert network.logits(features).shape == (3, 1008)


# --- its files ---


def from_tensorflow(tensors: dict[str, Tensor], path: Path) -> None:
    """As pytorch-fid publishes it: torch's old container, no counters."""
    plain = {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    torch.save(plain, path, _use_new_zipfile_serialization=False)


def saved_again(tensors: dict[str, Tensor], path: Path) -> None:
    """As torch-fidelity's module saves itself: a zip archive, counters of batches."""
    torch.save(tensors, path)


def held_by_a_metric(tensors: dict[str, Tensor], path: Path) -> None:
    """As a part of another module, among its other tensors, one level down."""
    held = {f"inception.{n}": t for n, t in tensors.items()} | {"real_features_sum": torch.zeros(2048)}
    torch.save({"state_dict": held, "epoch": 3}, path)


def in_safetensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({n: t.contiguous() for n, t in tensors.items()}, path)


WRITERS = [from_tensorflow, saved_again, held_by_a_metric, in_safetensors]


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_every_layout_gives_the_same_features(
    write: Callable[[dict[str, Tensor], Path], None], network: Inception, features: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    write(dict(network.state_dict()), path)
    before = torch.get_rng_state()
    found, sha256 = load_inception(path)
    assert torch.equal(before, torch.get_rng_state())
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.training
    with torch.no_grad():
        assert torch.equal(found(resized()), features)
    assert torch.equal(found.logits(features), network.logits(features))
    path.unlink()


def resized() -> Tensor:
    pictures = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, 3, 32, 32)).astype(np.float32))
    return tf1_resize(pictures)


@pytest.fixture(scope="module")
def features(network: Inception) -> Tensor:
    with torch.no_grad():
        return network(resized())


BLOCKS = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)


def test_numbered_blocks_are_read_and_have_no_logits(network: Inception, tmp_path: Path) -> None:
    numbers = {name: f"blocks.{i}.{j}" for i, block in enumerate(BLOCKS) for j, name in enumerate(block)}
    tensors = {
        f"{numbers[n.partition('.')[0]]}.{n.partition('.')[2]}": t
        for n, t in network.state_dict().items()
        if not n.startswith("fc.")
    }
    torch.save(tensors, tmp_path / "w.pth")
    found, _ = load_inception(tmp_path / "w.pth")
    wanted = {n: t for n, t in network.state_dict().items() if not n.startswith("fc.")}
    assert all(torch.equal(t, wanted[n]) for n, t in found.state_dict().items())
    assert len(found.state_dict()) == len(wanted)
    with pytest.raises(DataError, match="no last layer"):
        found.logits(torch.zeros(1, 2048))


def test_a_missing_file_says_what_it_is_what_it_is_for_and_what_to_use_instead(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_inception(tmp_path / "inception.pth")
    for told in (
        "is no file",
        "FID",
        "state dict",
        "pytorch-fid",
        "torch-fidelity",
        "downloads nothing",
        "'judge'",
        "'codes'",
    ):
        assert told in str(error.value)
    with pytest.raises(UsageError, match="is a folder"):
        load_inception(tmp_path)


class Code:
    """What a pickle may hold: something to be called when it is read."""

    def __reduce__(self):
        return (Path.touch, (Path("never-made"),))


def test_what_is_no_state_dict_of_this_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3)}
    made: dict[str, tuple[Callable[[Path], object], str]] = {
        "torchvision": (
            lambda p: torch.save(small | {"fc.weight": torch.zeros(1000, 2048)}, p),
            "torchvision's network",
        ),
        "classes": (lambda p: torch.save(small | {"fc.weight": torch.zeros(10, 2048)}, p), r"\(10, 2048\)"),
        "part": (lambda p: torch.save(small, p), "tensors are missing"),
        "other": (lambda p: torch.save({"conv1.weight": torch.zeros(3)}, p), "another network's.*conv1.weight"),
        "list": (lambda p: torch.save([torch.zeros(3)], p), "holds a list"),
        "pickle": (lambda p: torch.save({"x": Code()}, p), "pickle that holds more than tensors"),
        "noise": (lambda p: p.write_bytes(b"no weights at all"), "damaged"),
        "empty": (lambda p: p.write_bytes(b""), "damaged"),
        "safetensors": (lambda p: p.write_bytes(b"\x02\0\0\0\0\0\0\0{"), "safetensors"),
        "graph": (lambda p: p.write_bytes(b"\x1f\x8b\x08 a tgz"), "TensorFlow's graph"),
        "script": (script, "TorchScript"),
    }
    for name, (write, told) in made.items():
        write(tmp_path / name)
        with pytest.raises(DataError, match=told) as error:
            load_inception(tmp_path / name)
        assert "Without such a file" in str(error.value)
    assert not (tmp_path / "never-made").exists()


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("inception/constants.pkl", "inception/code/__torch__/net.py", "inception/data.pkl"):
            archive.writestr(name, b"")


def test_a_tensor_of_another_shape_is_named(network: Inception, tmp_path: Path) -> None:
    tensors = dict(network.state_dict()) | {"Mixed_7c.branch1x1.bn.bias": torch.zeros(7)}
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"'Mixed_7c.branch1x1.bn.bias' is of shape \(7,\), not \(320,\)"):
        load_inception(tmp_path / "w.pth")
