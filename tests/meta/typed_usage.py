"""The public names as a typed program uses them; mypy reads this file, nothing runs it (see test_types.py)."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd

import engram
from engram import GAN, VAE, Autoencoder, data, metrics
from engram.errors import EngramError
from engram.evaluation import Comparison, Report
from engram.models.model import Model


def fitted(table: pd.DataFrame, run: Path) -> Autoencoder:
    """Fit returns the class that was asked for, so that its own methods are known."""
    model = Autoencoder(code_size=2, hidden=(16, 8), corruption="masking", random_state=0)
    return assert_type(model.fit(table, run=run, resume=False), Autoencoder)


def used(model: VAE, pictures: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Codes, scores and drawn rows."""
    codes = model.transform(pictures)
    scores = model.score_samples(pictures)
    assert codes.shape == (len(scores), 2)
    model.sample(3, random_state=1)
    model.impute(pictures)
    model.inverse_transform(codes)
    model.save("run", force=True)
    return assert_type(model.score(pictures), float)


def played(table: pd.DataFrame, labels: list[str]) -> GAN:
    """A game: fitted with y it is conditional, and it draws rows."""
    model = GAN(loss="non-saturating", penalty="r1", penalty_weight=0.1, constraint=None, pack=2, discriminator_steps=2)
    assert_type(model.fit(table, labels), GAN).sample(3, y=labels[0], random_state=1)
    for finding in model.findings_:
        assert_type(finding.kind, str)
    model.save("run", force=True)
    return model


def judged(model: VAE, table: pd.DataFrame) -> str:
    """A report beside baselines."""
    report = assert_type(engram.evaluate(model, table, train=table, metrics=["r2"]), Report)
    assert_type(report.to_frame(), pd.DataFrame)
    for result in report.metrics + report.baselines:
        assert_type(result.value, float)
    for finding in report.findings:
        assert_type(finding.message, str)
    return report.to_text()


def compared(models: list[VAE], table: pd.DataFrame) -> float:
    """Several models on the same rows, and codes in use."""
    found = assert_type(engram.compare(models, table, train=table, metrics=["r2"]), Comparison)
    assert_type(found.to_frame("spread"), pd.DataFrame)
    numbers, distances = models[0].nearest(table[:1], table, n=2)
    models[0].move(table, models[0].direction(table, table["label"]), by=0.5)
    models[0].interpolate(table[:1], table[1:2], n=4, how="spherical")
    assert numbers.shape == distances.shape
    return assert_type(found.standings[0].value, float)


def named(path: Path) -> Model:
    """By name and from a folder."""
    try:
        made = assert_type(engram.create("beta-vae", beta=2.0), Model)
        return assert_type(engram.load(path), Model) if path.exists() else made
    except EngramError as error:
        raise SystemExit(error.exit_code) from error


def plain(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Metrics are functions of arrays; kinds can be said."""
    data.Images(x)
    return assert_type(metrics.r2(x, x), float)
