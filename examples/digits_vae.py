"""Promise: "auto" is good.

Fits a VAE to handwritten digits as pictures, draws new ones into a PNG beside real ones, says how likely real digits are
compared with upside-down ones, and walks from one digit to another.

    python examples/digits_vae.py [FOLDER]        (a temporary folder if none is given)
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import engram

digits = load_digits()
train, test = digits.images[:1500], digits.images[1500:]
vae = engram.VAE(random_state=0, max_time="4s").fit(train)

report = engram.evaluate(vae, test, train=train, metrics=["r2"])
print(
    f"R2 of {len(test)} held-out digits: "
    + ", ".join(f"{r.subject} {r.value:.2f}" for r in report.metrics + report.baselines)
)
upright, flipped = vae.score_samples(test), vae.score_samples(test[:, ::-1])
print(f"a digit is more likely than the same digit upside down: {np.mean(upright > flipped):.0%} of them")

lines = [
    test[:12],
    vae.reconstruct(test[:12]),
    vae.sample(12, random_state=0),
    vae.interpolate(test[:1], test[1:2], n=12),
]
sheet = np.vstack([np.hstack([np.pad(picture, 1) for picture in line]) for line in lines]).clip(0, 16) * (255 / 16)
drawn = Image.fromarray(sheet.astype(np.uint8))
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
folder.mkdir(parents=True, exist_ok=True)
drawn.resize((6 * drawn.width, 6 * drawn.height), Image.Resampling.NEAREST).save(folder / "digits.png")
print(f"{folder / 'digits.png'}: real digits, the same from their codes, new ones, a walk from the first to the second")
