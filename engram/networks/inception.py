"""Inception-v3 as published scores use it: the TensorFlow graph of 2015-12-05 (Szegedy et al. 2015, arXiv:1512.00567).

From torchvision's network of the same paper it differs in what decides every published number (Heusel et al. 2017,
arXiv:1706.08500): 1008 classes; average pools that do not count their padding; a max pool in the last block; no auxiliary
head; pixels as (x - 128) / 128; pictures resized by TensorFlow 1's bilinear rule. Module names are those of the published
state dicts, so that these load as they are (`engram.networks.inception_weights`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.errors import DataError

SIDE = 299  # pixels of the pictures that it was trained on
FEATURES, CLASSES = 2048, 1008
EPSILON = 1e-3  # of batch normalisation


class Conv(NamedTuple):
    """One convolution, batch normalisation and ReLU: name, channels out, kernel (one number: square), stride."""

    name: str
    width: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1


Fork = tuple[Conv, ...]  # convolutions of one input, side by side, at the end of a branch
Branch = tuple[str | Conv | Fork, ...]  # "average", "max" or "halve": a pool; then convolutions one after the other

ACROSS, DOWN = (1, 7), (7, 1)


def _double(first: int, *rest: Conv | Fork) -> Branch:
    """Return the branch of 3 x 3 convolutions after a 1 x 1 one."""
    return (Conv("branch3x3dbl_1", first), *rest)


def _a(pooled: int) -> tuple[Branch, ...]:
    """Blocks of 35 x 35 pixels."""
    return (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, 5)),
        _double(64, Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3)),
        ("average", Conv("branch_pool", pooled)),
    )


def _c(width: int) -> tuple[Branch, ...]:
    """Blocks of 17 x 17 pixels: 7 x 7 convolutions as 1 x 7 and 7 x 1."""
    return (
        (Conv("branch1x1", 192),),
        (Conv("branch7x7_1", width), Conv("branch7x7_2", width, ACROSS), Conv("branch7x7_3", 192, DOWN)),
        (
            Conv("branch7x7dbl_1", width),
            Conv("branch7x7dbl_2", width, DOWN),
            Conv("branch7x7dbl_3", width, ACROSS),
            Conv("branch7x7dbl_4", width, DOWN),
            Conv("branch7x7dbl_5", 192, ACROSS),
        ),
        ("average", Conv("branch_pool", 192)),
    )


def _e(pool: str) -> tuple[Branch, ...]:
    """Blocks of 8 x 8 pixels: 3 x 3 convolutions as 1 x 3 beside 3 x 1."""

    def fork(name: str) -> Fork:
        return Conv(f"{name}a", 384, (1, 3)), Conv(f"{name}b", 384, (3, 1))

    return (
        (Conv("branch1x1", 320),),
        (Conv("branch3x3_1", 384), fork("branch3x3_2")),
        _double(448, Conv("branch3x3dbl_2", 384, 3), fork("branch3x3dbl_3")),
        (pool, Conv("branch_pool", 192)),
    )


_B: tuple[Branch, ...] = (  # from 35 x 35 to 17 x 17
    (Conv("branch3x3", 384, 3, 2),),
    _double(64, Conv("branch3x3dbl_2", 96, 3), Conv("branch3x3dbl_3", 96, 3, 2)),
    ("halve",),
)
_D: tuple[Branch, ...] = (  # from 17 x 17 to 8 x 8
    (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, 3, 2)),
    (
        Conv("branch7x7x3_1", 192),
        Conv("branch7x7x3_2", 192, ACROSS),
        Conv("branch7x7x3_3", 192, DOWN),
        Conv("branch7x7x3_4", 192, 3, 2),
    ),
    ("halve",),
)
STEM: tuple[tuple[Conv, int], ...] = (  # with their padding; a pool that halves follows the third and the fifth
    (Conv("Conv2d_1a_3x3", 32, 3, 2), 0),
    (Conv("Conv2d_2a_3x3", 32, 3), 0),
    (Conv("Conv2d_2b_3x3", 64, 3), 1),
    (Conv("Conv2d_3b_1x1", 80), 0),
    (Conv("Conv2d_4a_3x3", 192, 3), 0),
)
HALVED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")
BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _a(32), "Mixed_5c": _a(64), "Mixed_5d": _a(64),
    "Mixed_6a": _B, "Mixed_6b": _c(128), "Mixed_6c": _c(160), "Mixed_6d": _c(160), "Mixed_6e": _c(192),
    "Mixed_7a": _D, "Mixed_7b": _e("average"), "Mixed_7c": _e("max"),
}  # fmt: skip


def _pooled(x: Tensor, how: str) -> Tensor:
    """Pool 3 x 3 pixels: "average" and "max" keep the size, "halve" is a max pool of stride 2."""
    if how == "average":
        return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return functional.max_pool2d(x, 3, stride=1, padding=1) if how == "max" else functional.max_pool2d(x, 3, stride=2)


class _Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, n_in: int, spec: Conv, padding: int | None = None) -> None:
        super().__init__()
        high, wide = spec.kernel if isinstance(spec.kernel, tuple) else (spec.kernel, spec.kernel)
        kept = (high // 2, wide // 2) if spec.stride == 1 else (0, 0)
        around = kept if padding is None else (padding, padding)
        self.conv = nn.Conv2d(n_in, spec.width, (high, wide), stride=spec.stride, padding=around, bias=False)
        self.bn = nn.BatchNorm2d(spec.width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches of one input, their channels joined."""

    def __init__(self, n_in: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.branches = branches
        self.width = 0
        for branch in branches:
            width = n_in
            for spec in branch:
                if isinstance(spec, str):
                    continue
                side_by_side = (spec,) if isinstance(spec, Conv) else spec
                for one in side_by_side:
                    self.add_module(one.name, _Unit(width, one))
                width = sum(one.width for one in side_by_side)
            self.width += width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._branch(x, branch) for branch in self.branches], 1)

    def _branch(self, x: Tensor, branch: Branch) -> Tensor:
        for spec in branch:
            if isinstance(spec, str):
                x = _pooled(x, spec)
            elif isinstance(spec, Conv):
                x = self.get_submodule(spec.name)(x)
            else:
                x = torch.cat([self.get_submodule(one.name)(x) for one in spec], 1)
        return x


class Inception(nn.Module):
    """From pictures in pixel values of 0 to 255, (rows, 3, height, width), to `FEATURES` features: the mean of the last block.

    Parameters
    ----------
    classifier : bool
        Whether there is a last layer, which `logits` needs.
    """

    def __init__(self, *, classifier: bool = True) -> None:
        super().__init__()
        width = 3
        for spec, padding in STEM:
            self.add_module(spec.name, _Unit(width, spec, padding))
            width = spec.width
        for name, branches in BLOCKS.items():
            block = _Block(width, branches)
            self.add_module(name, block)
            width = block.width
        self.fc = nn.Linear(width, CLASSES) if classifier else None

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures - 128) / 128
        for spec, _ in STEM:
            x = self.get_submodule(spec.name)(x)
            if spec.name in HALVED:
                x = _pooled(x, "halve")
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits without the bias, (rows, `CLASSES`): what the Inception score is the softmax of.

        Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498; their code leaves the bias out.
        """
        if self.fc is None:
            raise DataError(
                "these Inception weights have no last layer (fc), which the Inception score needs. Use a file that has it: 1008 classes."
            )
        return features @ self.fc.weight.T


def tf1_resize(pictures: Tensor, size: int = SIDE) -> Tensor:
    """Resize pictures as TensorFlow 1 did: bilinear, corners not aligned, no half-pixel shift, no smoothing.

    Pixel i of the result lies at s = i * side / size of the source, in float32, between floor(s) and the next pixel (at the
    border the same one): (1 - t) a + t b with t = s - floor(s), first across, then down. Published Frechet and Inception
    scores depend on it.

    Parameters
    ----------
    pictures : Tensor
        (rows, 1 or 3, height, width), pixel values of 0 to 255. They are first rounded, not truncated, to 8 bits: published
        scores are of pictures as files hold them. One channel becomes three equal ones.
    size : int
        Height and width of the result.

    Returns
    -------
    Tensor
        (rows, 3, size, size) float32.

    Raises
    ------
    DataError
        They are no such pictures.
    """
    if pictures.dim() != 4 or pictures.shape[1] not in (1, 3):
        raise DataError(
            f"Inception takes pictures of one or three channels, (rows, channels, height, width); these are of shape "
            f"{tuple(pictures.shape)}. Leave out a channel of transparency, or use other features."
        )
    x = pictures.float().round().clamp(0, 255)
    if x.shape[2:] != (size, size):
        x = _between(_between(x, size, 3), size, 2)
    return x.expand(-1, 3, -1, -1)


def _between(x: Tensor, size: int, dim: int) -> Tensor:
    """Interpolate linearly along one dimension."""
    side = x.shape[dim]
    at = torch.arange(size, dtype=torch.float32, device=x.device) * torch.tensor(side / size, dtype=torch.float32)
    low = at.long().clamp(max=side - 1)
    high = (low + 1).clamp(max=side - 1)
    share = (at - low).view(-1, *[1] * (3 - dim))
    a, b = x.index_select(dim, low), x.index_select(dim, high)
    return a + (b - a) * share
