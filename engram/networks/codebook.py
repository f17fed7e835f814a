"""A codebook that follows what it is given, by moving averages instead of a gradient (arXiv:1711.00937, appendix A.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from engram.maths.quantise import assigned, centres, k_means, looked_up, moving_average, nearest
from engram.networks.gathering import Gathering

DEAD = 0.02  # of an even share of the rows: an entry that gets less is given another place


class Codebook(Gathering):
    """Entries for each part of a code; what it quantises while learning is counted until `follow` moves the entries.

    Parameters
    ----------
    parts, entries, size : int
        How many parts a code has, how many entries there are for each, and dimensions of a part.
    """

    def __init__(self, parts: int, entries: int, size: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.zeros(parts, entries, size))
        self.register_buffer("counts", torch.zeros(parts, entries))  # moving averages, per step
        self.register_buffer("sums", torch.zeros(parts, entries, size))
        self.register_buffer("new_counts", torch.zeros(parts, entries), persistent=False)  # since the last move
        self.register_buffer("new_sums", torch.zeros(parts, entries, size), persistent=False)
        self.entries: Tensor
        self.counts: Tensor
        self.sums: Tensor
        self.new_counts: Tensor
        self.new_sums: Tensor
        self.last: list[Tensor] = []  # what was quantised since the last move, each (rows, parts, size)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Set the entries to cluster centres of these parts, (rows, parts, size)."""
        entries = self.entries.shape[1]
        self.entries.copy_(k_means(z, entries))
        counts, _ = assigned(z, nearest(z, self.entries), entries)
        self.counts.copy_(counts / len(z) * min(len(z), 256) + 1e-3)
        self.sums.copy_(self.entries * self.counts[..., None])

    def forward(self, z: Tensor) -> Tensor:
        """Turn (rows, parts, size) into the nearest entries, of the same shape and without a gradient."""
        with torch.no_grad():
            index = nearest(z, self.entries)
            if self.training:
                counts, sums = assigned(z.detach().float(), index, self.entries.shape[1])
                self.new_counts += counts
                self.new_sums += sums
                self.last.append(z.detach().float())
            return looked_up(self.entries, index)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the entries towards the means of what they were given since the last call; put dead ones onto random rows."""
        good = self.new_sums.isfinite().all()  # a step that is skipped leaves the entries alone too
        counts = torch.where(good, moving_average(self.counts, self.new_counts, decay), self.counts)
        sums = torch.where(good, moving_average(self.sums, self.new_sums.nan_to_num(), decay), self.sums)
        if self.last:
            last = torch.cat(self.last)
            parts, entries = counts.shape
            even = counts.mean(1, keepdim=True).expand_as(counts)
            row = torch.randint(len(last), (parts, entries), device=counts.device)
            fresh = last[row, torch.arange(parts, device=counts.device)[:, None]]
            dead = (counts < DEAD * even) & good
            counts = torch.where(dead, even, counts)
            sums = torch.where(dead[..., None], fresh * even[..., None], sums)
        self.counts.copy_(counts)
        self.sums.copy_(sums)
        self.entries.copy_(centres(counts, sums))
        self.forget()

    def forget(self) -> None:
        """Forget what was given since the last move: the entries have followed it, or the step is taken again."""
        self.new_counts.zero_()
        self.new_sums.zero_()
        self.last = []
