"""The command line as a whole: its surface, its help, its JSON, and what it makes of whatever goes wrong inside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from commands import answer, engram

from engram.cli import program
from engram.errors import MissingExtraError
from engram.version import VERSION

# --- the surface ---


def surface(command: click.Command, name: str = "engram") -> dict[str, list[str]]:
    """Return the options and arguments of a command and of all below it."""
    context = click.Context(command)
    shown = [opt for parameter in command.get_params(context) for opt in (parameter.opts + parameter.secondary_opts)]
    found = {name: sorted(shown)}
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            found |= surface(below, f"{name} {child}")
    return found


EVERYWHERE = ["--debug", "--help", "--json", "--quiet", "-h"]
SURFACE = {
    "engram": ["--help", "--version", "-V", "-h"],
    "engram demo": ["--force", "--output", "--seed"],
    "engram fit": ["--help", "-h"],
    "engram apply": [
        *("--dry-run", "--force", "--get", "--header", "--label", "--output", "--resume"),
        *("-o", "run", "source"),
    ],
    "engram sample": ["--dry-run", "--force", "--given", "--label", "--output", "--rows", "--seed", "-n", "-o", "run"],
    "engram decode": ["--dry-run", "--force", "--header", "--label", "--output", "-o", "codes", "run"],
    "engram evaluate": [
        "--force",
        "--header",
        "--label",
        "--metric",
        "--output",
        "--seed",
        "--train",
        "-o",
        "run",
        "source",
    ],
    "engram compare": [
        *("--force", "--header", "--label", "--metric", "--output", "--seed", "--train", "-o"),
        *("runs", "source"),
    ],
    "engram inspect": ["run"],
    "engram list": ["what"],
    "engram doctor": [],
}
FIT = [
    "--column",
    "--drop",
    "--dry-run",
    "--force",
    "--header",
    "--label",
    "--output",
    "--resume",
    "--seed",
    "-o",
    "source",
]
FIT += ["--size", "--resize"]


def test_the_surface_is_as_written_down():
    context = click.Context(program, **{"help_option_names": ["-h", "--help"]})
    assert program.list_commands(context) == [
        *("demo", "fit", "apply", "sample", "decode", "evaluate", "compare", "inspect", "list", "doctor"),
    ]
    for name, expected in SURFACE.items():
        words = name.split()[1:]
        command = program.get_command(context, words[0]) if words else program
        assert command is not None
        shown = [o for p in command.get_params(context) for o in p.opts]
        assert sorted(shown) == sorted(set(expected) | set(EVERYWHERE if words and words != ["fit"] else []))


@pytest.mark.parametrize(
    "name",
    ["autoencoder", "vae", "beta-vae", "denoising-autoencoder", "convolutional-autoencoder", "sparse-autoencoder"],
)
def test_the_flags_of_a_model_are_its_parameters(name: str):
    from engram.parameters import parameters_of
    from engram.registry import MODELS

    context = click.Context(program, help_option_names=["-h", "--help"])
    fit = program.get_command(context, "fit")
    assert isinstance(fit, click.Group)
    command = fit.get_command(context, name)
    assert command is not None
    known = parameters_of(MODELS[name].value)
    expected = {p.flag for p in known.values() if p.is_simple}
    expected -= {"--columns", "--random-state", "--verbose", "--warm-start"}
    shown = {o for p in command.get_params(context) for o in p.opts}
    assert shown == expected | set(FIT) | set(EVERYWHERE)
    told = engram("fit", name, "--help").stdout
    for flag in expected:
        assert flag in told
    assert "[default: auto]" in told


@pytest.mark.parametrize(
    "command", ["", "demo", "fit", "apply", "sample", "decode", "evaluate", "compare", "inspect", "list", "doctor"]
)
def test_every_command_has_help(command: str):
    told = engram(*command.split(), "--help").stdout
    assert told.startswith("Usage: engram")
    assert "\b" not in told
    assert "\x1b" not in told


def test_a_variants_own_defaults_stand_in_its_help():
    told = " ".join(engram("fit", "denoising-autoencoder", "--help").stdout.split())
    assert "(counts). [default: gaussian]" in told


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys\nfrom engram.cli import program\n"
        "for flag in ('--help', '--version'):\n"
        "    try: program.main([flag])\n"
        "    except SystemExit as stop: assert stop.code == 0, stop\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'pandas', 'pydantic', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"engram {VERSION}\n" in done.stdout


def test_list_tells_names_with_summaries():
    found = answer("list")["result"]
    assert set(found) == {"apps", "models", "metrics", "baselines", "likelihoods"}
    assert {"autoencoder", "vae"} <= set(found["models"])
    assert {"pca", "knn", "mean", "isolation-forest"} <= set(found["baselines"])
    assert {"normal", "bernoulli"} <= set(found["likelihoods"])
    assert all(text for part in found.values() for text in part.values())
    assert engram("list", "metrics").stdout.startswith("metrics\n")


def test_list_leaves_out_nothing_that_reports_tell_and_says_what_can_be_asked_for():
    from engram.evaluation import listed, recommendation, synthetic, topics
    from engram.evaluation.report import OF_MODEL
    from engram.registry import METRICS

    found = answer("list")["result"]
    told = {
        *(one.name for one in (topics.COHERENCE, topics.DIVERSITY, *topics.AGREEMENT)),
        *recommendation.UNITS,
        *synthetic.UNITS,
        *OF_MODEL,
        "weights-rmse",
        "utility",
        *METRICS.names(),
    }
    assert set(found["metrics"]) == told
    assert all(len(text) > 20 for text in found["metrics"].values())
    assert found["metrics"]["purity"].endswith("Only of topics; not by --metric.")
    asked = {name for name, text in found["metrics"].items() if "ot by --metric" not in text}
    assert asked == {*METRICS.names(), "exact-copies"} - {"inception-score", "path-length"}
    assert {"nmf", "lda", "smote", "gaussian-copula", "ease", "item-knn", "pca"} <= set(found["baselines"])
    assert set(listed.DEFINED) == {name for names in listed.MEASURES.values() for name in names}


# --- what goes wrong in the program itself ---


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (RuntimeError("odd"), 1, "unexpected RuntimeError: odd"),
        (MemoryError(), 6, "does not fit into memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 6, "does not fit into memory"),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device: 'x'"),
        (MissingExtraError("install it"), 5, "install it"),
    ],
)
def test_whatever_happens_is_one_message(monkeypatch, raised: BaseException, code: int, told: str):
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("engram.cli.listing.names", fail)
    done = engram("list", code=code)
    assert done.stdout == ""
    assert told in done.stderr
    error = answer("list", code=code)["error"]
    assert told in error["message"]
    assert error["exit_code"] == code
    traced = CliRunner().invoke(program, ["list", "--debug"])
    assert traced.exit_code == code
    assert "Traceback" in traced.stderr


def test_ctrl_c_is_one_message_after_the_line_that_it_ends(monkeypatch):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engram.cli.listing.names", fail)
    plain, told = engram("list", code=130), "interrupted; nothing was left half-written."
    assert (plain.stdout, plain.stderr) == ("", f"\nerror: {told}\n")
    found = engram("list", "--json", code=130)
    assert found.stderr == "\n"
    assert json.loads(found.stdout)["error"] == {"type": "Interrupted", "message": told, "exit_code": 130}
    traced = CliRunner().invoke(program, ["list", "--debug"])
    assert traced.exit_code == 130
    assert "Traceback" in traced.stderr
    assert f"error: {told}" in traced.stderr


def test_a_closed_pipe_is_quiet(monkeypatch):
    def fail(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("engram.cli.listing.names", fail)
    done = engram("list", code=141)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.usefixtures("fits")
def test_demo_writes_three_runs_and_prints_what_it_found(tmp_path: Path):
    done = engram("demo", "--output", tmp_path / "demo")
    for text in ("pca", "knn", "isolation-forest", "auroc", "engram fit autoencoder DATA.csv"):
        assert text in done.stdout
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == [
        "digits-autoencoder",
        "digits-vae",
        "planted-anomalies",
    ]
    assert (tmp_path / "demo" / "digits-vae" / "samples.png").exists()
    assert "exists already" in engram("demo", "--output", tmp_path / "demo", code=4).stderr
