"""Sparse matrices that a kind hands on as they are: slices, samples, batches, and a whole fit and its use."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import sparse

from engram import Autoencoder
from engram.data import sparse as sparse_rows
from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.data.sparse import SparseStream, dense
from engram.likelihoods import Likelihood, Poisson
from engram.training.sparse_batches import SparseBatches

CPU = torch.device("cpu")


def matrix(rows: int = 300, columns: int = 12, seed: int = 0) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    return sparse.csr_array(rng.poisson(rng.random((rows, 1)) * np.linspace(0.1, 1, columns)))


class Tally(Kind):
    """Counts in a sparse matrix, with nothing to learn from them but how many columns there are."""

    name = "tally"
    metrics: ClassVar[tuple[str, ...]] = ()
    baselines: ClassVar[tuple[str, ...]] = ()

    def __init__(self, raw: Any = None) -> None:
        self.raw, self.groups = raw, None

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        return None if sparse.issparse(raw) else "it is no sparse matrix"

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Tally:
        return Tally()

    def fit(self, raw: Any) -> Tally:
        self.shape = (raw.shape[1],)
        self.columns = [str(i) for i in range(raw.shape[1])]
        self.log_volume = torch.zeros(raw.shape[1])
        return self

    def conform(self, raw: Any, *, reader: str = "") -> SparseStream:
        return SparseStream(raw)

    def encode(self, conformed: Any) -> Rows:
        return Rows(dense(conformed))

    def decode(self, x: torch.Tensor) -> Any:
        return sparse.csr_array(x.numpy())

    def likelihood(self) -> Likelihood:
        return Poisson(self.shape)

    def network(self) -> str:
        return "mlp"

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Tally:
        return cls()


def test_slices_and_samples_are_rows_of_the_matrix() -> None:
    whole = matrix()
    stream = SparseStream(whole, np.array([0, 7, 299]))
    kept = np.delete(whole.toarray(), [0, 7, 299], axis=0)
    assert len(stream) == 297
    assert (stream[5:20].toarray() == kept[5:20]).all()
    assert (stream[290:400].toarray() == kept[290:]).all()
    assert stream[20:10].shape == (0, 12)
    numbers, some = stream.sample(50)
    assert (some.toarray() == whole.toarray()[numbers]).all()
    assert not {0, 7, 299} & set(numbers.tolist())


def test_the_matrix_of_the_caller_stays_as_it_is() -> None:
    given = sparse.csr_array((np.ones(3), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    assert SparseStream(given)[:].toarray().tolist() == [[1.0, 2.0]]
    assert given.nnz == 3
    assert given.indices.tolist() == [1, 1, 0]


def test_a_digest_tells_values_places_and_shapes_apart() -> None:
    whole = matrix()
    other = whole.copy()
    other.data[3] += 1
    wider = sparse.csr_array((whole.data, whole.indices, whole.indptr), shape=(300, 13))
    digests = {SparseStream(m).digest() for m in (whole, other, wider, whole[::-1], whole.tocsc())}
    assert len(digests) == 4  # the last one holds the same rows as the first


def test_an_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    stream = SparseStream(matrix(), np.array([5]))
    batches = SparseBatches(stream, lambda rows: Rows(dense(rows)), 64, 3, CPU)
    epochs = [list(batches.epoch(n)) for n in (0, 1)]
    for epoch in epochs:
        index = torch.cat([batch.index for batch in epoch if batch.index is not None])
        assert sorted(index.tolist()) == [n for n in range(300) if n != 5]
        assert (torch.cat([batch.x for batch in epoch]).numpy() == matrix().toarray()[index]).all()
        assert {len(batch) for batch in epoch} == {59, 60}
    assert (epochs[0][0].index != epochs[1][0].index).any()
    later = list(batches.epoch(0, skip=3))
    assert [batch.index.tolist() for batch in later] == [batch.index.tolist() for batch in epochs[0][3:]]  # type: ignore[union-attr]


@pytest.mark.parametrize("small", [True, False])
def test_a_fit_learns_from_rows_that_are_made_dense_batch_by_batch(
    small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = matrix()
    sizes: list[int] = []
    taken = SparseBatches.epoch

    def watched(self: SparseBatches, epoch: int, skip: int = 0) -> Any:
        for batch in taken(self, epoch, skip):
            sizes.append(len(batch))
            yield batch

    monkeypatch.setattr(SparseBatches, "epoch", watched)
    monkeypatch.setattr(sparse_rows.SparseStream, "enough", lambda self: 100 if not small else 1000)
    model = Autoencoder(code_size=2, max_epochs=2, batch_size=50, random_state=0).fit(Tally(whole))
    assert model.data_["rows"] == 300
    assert model.data_["trained_on"] == (270 if small else 290)  # a tenth of the sample is held out
    assert sum(sizes) == (0 if small else 2 * 290)
    codes = model.transform(whole)
    assert codes.shape == (300, 2)
    assert (model.transform(whole[40:47]) == codes[40:47]).all()
    assert np.isfinite(model.score_samples(whole)).all()
