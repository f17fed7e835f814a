"""What becomes of an encoder's output: an activation, how many units stay active, and which have died.

Top-k: Makhzani & Frey, k-Sparse Autoencoders, 2013, arXiv:1312.5663. Over a batch: Bussmann, Leask & Nanda, 2024, arXiv:2412.06410.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import UsageError
from engram.maths.jacobian import slope_of
from engram.maths.sparsity import batch_threshold, top_k
from engram.models.stacking import layer_of
from engram.networks import Coder
from engram.networks.gathering import Gathering
from engram.training import Finding
from engram.training.nets import Nets

ACTIVATIONS = {"l1": "relu", "kl": "sigmoid", "topk": "relu", "batchtopk": "relu"}
SELECTING = ("topk", "batchtopk")
NARROWING = 0.5  # share of training over which k falls to its value, so that units do not die early (arXiv:1312.5663, section 4.2.1)
FIRST = 4  # times k, where it falls from
FOLLOW = 0.02  # how far the threshold goes towards that of one more batch
DEAD = 200  # steps without being active, after which a unit is revived
REVIVE_EVERY = 50  # steps
SLACK = 0.8  # of training, after which no unit is revived: it could not learn any more


class Units(Gathering):
    """An encoder's output as codes.

    Parameters
    ----------
    size : int
        Code units.
    activation : str
        "linear", "relu" or "sigmoid".
    select : str or None
        "topk" keeps the k largest of each row, "batchtopk" k per row on average over a batch; at use a threshold that was estimated while
        learning, so that a row's code does not depend on other rows.
    k : int
        Units that stay while learning.
    k_used : int
        Units that stay at use.
    """

    def __init__(self, size: int, activation: str, select: str | None = None, k: int = 1, k_used: int = 1) -> None:
        super().__init__()
        self.size, self.activation, self.select, self.k, self.k_used = size, activation, select, k, k_used
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("idle", torch.zeros(size, dtype=torch.int64))  # steps since a unit was active
        self.register_buffer("active", torch.zeros(size, dtype=torch.bool), persistent=False)  # since the last `count`
        self.threshold: Tensor
        self.idle: Tensor
        self.active: Tensor

    def forward(self, values: Tensor, progress: float | None = None) -> Tensor:
        """Return codes, (rows, units), of an encoder's output: at use, or as while learning at a share of training.

        Held-out rows are judged as while learning: with the units of use, weights of before k had fallen would seem the better ones.
        """
        codes, k = self.activated(values), self.k_at(1.0 if progress is None else progress)
        if self.select == "topk":
            codes = top_k(codes, self.k_used if progress is None and not self.training else k)
        elif self.select == "batchtopk":
            as_learned = self.training or (progress is not None and self.k_used != self.k)
            found = codes.detach()
            codes = torch.where(codes >= (batch_threshold(found, k) if as_learned else self.threshold), codes, 0.0)
            if self.training:
                self.threshold.lerp_(batch_threshold(found, self.k_used).to(self.threshold.dtype), FOLLOW)
        if self.training and self.activation == "relu":
            self.active.logical_or_((codes.detach() > 0).any(0))
        return codes

    @torch.no_grad()
    def count(self) -> None:
        """Count a step, however many parts it was taken in, as one without those units that were not active in it."""
        if self.activation == "relu":
            self.idle.copy_(torch.where(self.active, 0, self.idle + 1))
            self.forget()

    def forget(self) -> None:
        """Forget which units were active: the step is counted, or taken again."""
        self.active.zero_()

    def activated(self, values: Tensor) -> Tensor:
        """Apply the activation alone."""
        if self.activation == "relu":
            return values.relu()
        return values.sigmoid() if self.activation == "sigmoid" else values

    def k_at(self, progress: float) -> int:
        """Return how many units stay at a share of training: `FIRST` times k at first, k from `NARROWING` on."""
        first = min(self.size, FIRST * self.k)
        return round(self.k + (first - self.k) * max(0.0, 1 - progress / NARROWING))

    def slope(self, codes: Tensor) -> Tensor:
        """Return the derivative of codes by the encoder's output, elementwise; which units stay counts as given."""
        slope = slope_of(self.activation, codes)
        return slope if self.select is None else slope * (codes != 0)


def units_of(sparsity: str | None, level: float, alpha: float, activation: str, size: int, auto_k: int) -> Units:
    """Return the units that parameters ask for; a negative ``level`` stands for "auto". Raise `UsageError` for levels that cannot be."""
    if activation == "auto":
        activation = ACTIVATIONS.get(sparsity or "", "linear")
    if sparsity == "kl" and (level >= 1 or activation != "sigmoid"):
        given = f"{level:g}" if level >= 0 else "'auto'"
        raise UsageError(
            f"sparsity='kl' holds sigmoid units at a mean between 0 and 1; given are sparsity_level={given} and "
            f"code_activation={activation!r}. Try sparsity_level=0.05 and code_activation='sigmoid'."
        )
    if sparsity not in SELECTING:
        return Units(size, activation)
    k = auto_k if level < 0 else round(level if level >= 1 else max(1, level * size))
    if k > size or (level >= 1 and level != k):
        raise UsageError(
            f"sparsity_level={level:g}: with sparsity={sparsity!r} it is how many of the {size} code units stay active "
            "(a whole number), or their share (below 1)."
        )
    return Units(size, activation, sparsity, k, max(1, min(size, round(alpha * k))))


@torch.no_grad()
def set_threshold(units: Units, encoder: nn.Module, rows: Rows) -> None:
    """Before step 0, set the threshold of a batch top-k from rows."""
    if units.select == "batchtopk":
        x = rows.within(1 << 22, 64, 1024).x
        units.threshold.copy_(batch_threshold(units.activated(encoder(x)), units.k_used))


@torch.no_grad()
def start_in_both_directions(nets: Nets, rows: Rows, begin: Callable[[Nets, Rows], bool]) -> bool:
    """Begin at principal components with two units for each, one per direction: units that are never negative then give what PCA gives.

    Only beside a linear path; ``begin`` sets one unit per component.
    """
    half, network = nets.code.size // 2, nets.decoder.network
    last = _last(nets.encoder)
    if half == 0 or last is None or nets.encoder.skip is None or not begin(nets, rows):
        return False
    into, out, bias = nets.encoder.skip.weight, network.skip.weight, last.bias
    into[half : 2 * half], bias[half : 2 * half] = -into[:half], -bias[:half]
    out[:, half : 2 * half] = -out[:, :half]
    if nets.code.size % 2:  # one is left over
        nn.init.normal_(into[-1:], std=into.shape[1] ** -0.5)
    part = rows.within(1 << 22, 64, 1024)
    residual = part.x - nets.decoder.likelihood.mean(nets.decoder(nets.code(nets.encoder(part.x))))
    nets.decoder.likelihood.start(residual.square().mean().sqrt())
    return True


@torch.no_grad()
def revive(nets: Nets, x: Tensor) -> None:
    """Point units that were not active for `DEAD` steps at rows of the batch, so that these make them active.

    After the resampling of Bricken et al., Towards Monosemanticity, 2023: a dead unit reads, and where encoder and decoder are one layer
    each writes, the direction of a row from the mean of what it sees.
    """
    units: Units = nets.code
    dead = (units.idle >= DEAD).nonzero().flatten()
    last = _last(nets.encoder)
    if len(dead) == 0 or last is None:
        return
    features = nets.encoder.body(x).flatten(1)
    mean = features.mean(0)
    chosen = features[torch.randint(len(x), (len(dead),), device=x.device)] - mean
    directions = chosen / chosen.norm(dim=1, keepdim=True).clamp(min=1e-8)
    alive = units.idle < DEAD
    length = last.weight[alive].norm(dim=1).mean() if bool(alive.any()) else last.weight.norm(dim=1).mean()
    last.weight[dead] = directions * length
    last.bias[dead] = -(directions @ mean) * length
    if nets.encoder.skip is not None:
        nets.encoder.skip.weight[dead] = 0.0
    units.idle[dead] = 0
    reads, writes = layer_of(nets.encoder), layer_of(nets.decoder.network)
    if reads is None or writes is None:
        return
    if writes.weight.data_ptr() != reads.weight.data_ptr():  # tied ones have it already
        writes.weight[:, dead] = (directions * writes.weight.norm(dim=0).mean()).T


def _last(network: nn.Module) -> nn.Linear | None:
    if not isinstance(network, Coder):
        return None
    return next((m for m in network.head.modules() if isinstance(m, nn.Linear)), None)


def reading_norms(network: nn.Module, size: int) -> Tensor | None:
    """Return the lengths of the weights with which a decoder's network reads each code unit, (units,), or None where that is not known."""
    linear = [m for m in network.modules() if isinstance(m, nn.Linear) and m.in_features == size]
    reading = linear[:1]
    if isinstance(network, Coder) and network.skip is not None:
        reading = [network.skip, *(m for m in linear[:1] if m is not network.skip)]
    squares = [layer.weight.square().sum(0) for layer in reading]
    return torch.stack(squares).sum(0).add(1e-12).sqrt() if squares else None


def dead_code(codes: Tensor) -> list[Finding]:
    """Return a finding where code units are active in none of these rows, (rows, units)."""
    dead = int((codes == 0).all(0).sum())
    if dead == 0:
        return []
    told = f"{dead} of {codes.shape[1]} code units are active in none of {len(codes)} rows"
    return [
        Finding(
            "dead-code-units", told, "A smaller code_size would do, or try a larger sparsity_level, or more max_epochs"
        )
    ]
