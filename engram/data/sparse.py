"""Rows of which nearly all values are zero: they stay in a sparse matrix, and some at a time are made dense."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engram.data.arrays import check_members
from engram.data.stream import NOTHING, Numbers, Stream
from engram.errors import DataError

Matrix = Any  # a scipy.sparse.csr_array, which has no types of its own
COMPRESSED = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}


class SparseStream(Stream):
    """The rows of a sparse matrix; slices and samples of them are sparse matrices too, in float32.

    What a kind returns of rows like word counts (`Kind.conform`). torch's own sparse matrices cannot be asked for some of their rows, so
    they are SciPy's until `dense`.

    Parameters
    ----------
    matrix : sparse matrix or array
        (rows, columns) of numbers; entries given twice are summed.
    excluded : array of int, optional
        Sorted numbers of rows to leave out.
    """

    def __init__(self, matrix: Any, excluded: Numbers = NOTHING) -> None:
        self.matrix = sparse.csr_array(matrix, dtype=np.float32)
        if not self.matrix.has_canonical_format:
            self.matrix = self.matrix.copy()  # the caller's stays as it is
            self.matrix.sum_duplicates()
        self.excluded = excluded
        self.shape = (self.matrix.shape[0] - len(excluded), self.matrix.shape[1])

    @property
    def large(self) -> bool:
        """Whether the rows take more than is held in memory at once when they are dense."""
        return len(self) > self.enough()

    def without(self, rows: Numbers) -> SparseStream:
        return SparseStream(self.matrix, np.union1d(self.excluded, rows))

    def take(self, numbers: Numbers) -> Matrix:
        return self.matrix[numbers]

    def __getitem__(self, rows: slice) -> Matrix:
        start, stop, _ = rows.indices(len(self))
        if not len(self.excluded):
            return self.matrix[start:stop]
        return self.take(self.numbers(np.arange(start, max(start, stop))))

    def digest(self) -> str:
        found = hashlib.sha256(repr((self.matrix.shape, self.excluded.tolist())).encode())
        for part in (self.matrix.indptr.astype(np.int64), self.matrix.indices.astype(np.int64), self.matrix.data):
            found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    def pool(self, rng: np.random.Generator) -> Numbers:
        return np.arange(self.matrix.shape[0])

    def shuffled(self, rng: np.random.Generator) -> Numbers:
        """Return the numbers of all rows in a new order."""
        return rng.permutation(np.delete(np.arange(self.matrix.shape[0]), self.excluded))


def consistent(matrix: Any) -> Any:
    """Return a sparse matrix as it is; raise `DataError` where its parts do not fit together.

    SciPy looks only at lengths, and then writes a value to whatever place its column number says, which ends the process.
    """
    if matrix.format not in COMPRESSED:
        return matrix  # SciPy has looked at the numbers of the others
    parts = (matrix.data, matrix.indices, matrix.indptr)
    try:  # of another matrix of these parts: the check may cut or convert them, and the caller's stay as they are
        COMPRESSED[matrix.format](parts, shape=matrix.shape).check_format(full_check=True)
    except ValueError as error:
        raise DataError(f"the parts of a sparse matrix do not fit together: {error}. Make it anew.") from error
    return matrix


def saved_matrix(source: Any) -> Matrix | None:
    """Return the matrix that ``scipy.sparse.save_npz`` wrote to a file, None where a source is no such file.

    Raises `DataError` where the matrix is inconsistent, or a small file would unpack to gigabytes.
    """
    path = Path(source) if isinstance(source, str | Path) else None
    if path is None or path.suffix != ".npz" or not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not {"format", "shape", "data"} <= set(archive.files):
                return None
            check_members(path, archive)
        matrix = sparse.load_npz(path)
    except DataError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # damaged, or another sort of file: who reads arrays says more of it
    return consistent(matrix)


def dense(rows: SparseStream | Matrix) -> Tensor:
    """Return rows as a dense tensor, (rows, columns) float32."""
    matrix = rows[:] if isinstance(rows, SparseStream) else rows
    return torch.from_numpy(matrix.toarray())
