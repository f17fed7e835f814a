"""The one loop, and what it needs: settings, batches, callbacks, the run folder."""

from engram.training.batches import Batch, Batches
from engram.training.findings import Finding
from engram.training.history import History
from engram.training.loop import train
from engram.training.settings import Settings
from engram.training.turns import Player, Turn

__all__ = ["Batch", "Batches", "Finding", "History", "Player", "Settings", "Turn", "train"]
