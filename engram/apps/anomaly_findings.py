"""What a detector of anomalies tells of the rows that it measures by."""

from __future__ import annotations

from scipy.stats import betabinom

from engram.training import Finding

UNHELD, NEVER, OTHERS = "no-held-out-rows", "alert-rate", "other-rows"
UNLIKE = 1e-4  # probability of as many alerts among rows like the known ones, below which new rows are others


def too_few(rows: int, *, lots: bool = False) -> Finding:
    """Tell that none of so few rows could be held out; ``lots`` says that they came in several."""
    told = f"{rows} row{' is' if rows == 1 else 's are'} too few to hold any out"
    told = f"none of {rows} rows could be held out, as they came in lots of a few" if lots else told
    return Finding(
        UNHELD, f"{told}: scores are measured by learned rows", "Collect more rows before trusting any alert"
    )


def never_alerts(held: int, rate: float) -> list[Finding]:
    """Tell where so few held-out rows leave no p-value small enough to alert."""
    if rate * (held + 1) >= 1:
        return []
    told = f"no p-value is below {1 / (held + 1):.2g}, so that alert_rate={rate:g} never alerts"
    return [Finding(NEVER, told, "Choose a larger alert_rate, or fit to more rows")]


def other_rows(alerts: int, rows: int, held: int, rate: float) -> list[Finding]:
    """Tell where more new rows would alert than chance allows: of n rows like the known ones, a beta-binomial number does."""
    allowed = rate * (held + 1)
    if betabinom.sf(alerts - 1, rows, allowed, held + 1 - allowed) > UNLIKE:
        return []
    told = (
        f"{alerts / rows:.0%} of the {rows:,} new rows were anomalies to what was learned before (usual: {rate:.0%}): "
        "they are unlike the earlier ones, and rows like those may alert from now on"
    )
    return [Finding(OTHERS, told, "Fit again on earlier and new rows together")]


def of_both(earlier: list[Finding], later: list[Finding], rows: int, held: int, rate: float) -> list[Finding]:
    """Return what is to be told after a lot of rows was added: of each sort the last, and of held-out rows what holds for all of them.

    ``rows`` are the rows of all lots, ``held`` the held-out ones.
    """
    unheld = all(UNHELD in {finding.kind for finding in told} for told in (earlier, later))
    last = {finding.kind for finding in later} | {UNHELD, NEVER}
    kept = [finding for finding in later if finding.kind not in (UNHELD, NEVER)]
    kept += [finding for finding in earlier if finding.kind not in last]
    return kept + [too_few(rows, lots=True)] * unheld + never_alerts(held, rate)
