"""Engram's VAE beside pythae's: training with equal networks, batches and epochs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from made_rows import correlated
from measure import Goal, Options, Page, Row, Table, cpu_seconds, paired, run_script
from pythae_fits import train, vae

from engram import VAE

TRAINING = Goal("ratio", 1.3)
NAMES = ("Engram, rows/s", "pythae, rows/s")
SIZES = [784, 512, 16]
TEXT = """\
Rows trained on per second of CPU time (`time.process_time`) on one thread; medians of 5 pairs measured in turn, and
the ratio of each pair. The same 6,400 float32 rows of 784 columns, batches of 128, 8 epochs, Adam. Engram is
`VAE(hidden=(512,), code_size=16, batch_size=128)`, all of `fit()` with finding out columns and standardising;
pythae is its `TrainingPipeline`, without the model's construction.

'Equal network' hands pythae an encoder and a decoder with the same layers as Engram's (784-512-ELU-16 mean and log
variance, back the same way, no sigmoid); 'its own network' is pythae's default, of the same sizes with ReLU and a
sigmoid at the end. All else are pythae's defaults: no workers, loss 'mse' (unit variance), torch's default Adam,
the best model copied whenever an epoch improves, the model saved at the end. Its log messages are off and its
progress bars go to memory. With held-out rows both hold out a tenth: Engram by default, pythae as `eval_data`. 64
is pythae's default batch.

Four fifths of a bare step at these sizes are matrix products (torch.profiler), which both do with the same kernels;
the ratio can only come from the rest, or from faster products.
"""


def training_table(options: Options) -> Table:
    n, epochs = (256, 1) if options.quick else (6_400, 8)
    x = correlated(n, 784, 16).astype("float32")
    standard = (x - x.mean(0)) / x.std(0)
    train(vae(SIZES, 784, 16), standard[:128], num_epochs=1)  # loads what it loads late

    def ours(early_stopping: bool, batch_size: int = 128) -> Callable[[], float]:
        given = {"hidden": (512,), "code_size": 16, "max_epochs": epochs, "random_state": 0}

        def once() -> float:
            model = VAE(batch_size=batch_size, early_stopping=early_stopping, **given)
            seconds = cpu_seconds(lambda: model.fit(x))
            return model.data_["trained_on"] * model.history_.reports[-1]["epoch"] / seconds

        return once

    def theirs(sizes: list[int] | None, held_out: int = 0, batch_size: int = 128) -> Callable[[], float]:
        batches = {"per_device_train_batch_size": batch_size, "per_device_eval_batch_size": batch_size}

        def once() -> float:
            model = vae(sizes, SIZES[0], SIZES[-1])
            test = standard[:held_out] if held_out else None
            seconds = cpu_seconds(lambda: train(model, standard[held_out:], test, num_epochs=epochs, **batches))
            return (n - held_out) * epochs / seconds

        return once

    tenth = n // 10
    measured = {
        "equal network": (ours(False), theirs(SIZES)),
        "equal network, a tenth held out": (ours(True), theirs(SIZES, tenth)),
        "equal network, batch 64": (ours(False, 64), theirs(SIZES, batch_size=64)),
        "its own network": (ours(False), theirs(None)),
    }
    rows = [Row(what, paired(a, b, options.pairs, NAMES), (TRAINING,)) for what, (a, b) in measured.items()]
    return Table("Training", rows)


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    return Page("speed_pythae", "Engram beside pythae's VAE", TEXT, [training_table(options)])


if __name__ == "__main__":
    run_script(measure)
