"""What recommendations cost: the time of a new user's list, the memory of a large fit, an epoch beside a bare PyTorch loop."""

from __future__ import annotations

import multiprocessing
import resource
import time
import warnings
from typing import Any

import numpy as np
import torch
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script
from recommendation import generated
from torch import nn
from torch.nn import functional

from engram import Recommender

MOST_MS, MOST_GIB, MOST_RATIO = 5.0, 8.0, 1.15
TEXT = f"""\
Generated histories, one thread, CPU time. Goals: a list of 10 with reasons in {MOST_MS:g} ms, a fit to 200,000 users x
20,000 items with 20 million entries in {MOST_GIB:g} GiB (the autoencoder learns for a minute of it; memory does not grow
after its first step), an epoch within {MOST_RATIO - 1:.0%} of a bare loop over the same sparse matrix.

"""


def main(options: Options) -> Page:
    """Measure everything."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tables = [
        Table(
            "A new user: CPU milliseconds of recommend(history), with reasons",
            [new_user(options)],
            show=("median", "max"),
        ),
        Table("CPU seconds of an epoch beside a bare PyTorch loop", [epochs(options)]),
        Table("A large fit", [memory(options)]),
    ]
    return Page("recommendation_cost", "What recommendations cost", TEXT, tables)


def new_user(options: Options) -> Row:
    """Return how long recommendations for a new history take."""
    n_items = 200 if options.quick else 3000
    X = generated(300 if options.quick else 3000, n_items, 30)
    model = Recommender(random_state=0, weights="binary", max_epochs=2).fit(X)
    model._linear.blend = 0.5
    rng = np.random.default_rng(0)
    times = []
    for _ in range(20 if options.quick else 300):
        history = rng.choice(n_items, 30, replace=False).tolist()
        begin = time.process_time()
        model.recommend(history)
        times.append(1000 * (time.process_time() - begin))
    return Row("30 items, warm, one thread", {"ms": Spread.of(times)}, (Goal("ms", MOST_MS, below=True),))


def memory(options: Options) -> Row:
    """Return the peak memory of a fit in a process of its own."""
    sizes = (2000, 400, 20) if options.quick else (200_000, 20_000, 100)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_fit_alone, args=(sizes, options.quick, queue))
    process.start()
    peak, seconds, n_events, told = queue.get()
    process.join()
    cells = {"peak GiB": Spread.of([peak]), "CPU seconds": Spread.of([seconds])}
    note = f"{n_events:,} different entries; {told}"
    return Row(
        f"{sizes[0]:,} users x {sizes[1]:,} items, {sizes[0] * sizes[2]:,} entries",
        cells,
        (Goal("peak GiB", MOST_GIB, below=True),),
        note,
    )


def _fit_alone(sizes: tuple[int, int, int], quick: bool, queue: Any) -> None:
    torch.set_num_threads(1)
    X = generated(*sizes)
    begin = time.process_time()
    model = Recommender(random_state=0, weights="binary", max_time=5 if quick else 60).fit(X)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    told = f"the autoencoder learned for {model.history_.reports[-1]['seconds']:.0f} seconds of it"
    queue.put((peak, seconds, int(X.nnz), told))


def epochs(options: Options) -> Row:
    """Return the seconds of an epoch, from fits of one epoch and of three, beside a bare loop."""
    n_users, n_items = (1000, 200) if options.quick else (20_000, 3000)
    X = generated(n_users, n_items, 50)
    X.data[:] = 1.0
    validation = X[:200]

    def ours() -> float:
        def fit(epochs: int) -> None:
            Recommender(model="dae", random_state=0, weights="binary", max_epochs=epochs, batch_size=100).fit(
                X, validation=validation
            )

        return (cpu_seconds(lambda: fit(3)) - cpu_seconds(lambda: fit(1))) / 2

    def bare() -> float:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Dropout(0.5), nn.Linear(n_items, 200), nn.Tanh(), nn.Linear(200, n_items))
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

        def loop() -> None:
            order = np.random.default_rng(0).permutation(n_users)
            for at in range(0, n_users, 100):
                x = torch.from_numpy(X[order[at : at + 100]].toarray())
                loss = -(net(functional.normalize(x)).log_softmax(1) * x).sum(1).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

        return cpu_seconds(loop)

    bare()
    found = [(ours(), bare()) for _ in range(options.pairs)]
    cells = {
        "ours": Spread.of([a for a, _ in found]),
        "bare": Spread.of([b for _, b in found]),
        "ratio": Spread.of([a / b for a, b in found]),
    }
    return Row(f"Mult-DAE, {n_users:,} x {n_items:,}", cells, (Goal("ratio", MOST_RATIO, below=True),))


if __name__ == "__main__":
    run_script(main)
