"""The benchmarks run, what they write is complete, the bare loop computes what Engram computes. No speed is asserted."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engram import VAE, Autoencoder
from engram.training import Batch

ROOT = Path(__file__).parents[2]
# the scripts, and whether each can say anything without the peers
SCRIPTS: dict[str, bool] = runpy.run_path(str(ROOT / "benchmarks" / "run.py"))["SCRIPTS"]
OWN = [name for name, alone in SCRIPTS.items() if alone]


@pytest.fixture(autouse=True)
def scripts_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def strict(path: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_every_script_that_writes_a_page_is_run_by_run() -> None:
    written = {p.stem for p in (ROOT / "benchmarks").glob("*.py") if "run_script(" in p.read_text(encoding="utf-8")}
    assert written - {"measure"} == set(SCRIPTS)


def test_scripts_are_run_one_by_one_and_those_about_peers_skipped_without_them(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--quick", "--no-peers", "--output", tmp_path]
    command += ["mixtures", "speed_pyod"]
    two = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=two, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "speed_pyod: skipped" in done.stdout
    assert complete(tmp_path, "mixtures")["threads"] == 1  # this script does not choose


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [name for name in OWN if name != "mixtures"])
def test_a_quick_run_writes_a_complete_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: importing takes longer than most of these runs."""
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--no-peers", "--output", str(tmp_path)])
    runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
    complete(tmp_path, name)


def complete(folder: Path, name: str) -> dict:
    """Return a page that a quick run wrote, looked through."""
    assert {path.stem for path in folder.iterdir()} == {name}
    page, text = strict(folder / f"{name}.json"), (folder / f"{name}.md").read_text(encoding="utf-8")
    assert {"date", "cpu", "cores", "threads", "versions"} <= set(page)
    assert page["quick"]
    assert "quick run" in text
    rows = [row for table in page["tables"] for row in table["rows"]]
    assert rows
    for row in rows:
        assert all(isinstance(goal["met"], bool) for goal in row["goals"])
        assert all({"median", "min", "max"} <= set(cell) for cell in row["cells"].values())
        assert f"| {row['what']} |" in text
    return page


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_committed_results_are_strict_json_of_a_real_run_beside_their_page(path: Path) -> None:
    page = strict(path)
    assert not page["quick"]
    assert path.with_suffix(".md").read_text(encoding="utf-8").startswith(f"# {page['title']}\n")


def test_goals_are_judged_by_the_numbers() -> None:
    from measure import Goal, Spread

    cells = {"ratio": Spread.of([1.0, 3.0, 2.0])}
    assert Goal("ratio", 2).met(cells)
    assert not Goal("ratio", 2, statistic="min").met(cells)
    assert Goal("ratio", 2.5, below=True).met(cells)
    assert not Goal("ratio", 2, below=True).met(cells)


@pytest.mark.parametrize("variational", [False, True])
def test_the_bare_loop_has_engrams_network_and_loss(variational: bool) -> None:
    from bare import BareAutoencoder

    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(0))
    given = {"hidden": (8,), "code_size": 4, "max_epochs": 1, "random_state": 0}
    model = (VAE if variational else Autoencoder)(**given).fit(x.numpy())
    bare = BareAutoencoder([12, 8, 4], variational=variational)
    assert sorted(p.shape for p in bare.parameters()) == sorted(p.shape for p in model.network_.parameters())
    with torch.no_grad():
        nets = model.network_.train()
        for own, other in zip(linears(bare), linears(nets), strict=True):
            own.load_state_dict(other.state_dict())
        bare.log_scale.copy_(nets.decoder.likelihood.log_scale)
        torch.manual_seed(1)
        expected = sum(model.terms(model.turns(0)[0], nets, Batch(x)).values()).mean()
        torch.manual_seed(1)
        torch.testing.assert_close(bare.loss(x), expected)


def linears(net: torch.nn.Module) -> list[torch.nn.Linear]:
    return [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
