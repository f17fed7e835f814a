"""The kinds of data: each owns all that depends on the user's rows, so that no other layer does."""

from engram.data.counts import Counts
from engram.data.images import Images
from engram.data.interactions import Interactions
from engram.data.kind import KINDS, DataWarning, Kind, as_kind
from engram.data.rows import Rows, fingerprint
from engram.data.source import BUNDLED, Source, read
from engram.data.table import Table

__all__ = [
    "BUNDLED",
    "KINDS",
    "Counts",
    "DataWarning",
    "Images",
    "Interactions",
    "Kind",
    "Rows",
    "Source",
    "Table",
    "as_kind",
    "fingerprint",
    "read",
]
