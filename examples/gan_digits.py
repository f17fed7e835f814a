"""Promise: "auto" is good.

Teaches a GAN handwritten digits with their labels, asks it for each digit, lets a classifier that knows other real digits say
what it sees, and draws a sheet of them. Small networks and few epochs, so that this runs in seconds.

    python examples/gan_digits.py [FOLDER]        (a temporary folder if none is given)
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import engram

digits = load_digits()
small = {"network": "mlp", "hidden": (128, 128), "max_epochs": 40, "learning_rate": 2e-3, "augment": "none", "ema": 0.0}
gan = engram.GAN(**small, random_state=0).fit(digits.images[:1200], digits.target[:1200])

asked = np.repeat(np.arange(10), 12)
new = gan.sample(len(asked), y=asked, random_state=0)

others, labels = digits.images[1200:].reshape(-1, 64), digits.target[1200:]
judge = LogisticRegression(max_iter=2000).fit(others[:400] / 16, labels[:400])
print(f"a classifier is right about {judge.score(others[400:] / 16, labels[400:]):.0%} of real digits, ", end="")
print(
    f"and sees the digit that was asked for in {judge.score(new.reshape(-1, 64) / 16, asked):.0%} of the generated ones"
)

lines = [np.hstack([np.pad(picture, 1) for picture in new[asked == digit]]) for digit in range(10)]
drawn = Image.fromarray((np.vstack(lines) * (255 / 16)).clip(0, 255).astype(np.uint8))
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
folder.mkdir(parents=True, exist_ok=True)
drawn.resize((4 * drawn.width, 4 * drawn.height), Image.Resampling.NEAREST).save(folder / "digits-gan.png")
print(f"{folder / 'digits-gan.png'}: a line of generated pictures for each digit from 0 to 9")
