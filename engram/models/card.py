"""The model card: what a run folder says about itself in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engram.models.remembered import saved_parameters
from engram.version import VERSION

if TYPE_CHECKING:
    from engram.models.model import Model


def model_card(model: Model) -> str:
    """Return the README of a run folder, in Markdown."""
    settings, shapes, data = model.settings_, model.shapes_, model.data_
    given = {n: v for n, v in saved_parameters(model).items() if v != type(model).__dataclass_fields__[n].default}
    path = ", linear path" if shapes.skip else ""
    columns = "\n".join(f"| {_cell(name)} | {_cell(what)} |" for name, what in model.kind_.describe()[:200])
    findings = "\n".join(f"- **{f.kind}**: {f}" for f in model.findings_) or "None."
    return f"""# {type(model).__name__}, fitted with Engram {VERSION}

{(type(model).__doc__ or "").strip().partition(chr(10))[0]}

- Rows: {data["rows"]} ({data["trained_on"]} trained on), fingerprint `{data["fingerprint"]}`
- Code: {shapes.code_size} dimensions; hidden widths {list(shapes.widths) or "none (linear)"}, {shapes.family}{path}
- Training: {model.n_iter_} epochs of at most {settings.max_epochs}, batches of {settings.batch_size}, \
learning rate {settings.learning_rate:.2g}, seed {settings.seed}, threads {settings.threads}; ended by: {model.history_.stopped}
- Parameters given: {", ".join(f"`{n}={v!r}`" for n, v in given.items() if n not in ("encoder", "decoder")) or "none, all automatic"}

## Findings

{findings}

## Data ({model.kind_.name})

| column | what it is |
|---|---|
{columns}

The folder holds weights and scales, no rows of the training data and no code. Load it with `engram.load(path)`.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
