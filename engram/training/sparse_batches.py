"""Batches of the rows of a sparse matrix: made dense one batch at a time, so that only one is in memory as a network sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from engram.data.sparse import SparseStream
from engram.training.batches import Batch
from engram.training.streaming import StreamBatches


class SparseBatches(StreamBatches):
    """Batches of nearly equal size of a sparse matrix's rows, in a new order every epoch."""

    def __init__(self, stream: SparseStream, *given: Any) -> None:
        super().__init__(stream, *given)
        self.stream = stream

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        numbers = self.stream.shuffled(np.random.default_rng([self.seed, epoch]))
        for index in np.array_split(numbers, self.per_epoch)[skip:]:
            rows = self.encode(self.stream.take(index)).to(self.device)
            yield Batch(rows.x, rows.mask, rows.y, rows.weight, torch.from_numpy(index))
