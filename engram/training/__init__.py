"""The one loop, and what it needs: settings, batches, callbacks, the run folder."""

from engram.training.batches import Batch, Batches
from engram.training.findings import Finding
from engram.training.loop import History, Player, Turn, train
from engram.training.settings import Settings

__all__ = ["Batch", "Batches", "Finding", "History", "Player", "Settings", "Turn", "train"]
