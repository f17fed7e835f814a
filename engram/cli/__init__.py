"""The command line: ``engram demo | fit | apply | sample | evaluate | inspect | list | doctor``.

The modules here import click and nothing heavier; torch, scikit-learn, NumPy, pandas and pydantic are imported inside
the commands that need them, so that ``engram --help`` answers at once.
"""

from engram.cli.program import main, program

__all__ = ["main", "program"]
