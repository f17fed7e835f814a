"""A finding: something that a fit or an evaluation noticed unasked, with advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """What was noticed.

    Parameters
    ----------
    kind : str
        A short stable name: "collapsed", "kept-start", "no-held-out-rows", ...
    message : str
        What was seen, in a sentence.
    advice : str
        What to do about it; may be empty.
    """

    kind: str
    message: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.message}. {self.advice}".strip() if self.advice else f"{self.message}."
