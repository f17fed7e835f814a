"""How it went, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engram.metrics.frechet import FRECHET
from engram.metrics.manifold import expected_coverage

if TYPE_CHECKING:
    from engram.evaluation.report import Report

BESIDE = {"pca": "PCA with the same code size", "knn": "nearest neighbours", "isolation-forest": "an isolation forest"}

NO_METRIC = "No metric could be computed"
BESIDE_GENERATED = {"real rows": "real rows among themselves:", "gaussian-mixture": "a Gaussian mixture:"}


def headline(report: Report) -> str:
    """Return what came out in plain words: reconstruction, detection where labels allow, generated rows, and how many findings."""
    parts = [
        told for told in (of(report) for of in (_reconstruction, _detection, _topics, _lists, _generation)) if told
    ]
    if not report.metrics:
        parts = [f"{NO_METRIC}."]
    count = len(report.findings)
    tail = "No findings." if not count else f"{count} finding{'s' * (count > 1)}."
    return " ".join([*parts, tail])


def _reconstruction(report: Report) -> str:
    own = report.result("r2", report.model)
    if own is None:
        return ""
    kept = any(finding.kind == "training-rows" for finding in report.findings)
    rows = "rows that it has seen" if kept else "unseen rows"
    told = f"Reconstructs {rows} with R2 {_short(own.value)}"
    other = report.result("r2", "pca")
    if other is None:
        return f"{told}."
    beside = f"{BESIDE['pca']} {_short(other.value)}"
    same = abs(own.value - other.value) <= max(own.error, 0.005)
    return f"{told}, {'about as well as ' if same else ''}{beside}."


def _detection(report: Report) -> str:
    own = report.result("auroc", report.model)
    if own is None:
        return ""
    others = [r for r in report.baselines if r.name == "auroc" and r.subject != "mean"]
    told = f"Tells anomalies apart with AUROC {_short(own.value)}"
    if not others:
        return f"{told}."
    best = max(others, key=lambda r: r.value)
    return f"{told}, the best simple method ({BESIDE.get(best.subject, best.subject)}) {_short(best.value)}."


def _topics(report: Report) -> str:
    own = report.result("coherence", report.model)
    return "" if own is None else f"Topics have coherence {_short(own.value)}{_best(report, own.name)}."


def _lists(report: Report) -> str:
    own = report.result("ndcg@100", report.model)
    return "" if own is None else f"Lists of items have NDCG@100 {_short(own.value)}{_best(report, own.name)}."


def _best(report: Report, name: str) -> str:
    """Return what the best simple method has, where there is one, in brackets; parts of the model itself are none."""
    others = [r for r in report.baselines if r.name == name and " alone" not in r.subject]
    best = max(others, key=lambda r: r.value, default=None)
    return "" if best is None else f" (the best simple method, {best.subject}: {_short(best.value)})"


def _generation(report: Report) -> str:
    name = next((r.name for r in report.metrics if r.name in FRECHET), None)
    parts = [] if name is None else [_distance(report, name)]
    covered = report.result("coverage", report.model)
    if covered is not None:
        real, n = report.result("coverage", "real rows"), covered.protocol["rows"]
        beside = f"fresh real rows are expected to have {_short(expected_coverage(n, n))}"
        if real is not None:
            beside = f"{BESIDE_GENERATED['real rows']} {_short(real.value)}"
        what = "coverage" if parts else "Rows it generates have coverage"
        parts.append(f"{what} {_short(covered.value)} ({beside})")
    return f"{', '.join(parts)}." if parts else ""


def _distance(report: Report, name: str) -> str:
    own, *others = (report.result(name, subject) for subject in (report.model, *BESIDE_GENERATED))
    told = [f"{what} {r.value:.3g}" for what, r in zip(BESIDE_GENERATED.values(), others, strict=True) if r is not None]
    assert own is not None
    beside = f" ({', '.join(told)})" if told else ""
    return f"Rows it generates are at {'FID' if name == 'FID' else 'Frechet distance'} {own.value:.3g} from real ones{beside}"


def _short(value: float) -> str:
    told = f"{value:.2f}"
    return told.replace("0.", ".", 1) if told.startswith(("0.", "-0.")) else told
