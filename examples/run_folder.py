"""Promise: Run folders.

Saves a model, shows that its folder is JSON and safetensors and nothing else, loads it again, and shows that what it computes is
equal to the bit. Then it damages a file: loading says so instead of computing something wrong.

    python examples/run_folder.py [FOLDER]        (a temporary folder if none is given)
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

import engram
from engram.errors import RunError

table = load_diabetes(as_frame=True).data
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) / "diabetes.run"

model = engram.Autoencoder(random_state=0).fit(table)
model.save(folder, force=True)
for file in sorted(path for path in folder.rglob("*") if path.is_file()):
    print(f"{file.relative_to(folder)!s:<22}{file.stat().st_size:>8} bytes")

loaded = engram.load(folder)
same = np.array_equal(loaded.transform(table), model.transform(table))
print(f"codes of the loaded model: {'equal to the bit' if same else 'DIFFERENT'}")

weights = folder / "weights.safetensors"
weights.write_bytes(weights.read_bytes()[:-100])
try:
    engram.load(folder)
except RunError as error:
    print(f"damaged: {error}")
