"""Promise: Same seed, same weights.

Fits a VAE to the digits twice with the same seed: the second time the fit is interrupted as by Ctrl-C and taken up again
with ``resume=True``. The weights of both are equal to the bit.

    python examples/resume.py [FOLDER]        (a temporary folder if none is given)
"""

import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from sklearn.datasets import load_digits

import engram
from engram.errors import StoppedError

digits = load_digits().images
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "digits.run"


def model() -> engram.VAE:
    """Return the model that is fitted in both ways."""
    return engram.VAE(hidden=(64,), code_size=8, max_epochs=150, early_stopping=False, random_state=0)


def press_ctrl_c() -> None:
    """Interrupt this process a moment after the fit has begun."""
    while not folder.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    signal.raise_signal(signal.SIGINT)


whole = model().fit(digits)

threading.Thread(target=press_ctrl_c, daemon=True).start()
try:
    resumed = model().fit(digits, run=folder)
except StoppedError as stop:
    print(f"interrupted: {stop}")
    resumed = model().fit(digits, run=folder, resume=True)

pairs = zip(whole.network_.parameters(), resumed.network_.parameters(), strict=True)
same = all(torch.equal(one, other) for one, other in pairs)
print(f"resumed:     {resumed.n_iter_} epochs, as many as the fit in one go: {whole.n_iter_}")
print(f"weights:     {'equal to the bit' if same else 'DIFFERENT'}")
