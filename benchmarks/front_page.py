"""Writes the table on README's first pages from the committed results, so that every figure there is a row of them.

``python3 benchmarks/front_page.py`` rewrites the block between the two ``results`` comments; a test holds README and results together.
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
# cells, and a page, that show medians first; all others show means over seeds
MEDIANS = ("ratio", "over bare, s", "topics")
ROWS = [  # (what, page, table, first words of the row, cell, how it is written)
    (
        "training beside a bare loop, autoencoder 30-64-32",
        "speed_loop",
        0,
        "autoencoder",
        "ratio",
        "{:.2f} x its rows per second",
    ),
    ("training beside a bare loop, VAE 784-512-16", "speed_loop", 0, "VAE", "ratio", "{:.2f} x its rows per second"),
    ("scoring beside the bare forward pass", "speed_loop", 1, "autoencoder", "ratio", "{:.2f} x its rows per second"),
    (
        "training beside PyOD's AutoEncoder, its defaults",
        "speed_pyod",
        0,
        "PyOD's defaults",
        "ratio",
        "{:.1f} x its rows per second",
    ),
    (
        "scoring beside PyOD's AutoEncoder",
        "speed_pyod",
        1,
        "PyOD's default batches",
        "ratio",
        "{:.0f} x its rows per second",
    ),
    (
        "training beside pythae's VAE, equal network, on a CPU with AVX-512",
        "speed_pythae",
        1,
        "equal network",
        "ratio",
        "{:.2f} x its rows per second",
    ),
    (
        "the same on a CPU with AVX2 alone",
        "speed_pythae",
        0,
        "equal network",
        "ratio",
        "{:.2f} x its rows per second",
    ),
    ("digits as pictures, held-out R2", "quality_tables", 0, "digits, pictures", "Engram R2", "{:.3f}"),
    ("the same by PCA of the same code size", "quality_tables", 0, "digits, pictures", "PCA R2", "{:.3f}"),
    ("8 columns of intrinsic dimension 2, held-out R2", "quality_tables", 2, "code 2", "Engram R2", "{:.3f}"),
    ("the same by pythae's autoencoder with its defaults", "quality_tables", 2, "code 2", "pythae AE R2", "{:.3f}"),
    (
        "MNIST, 784-1000-500-250-30, squared error per test picture",
        "deep_autoencoder",
        0,
        "MNIST",
        "test error",
        "{:.2f}",
    ),
    ("the same by PCA of the same code size", "deep_autoencoder", 0, "MNIST", "PCA test error", "{:.2f}"),
    ("MADE on plants, exact test log-likelihood", "made_density", 0, "plants", "MADE", "{:.2f} nats"),
    (
        "Frechet distance from 3,000 rows of 2,048 features beside SciPy's sqrtm",
        "speed_metrics",
        0,
        "3,000 rows, SciPy",
        "ratio",
        "{:.1f} x as fast",
    ),
    ("training of a DCGAN beside a bare loop", "speed_games", 0, "dcgan", "ratio", "{:.2f} x its rows per second"),
    (
        "training of a WGAN-GP beside a bare loop",
        "speed_games",
        0,
        "wgan-gp",
        "ratio",
        "{:.2f} x its rows per second",
    ),
    (
        "anomalies in 22 tables, learned from normal rows, AUROC x 100",
        "anomaly_detection",
        0,
        "engram",
        "AUROC",
        "{:.1f}",
    ),
    ("the same by PyOD's AutoEncoder", "anomaly_detection", 0, "PyOD AutoEncoder", "AUROC", "{:.1f}"),
    ("the same by the fifth nearest neighbour", "anomaly_detection", 0, "kNN(5)", "AUROC", "{:.1f}"),
    ("adult, trees trained on generated rows, macro F1", "synthetic_tables", 0, "Engram", "boosted trees", "{:.3f}"),
    ("the same, trained on real rows", "synthetic_tables", 0, "real rows", "boosted trees", "{:.3f}"),
    ("20 Newsgroups, 50 topics, purity of main topics", "topics", 0, "Engram", "purity", "{:.3f}"),
    ("the same by NMF on TF-IDF", "topics", 0, "NMF", "purity", "{:.3f}"),
    ("`import engram` over a bare interpreter", "imports", 0, "`import engram`", "over bare, s", "{:.3f} s"),
]


def figures() -> str:
    """Return the table in Markdown."""
    lines = ["| what | figure | page |", "|---|---|---|"]
    for what, page, table, first, cell, form in ROWS:
        found = json.loads((ROOT / "benchmarks" / "results" / f"{page}.json").read_text())
        row = next(row for row in found["tables"][table]["rows"] if row["what"].startswith(first))
        figure = form.format(row["cells"][cell]["median" if {cell, page} & {*MEDIANS} else "mean"])
        lines.append(f"| {what} | {figure} | [{page}](benchmarks/results/{page}.md) |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return README's text with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + figures() + END + rest.partition(END)[2]


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(page(readme.read_text()))
