"""The page: whole in itself, flagged cases first, names as they are, every picture found and described."""

from __future__ import annotations

import datetime
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import CHROMIUM, visit
from PIL import Image

from synthct.preprocessing.case_picture import picture_size
from synthct.preprocessing.case_report import picture_path
from synthct.preprocessing.findings import Findings
from synthct.preprocessing.preprocessing_report import write_report

DATE = datetime.date(2026, 11, 25)
MR, CT = {"MR head (L)": 4.2, "MR window": "0 to 3500"}, {"CT head (L)": 4.1}
PAIR = MR | CT | {"Paired": "yes"}
ODD = 'B#2 "50%" <&>'


class Page(HTMLParser):
    """What a browser would see: the text, the cases in order, and every address that it would load or go to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.cases, self.images, self.links, self.open_tags = "", [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "link", "img", "br", "input"):
            self.open_tags.append(tag)
        if tag == "article":
            self.cases.append(attributes)
        if tag == "img":
            self.images.append(attributes)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def written(tmp_path):
    def write(findings: list[Findings], **options) -> Page:
        path = write_report(tmp_path, "Dataset001_Heads", {f.patient: f for f in findings}, date=DATE, **options)
        assert path == tmp_path / "preprocessing_report.html"
        page = Page(path)
        assert page.open_tags == []
        return page

    return write


def test_flagged_cases_come_first_then_all_by_name(written):
    page = written([Findings("C", (), MR), Findings("D", ("bad.",), CT), Findings("A", (), MR)])
    assert [case["id"] for case in page.cases] == ["case-D", "case-A", "case-C"]
    assert [case["class"] for case in page.cases] == ["case flagged", "case", "case"]


def test_the_summary_counts_and_says_where_it_is_from(written):
    cases = [Findings("P", (), PAIR), Findings("M", (), MR), Findings("C", ("bad.",), CT), Findings("A", (), MR | CT)]
    text = written(cases, spacing_mm=(1.0, 0.87, 0.87), hints=["A <hint>."]).text
    pairs = "1 paired, 1 MR alone, 1 CT alone, 1 not aligned"
    for words in (
        "Dataset001_Heads", "4 training cases, 1 flagged", pairs, "2026-11-25", "1 x 0.87 x 0.87 mm", "A <hint>.",
    ):  # fmt: skip
        assert words in text


def test_nothing_is_loaded_from_elsewhere_and_pictures_only_when_scrolled_to(written, tmp_path):
    page = written([Findings(ODD, ("bad.",), MR | CT), Findings("M", (), MR)])
    assert all(link.startswith(("report/", "#", "data:")) for link in page.links)
    html = (tmp_path / "preprocessing_report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", html) and "default-src 'none'" in html
    assert [image["loading"] for image in page.images] == ["lazy", "lazy"]
    assert [unquote(image["src"]) for image in page.images] == [
        picture_path(tmp_path, patient).relative_to(tmp_path).as_posix() for patient in (ODD, "M")]  # fmt: skip
    assert [(image["width"], image["height"]) for image in page.images] == [
        tuple(map(str, picture_size(rows))) for rows in (3, 1)]  # fmt: skip


def test_every_picture_is_described_in_words(written):
    page = written([Findings("P", (), MR | CT), Findings("C", (), CT)])
    assert [image["alt"].partition(",")[0] for image in page.images] == ["C: CT", "P: MR"]
    assert "checkerboard" in page.images[1]["alt"] and "checkerboard" not in page.images[0]["alt"]


def test_odd_names_and_sentences_stay_text(written):
    page = written([Findings(ODD, ("a < b & c.",), {"MR window": "<b>"})])
    assert page.cases[0]["id"] == f"case-{ODD}" and ODD in page.text
    assert "a < b & c." in page.text and "<b>" in page.text
    assert unquote(next(link for link in page.links if link.startswith("#case"))) == f"#case-{ODD}"


def test_flags_that_differ_in_numbers_alone_are_reported_once_with_links(written):
    cases = [Findings(f"P{i:02d}", (f"Dice 0.{i:02d} is low.",), MR) for i in range(20)] + [
        Findings("Q", ("odd 7.",), MR)
    ]
    page = written(cases)
    assert page.text.count("20 cases (P00, P01") == 1 and "and 8 more): Dice … is low." in page.text
    assert "1 case (Q): odd 7." in page.text
    assert page.links.count("#case-P11") == 1 and "#case-P12" not in page.links


def test_facts_of_mr_and_ct_stand_side_by_side(written):
    text = "".join(written([Findings("P", (), MR | CT | {"Dice of the heads": 0.5})]).text.split("\n"))
    assert "MRCThead (L)4.24.1window0 to 3500Dice of the heads0.5" in text


def test_the_same_page_is_not_written_again(written, tmp_path):
    written([Findings("P", (), MR)])
    os.utime(tmp_path / "preprocessing_report.html", ns=(1, 1))
    written([Findings("P", (), MR)])
    assert (tmp_path / "preprocessing_report.html").stat().st_mtime_ns == 1
    written([Findings("P", ("bad.",), MR)])
    assert (tmp_path / "preprocessing_report.html").stat().st_mtime_ns > 1


def test_a_page_of_500_cases_is_small(written, tmp_path):
    page = written([Findings(f"P{i:03d}", ("bad 1.",) if i % 9 == 0 else (), MR | CT) for i in range(500)])
    assert len(page.images) == 500
    assert (tmp_path / "preprocessing_report.html").stat().st_size < 1_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the report was not opened in a browser")
def test_a_browser_shows_the_pictures_and_the_flagged_cases_alone(written, tmp_path):
    written([Findings("P", ("bad.",), MR), Findings(ODD, (), MR)])
    for patient in ("P", ODD):
        picture_path(tmp_path, patient).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 6)).save(picture_path(tmp_path, patient))
    seen = visit(
        tmp_path / "preprocessing_report.html",
        """const pictures = [...document.images];
        for (const one of pictures) one.loading = "eager";
        await until(() => pictures.every((one) => one.complete));
        const states = { widths: pictures.map((one) => one.naturalWidth), all: text("shown") };
        document.getElementById("only").click(); states.flagged = text("shown");
        location.hash = encodeURIComponent(document.querySelectorAll("article")[1].id);
        await until(() => text("shown") !== states.flagged); states.linked = text("shown");
        return states;""",
    )
    assert seen.console == []
    assert seen.result == {
        "widths": [8, 8],
        "all": "2 of 2 cases shown",
        "flagged": "1 of 2 cases shown",
        "linked": "2 of 2 cases shown",
    }
