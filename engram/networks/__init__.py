"""Networks by family: built from (shape in, shape out, widths), they know no loss and no likelihood."""

from __future__ import annotations

from engram.networks.conv import Conv
from engram.networks.mlp import MLP
from engram.networks.network import Body, Coder, Network, head, linear_part

NETWORKS: dict[str, Network] = {"conv": Conv(), "conv-pool": Conv(pool=True), "mlp": MLP()}

__all__ = ["NETWORKS", "Body", "Coder", "Network", "head", "linear_part"]
