"""The rules of the house, held against the package as it stands."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pages import PACKAGE, ROOT

import engram
from engram.parameters import parameters_of
from engram.registry import BASELINES, METRICS, MODELS

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
FILES = sorted(PACKAGE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST | None = None) -> str:
    return path.relative_to(ROOT).as_posix() + (f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr) else "")


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    """All nodes of all files of the package."""
    return ((path, node) for path in FILES for node in ast.walk(tree(path)))


def where(wrong: Callable[[ast.AST], object]) -> list[str]:
    """The places in the package that a rule finds fault with."""
    return [place(path, node) for path, node in nodes() if wrong(node)]


# --- sizes ---


def test_files_have_fewer_than_400_lines() -> None:
    sizes = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: size for name, size in sizes.items() if size >= MOST_LINES_OF_A_FILE}


def test_functions_are_short() -> None:
    sizes = {f"{place(path, node)} {node.name}": length(node) for path, node in nodes() if isinstance(node, Function)}
    median, tenth = statistics.median(sizes.values()), statistics.quantiles(sizes.values(), n=10)[-1]
    longest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:10])
    told = f"median {median:.0f}, 90th percentile {tenth:.0f} lines; the longest: {longest}"
    assert max(sizes.values()) < MOST_LINES_OF_A_FUNCTION, told
    assert tenth <= 30, told


def length(function: Function) -> int:
    """Lines of a function without its docstring and its decorators."""
    text = ast.get_docstring(function, clean=False)
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - (text.count("\n") + 1 if text is not None else 0)


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [place(path) for path in FILES if path.stem in {"util", "utils", "helper", "helpers", "misc", "common"}]


# --- documentation ---


def test_every_module_has_a_docstring() -> None:
    assert not [place(path) for path in FILES if not ast.get_docstring(tree(path))]


def test_every_public_class_and_function_has_a_docstring() -> None:
    missing = [
        f"{place(path, node)} {node.name}"
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not missing


def test_every_public_method_is_documented_where_it_is_declared() -> None:
    """An overriding method may leave the words to the class that declares it."""
    methods = [
        (f"{place(path, method)} {name.name}.{method.name}", method)
        for path, name in nodes()
        if isinstance(name, ast.ClassDef) and not name.name.startswith("_")
        for method in name.body
        if isinstance(method, Function) and not method.name.startswith("_")
    ]
    declared = {method.name for _, method in methods if ast.get_docstring(method)} | {"forward"}  # torch declares it
    assert not [name for name, method in methods if method.name not in declared and not is_setter(method)]


def is_setter(method: Function) -> bool:
    return any(isinstance(d, ast.Attribute) and d.attr in ("setter", "overload") for d in method.decorator_list)


@pytest.mark.parametrize("cls", sorted({entry.value for entry in MODELS}, key=lambda c: c.__name__))
def test_the_docstring_of_a_model_names_every_parameter(cls: type) -> None:
    assert dataclasses.is_dataclass(cls)
    assert not [p.name for p in parameters_of(cls).values() if not p.help]


@pytest.mark.parametrize("registry", [MODELS, METRICS, BASELINES], ids=lambda registry: registry.what)
def test_every_registered_name_has_a_summary_in_one_line(registry: object) -> None:
    entries = list(registry)  # type: ignore[call-overload]
    assert entries
    assert not [e.name for e in entries if not e.summary.strip() or "\n" in e.summary]
    assert not [e.name for e in entries if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", e.name)]


def test_all_entries_of_the_package_stand_in_the_readmes_tree() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The tree")[2]
    block = text.partition("```\n")[2].partition("\n```")[0]
    named = {word.rstrip("/") for line in block.splitlines() for word in re.findall(r"(?<=  )\S+", line[:40])}
    entries = {
        path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert entries <= named, entries - named


def test_the_changelog_has_an_unreleased_section_that_says_something() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    assert "- " in section[1]


def test_decisions_are_numbered_without_gaps_and_have_a_status() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:5] for path in pages] == [f"{number:04d}-" for number in range(1, len(pages) + 1)]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# 0*{int(path.name[:4])}[.:] \S", text), path.name
        assert re.search(r"^(## Status\n+|Status: )(Accepted|accepted|Proposed|Superseded|superseded)", text, re.M), (
            path.name
        )


# --- one place for each thing ---


def test_one_file_goes_backward_and_steps() -> None:
    def calls(method: str) -> set[str]:
        found = where(lambda n: isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == method)
        return {name.partition(":")[0] for name in found}

    assert calls("backward") == {"engram/training/loop.py"}
    assert calls("step") == {"engram/training/loop.py"}
    assert calls("_fused_adamw_") == {"engram/training/optimiser.py"}
    assert not calls("zero_grad")
    assert not where(lambda n: isinstance(n, ast.Attribute) and ast.unparse(n) == "torch.optim")


def test_formulas_of_divergences_stand_in_maths_alone() -> None:
    """A statement with a log variance and its exponential is a KL, a density or a draw: those are in engram/maths."""

    def is_formula(node: ast.AST) -> bool:
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return):
            return False
        text = ast.unparse(node)
        return bool(re.search(r"log_?var\)?(\)|\.)*exp\(|exp\([^()]*log_?var", text)) and (
            len(re.findall(r"log_?var", text)) > 1 or "addcmul" in text
        )

    assert not [name for name in where(is_formula) if not name.startswith("engram/maths/")]
    assert [name for name in where(is_formula) if name.startswith("engram/maths/divergence.py")]


def test_the_words_of_other_libraries_are_no_names_here() -> None:
    """One word per thing (README and CONTRIBUTING use them too): discriminator, code, code size, kind."""
    others = {"netD", "netG", "critic", "dis", "n_components", "latent_dim", "latent_size", "z_dim", "modality"}

    def named(node: ast.AST) -> object:
        return {
            getattr(node, "id", None),
            getattr(node, "attr", None),
            getattr(node, "arg", None),
            getattr(node, "name", None),
        } & others

    assert not where(named)


# --- safety ---


def test_nothing_that_unpickles_is_imported() -> None:
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}

    def imports(node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name.partition(".")[0] in unsafe for alias in node.names)
        return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in unsafe

    assert not where(imports)


def test_no_text_is_run_as_code() -> None:
    assert not where(
        lambda n: (
            isinstance(n, ast.Call)
            and isinstance(n.func, ast.Name)
            and n.func.id in {"eval", "exec", "compile", "__import__"}
        )
    )


def test_nothing_is_loaded_that_could_hold_code() -> None:
    """One file reads what torch saved, published weights, and lets torch take nothing out of it but tensors."""
    assert [name.partition(":")[0] for name in where(loads)] == ["engram/networks/inception_weights.py"]
    calls = [node for path, node in nodes() if isinstance(node, ast.Call) and loads(node.func)]
    assert [[ast.unparse(k) for k in call.keywords if k.arg == "weights_only"] for call in calls] == [
        ["weights_only=True"]
    ]
    assert not where(lambda n: isinstance(n, ast.keyword) and n.arg == "allow_pickle" and not is_false(n.value))


def loads(node: ast.AST) -> bool:
    """Whether a function that can unpickle is named, by its full name or by its own."""
    loaders = {"torch.load", "torch.hub.load", "torch.jit.load", "pd.read_pickle", "yaml.load", "yaml.unsafe_load"}
    if isinstance(node, ast.ImportFrom):
        return any(f"{node.module}.{alias.name}" in loaders for alias in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node) in loaders


def is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_no_module_of_the_package_imports_its_root() -> None:
    def imports_root(node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name == "engram" for alias in node.names)
        return isinstance(node, ast.ImportFrom) and (node.level > 0 or node.module == "engram")

    assert not [name for name in where(imports_root) if not name.startswith("engram/__init__.py")]


def test_no_committed_file_names_this_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    private = re.compile(
        r"(?<![\w.])/(work|root|home/\w+|Users/\w+)/|/tmp/(env|bash)|index[-_]url|(pypi|pythonhosted)\.org|artifactory|nexus\."
    )
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1):
            if private.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert not found


# --- the public names ---


def test_the_public_names_are_sorted_and_can_all_be_imported() -> None:
    assert list(engram.__all__) == sorted(engram.__all__, key=natural)
    for name in engram.__all__:
        assert getattr(engram, name) is not None
        assert name in dir(engram)
    with pytest.raises(AttributeError, match="has no attribute 'Autoencodr'"):
        engram.Autoencodr  # noqa: B018


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py" and p.parent != PACKAGE], ids=place)
def test_what_a_package_exports_is_sorted_and_exists(path: Path) -> None:
    package = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    exported = getattr(package, "__all__", [])
    assert sorted(exported, key=natural) == list(exported)
    assert all(hasattr(package, name) for name in exported)


def natural(name: str) -> tuple[int, str]:
    """The order that ruff keeps: constants, classes, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_the_version_is_said_in_one_place() -> None:
    from engram.version import VERSION

    assert engram.__version__ == VERSION
    assert [place(path) for path in FILES if f'"{VERSION}"' in path.read_text(encoding="utf-8")] == [
        "engram/version.py"
    ]
