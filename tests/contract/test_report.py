"""What a report page promises: every section that the model and the data allow, well-formed, self-contained, bounded."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine

import engram
from engram.evaluation import Report, charts, evaluate, sections
from engram.evaluation.examples import text
from engram.evaluation.report import Result
from engram.evaluation.svg import Frame, number, ticks
from engram.models.autoencoder import Autoencoder
from engram.models.vae import VAE
from engram.training import Finding

BAD = "<script>alert(1)</script>"
LARGEST = 3 << 20
SECTIONS = ["findings", "results", "rows", "map", "units", "traversals", "scores", "learning", "data", "chosen"]
VOID = {"meta", "img", "br", "link", "hr", "input"}


def messy(n: int = 160) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    z = random.normal(size=n)
    frame = pd.DataFrame(
        {
            BAD: z + 0.1 * random.normal(size=n),
            "price & more": 50 * z + random.normal(size=n),
            'city"': np.where(z > 0, "<b>Oslo</b>", "Rome"),
            "member": z + random.normal(size=n) > 0,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta((300 * z).round(), unit="D"),
            "note": [f"{BAD} {i}" for i in range(n)],
        }
    )
    frame.loc[random.random(n) < 0.2, "price & more"] = np.nan
    frame.loc[random.random(n) < 0.2, 'city"'] = None
    return frame, np.where(z > 1, "</style><img src=x>", "normal")


def wine() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_wine(as_frame=True)
    order = np.random.default_rng(0).permutation(len(data.data))
    return data.data.iloc[order], data.target.to_numpy()[order]


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.images[:300], data.target[:300]


CASES = {"digits": (VAE, digits), "wine": (Autoencoder, wine), "messy": (VAE, messy)}


@functools.cache
def judged(name: str) -> Report:
    model, load = CASES[name]
    X, y = load()
    half = len(X) // 2
    return evaluate(model(max_epochs=5, random_state=0).fit(X[:half]), X[half:], y[half:], train=X[:half])


@functools.cache
def page_of(name: str) -> str:
    return judged(name).to_html()


class Balanced(HTMLParser):
    """Checks that every tag is closed in order, and collects what is needed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.seen.append((tag, dict(attrs)))
        if dict(attrs).get("id"):
            self.ids.append(str(dict(attrs)["id"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize("name", CASES)
def test_every_section_is_there_and_the_page_is_well_formed(name: str) -> None:
    found = parsed(page_of(name))
    at, more = SECTIONS.index("scores"), (["ways"] if name == "digits" else []) + ["nearest"]
    sections = [*SECTIONS[:at], *more, *SECTIONS[at:]]
    assert found.ids == sections
    assert {a["href"] for tag, a in found.seen if tag == "a"} == {f"#{s}" for s in sections}
    assert sum(tag == "h1" for tag, _ in found.seen) == 1
    for tag, attributes in found.seen:
        if tag == "img":
            assert attributes.get("alt")
            assert str(attributes["src"]).startswith("data:image/png;base64,")
        if tag == "svg":
            assert attributes.get("aria-label")
        assert not any(name.startswith("on") for name in attributes)


@pytest.mark.parametrize("name", CASES)
def test_nothing_runs_and_nothing_is_loaded(name: str) -> None:
    page = page_of(name)
    assert "<script" not in page.lower()
    assert not re.search(
        r"https?://|//\w|@import|url\(", page.replace("data:image/png;base64", "").partition("<body>")[0]
    )
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page
    assert len(page.encode()) < LARGEST


def test_texts_of_the_user_are_texts() -> None:
    page = page_of("messy")
    for bad in (BAD, "<b>Oslo", "</style><img"):
        assert bad not in page
    told = "".join(parsed(page).texts)
    assert BAD in told
    assert "<b>Oslo</b>" in told
    assert page.count("</style>") == 1


@pytest.mark.parametrize("name", CASES)
def test_the_json_is_strict_and_holds_the_same_facts(name: str, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    path = tmp_path / "report.json"
    judged(name).save_json(path)
    found = json.loads(path.read_text(), parse_constant=refuse)
    facts = found["facts"]
    wanted = {"data", "chosen", "learning", "codes", "units", "traversals", "scores"}
    assert set(facts) == (wanted if name == "digits" else wanted | {"rows", "neighbours"})
    assert found["headline"] == judged(name).headline()
    assert path.stat().st_size < LARGEST
    assert [entry["name"] for entry in facts["chosen"]][:3] == ["kind", "code_size", "network"]
    assert next(e for e in facts["chosen"] if e["name"] == "max_epochs") == {
        "name": "max_epochs", "value": "5", "given": True, "why": "as given",
    }  # fmt: skip
    for shares in facts["scores"]["groups"].values():
        assert sum(shares) == pytest.approx(1, abs=1e-6)


def test_the_headline_says_how_it_went() -> None:
    told = judged("digits").headline()
    assert re.match(r"Reconstructs unseen rows with R2 -?\.\d\d, .*PCA with the same code size \.\d\d\.", told)
    count = len(judged("digits").findings)
    assert told.endswith("No findings." if not count else f"{count} finding{'s' * (count > 1)}.")
    assert "AUROC" in judged("messy").headline()
    assert "AUROC" not in told


@pytest.mark.parametrize(
    ("rows", "top", "under"),
    [
        (
            ("real", "reconstructed", "generated"),
            ["row 7", "row 9", "generated"],
            ["real", "back", "real", "back", "a"],
        ),
        (("real", "generated"), ["real", "generated"], ["row 7", "row 9", "a"]),
        (("real",), [], ["row 7", "row 9"]),
    ],
)
def test_both_lines_of_the_head_of_rows_say_the_same_things(
    rows: tuple[str, ...], top: list[str], under: list[str]
) -> None:
    cells = {"real": [["1"], ["2"]], "reconstructed": [["3"], ["4"]], "generated": [["5"]]}
    told = {"rows": {what: cells[what] for what in rows}, "columns": ["a"], "columns_in_all": 1, "distributions": []}
    told |= {"numbers": [7, 9], "by": "index"}
    *above, second, body = re.findall(r"<tr>(.*?)</tr>", sections.table_rows(told))
    first = above[0] if top else ""
    heads = re.findall(r'<th(?: colspan="(\d+)")? ?[^>]*>([^<]*)</th>', first)[1:]
    assert [head for _, head in heads] == top
    assert re.findall(r"<th[^>]*>([^<]*)</th>", second)[1:] == under
    assert not top or sum(int(span) for span, _ in heads) == len(under)
    assert len(under) == body.count("<td ") - 1


def test_a_note_stands_once_in_a_page_and_a_baseline_is_no_capital_letter() -> None:
    X, _ = wine()
    detector = engram.AnomalyDetector(max_epochs=1, n_models=2, random_state=0).fit(X[:80])
    report = evaluate(detector, X[80:], train=X[:80])
    told = sections.protocol(report)
    assert told.count("rows were planted") == 1
    better = [f for f in report.findings if f.kind == "worse-than-baseline"]
    assert all(sections.sentence(f.message).startswith("The baseline ") for f in better)


def test_findings_come_first_with_their_advice() -> None:
    report = judged("wine")
    report = Report(
        report.model, report.metrics, report.baselines, [Finding("some-kind", "it <i> is", "Do & try")], report.protocol
    )
    page = report.to_html()
    assert page.index("It &lt;i&gt; is.") < page.index('id="results"')
    assert "Do &amp; try" in page
    assert parsed(page).ids == ["findings", "results"]  # nothing gathered, nothing shown


def test_columns_are_described_and_counted() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 2)) @ random.normal(size=(2, 70))
    report = evaluate(Autoencoder(code_size=2, max_epochs=2, random_state=0).fit(X[:40]), X[40:])
    data = report.look.facts["data"]
    assert len(data["columns"]) == 50
    assert data["columns_in_all"] == 70
    assert "and 20 more columns" in report.to_html()
    messy_data = judged("messy").look.facts["data"]
    by_name = {column["name"]: column for column in messy_data["columns"]}
    assert by_name["price & more"]["missing"] > 0
    assert by_name['city"']["told"].startswith("2 values: ")
    assert by_name["note"]["r2"] is None
    learned = [c for c in messy_data["columns"] if "ignored" not in c["told"]]
    assert messy_data["missing_cells"] == sum(column["missing"] for column in learned)


def test_cells_of_ignored_columns_are_not_counted_and_a_category_of_one_value_is_told_so() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60), "currency": "EUR"})
    frame["empty"] = np.nan
    frame.loc[:4, "a"] = np.nan
    report = evaluate(engram.AnomalyDetector(max_epochs=1, random_state=0).fit(frame), frame)
    assert "5 cells are missing in the columns that are learned from." in report.to_html()
    assert {c["name"]: c["told"] for c in report.look.facts["data"]["columns"]}["currency"] == "always EUR"


def test_a_table_of_results_is_as_wide_as_a_page_or_stands_on_its_side() -> None:
    def report(names: list[str]) -> Report:
        found = [Result(name, "VAE", 0.1234, 0.0056, "higher", "nats", {}) for name in names]
        return Report("VAE", found, [], [], {"rows": 10, "split": "all", "baseline_rows": 10})

    few, long = ["r2"] * 5, [f"negative-log-likelihood-{i}" for i in range(4)]
    assert 'class="name unit"' not in sections.results(report(few))
    assert sections.results(report(long)).count('class="name unit"') == 4


def test_points_of_a_curve_that_are_left_out_are_told() -> None:
    told = {"epochs": list(range(30)), "training": [1000.0, 900.0, *(10 - 0.1 * i for i in range(28))]}
    told |= {"held_out": [None] * 30, "kept_epoch": None, "terms": {}}
    assert "2 points lie higher: drawn at the upper edge" in charts.loss_chart(told)
    told["training"] = [10 - 0.1 * i for i in range(30)]  # nothing is cut where nothing needs to be
    assert "edge" not in charts.loss_chart(told)
    assert charts._robust(told["training"])[1] > 10


def test_r2_by_column_is_that_of_the_reconstruction() -> None:
    X, _ = wine()
    half = len(X) // 2
    model = Autoencoder(max_epochs=3, random_state=0).fit(X[:half])
    told = {c["name"]: c["r2"] for c in evaluate(model, X[half:]).look.facts["data"]["columns"]}
    back = model.reconstruct(X[half:])
    for name in X:
        rest = ((X[half:][name].to_numpy() - back[name].to_numpy()) ** 2).sum()
        assert told[name] == pytest.approx(1 - rest / ((X[half:][name] - X[half:][name].mean()) ** 2).sum(), abs=1e-4)


def test_a_unit_that_carries_a_column_moves_it() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(200, 2))
    frame = pd.DataFrame({"a": z[:, 0], "b": z[:, 0], "c": 3 * z[:, 1], "side": np.where(z[:, 0] > 0, "left", "right")})
    model = Autoencoder(code_size=2, hidden=(), max_epochs=60, random_state=0).fit(frame)
    units = evaluate(model, frame).look.facts["traversals"]["units"]
    assert len(units) == 2
    assert {"a", "b", "c"} <= {column["column"] for unit in units for column in unit["columns"]}
    assert all(column["moved"] >= 0.1 for unit in units for column in unit["columns"])


def test_one_row_and_rows_without_labels_have_a_page() -> None:
    X, y = wine()
    model = Autoencoder(max_epochs=1, random_state=0).fit(X)
    for rows, labels in ((X[:1], y[:1]), (X[:1], None), (X[:7], np.linspace(0, 1, 7)), (X[:12], np.arange(12.0))):
        found = parsed(evaluate(model, rows, labels).to_html())
        assert {"findings", "results", "learning", "chosen"} <= set(found.ids)


def test_large_colour_pictures_stay_small() -> None:
    X = np.random.default_rng(0).integers(256, size=(16, 80, 72, 3), dtype=np.uint8)
    model = VAE(code_size=8, hidden=(4,), network="mlp", max_epochs=1, random_state=0).fit(X)
    page = evaluate(model, X).to_html()
    assert {"rows", "data"} <= set(parsed(page).ids)
    assert len(page.encode()) < LARGEST


def test_the_same_seed_gives_the_same_page() -> None:
    _, load = CASES["messy"]
    X, y = load()
    model = VAE(max_epochs=1, random_state=0).fit(X[:80])
    assert evaluate(model, X[80:], y[80:]).to_html() == evaluate(model, X[80:], y[80:]).to_html()


# --- pieces ---


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 8.8), (1e-9, 2e-9), (1e6, 3e7), (5, 5), (0, float("nan"))])
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert len(found) <= 11
    assert all(low - 1e-9 * abs(low) <= t <= high + 1e-9 * abs(high) for t in found if high > low)
    assert all(number(t) for t in found)


def test_what_is_drawn_stays_inside_its_frame() -> None:
    frame = Frame(100, 50, (0, 1), (0, 1))
    drawn = frame.line([0, 0.5, 2, float("nan")], [-9, 0.5, 9, 1], "c0")
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d", drawn)]
    assert len(numbers) == 6
    assert all(0 <= n <= 100 for n in numbers)


def test_cells_are_short_texts() -> None:
    cells = [None, float("nan"), pd.NaT, True, 1.23456, 123456, pd.Timestamp("2020-01-02"), "x" * 99]
    assert [text(cell) for cell in cells] == ["–", "–", "–", "yes", "1.235", "123,456", "2020-01-02", "x" * 27 + "…"]


# --- in a browser ---


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("name", CASES)
def test_a_browser_draws_the_page_without_an_error(name: str, tmp_path: Path) -> None:
    judged(name).save_html(tmp_path / "report.html")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--enable-logging=stderr",
    ]
    shot = tmp_path / "page.png"
    done = subprocess.run(
        ["chromium", *flags, "--window-size=1100,3000", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}",
         (tmp_path / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shot.stat().st_size > 20_000
    assert "CONSOLE" not in done.stderr


def test_the_best_detection_is_the_one_nearest_to_chance() -> None:
    values = {"Model": 0.49, "smote": 0.35, "real rows": 0.5, "copula": 0.52}
    results = [Result("detection", name, value, 0.01, "nearer to .5", "area", {}) for name, value in values.items()]
    report = Report("Model", results[:1], results[1:], [], {"rows": 10, "split": "all", "baseline_rows": 10})
    assert [name for name, (_, is_best) in report.cells("detection").items() if is_best] == ["Model"]
