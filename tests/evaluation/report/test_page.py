import datetime
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_up import make_model
from made_up_report import content, figure_files, row

from synthct.evaluation.compared import Candidate
from synthct.evaluation.comparison import Comparison
from synthct.evaluation.report import REPORT_NAME, pictures, write_report
from synthct.evaluation.report.provenance import commands_of_models
from synthct.evaluation.report.qa_status import QaStatus, read_statuses
from synthct.evaluation.trained_models import find_models
from synthct.files import write_json


def written(folder, made):
    return write_report(folder, made, date=datetime.date(2026, 11, 25)).read_text(encoding="utf-8")


class Elements(HTMLParser):
    """All elements with their attributes; raises where they do not nest."""

    VOID = {"meta", "link", "img", "br", "input"}

    def __init__(self, html):
        super().__init__()
        self.found, self.open = [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_in_itself_and_well_formed(tmp_path):
    figures = figure_files(tmp_path, ["figure_patients.png", "figure4_cyclegan_P1.png"])
    page = written(tmp_path, content(figures=figures))
    elements = Elements(page).found
    for tag, attributes in elements:
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    outside_volumes = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|@import|url\(", outside_volumes)
    assert "default-src 'none'" in page
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for tag, attributes in elements if tag == "a"]
    assert set(links) <= set(ids) and "viewer" in links
    pictures_shown = [attributes for tag, attributes in elements if tag == "img"]
    assert len(pictures_shown) == 2 and all(picture["alt"] for picture in pictures_shown)
    assert all(int(picture["width"]) <= 1400 for picture in pictures_shown)


def test_rows_are_worst_first_and_names_are_escaped(tmp_path):
    made = content({"cyclegan": {"<b>P1": 20.0, "P2": 80.0}, "a&b": {"P2": 30.0}}, volumes=[])
    page = written(tmp_path, replace(made, warnings=["P2 has <no> ears."], title="<Dataset>"))
    table = page[page.index('id="table-patients"') :]
    order = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td>', table)
    assert order == [("P2", "cyclegan"), ("P2", "a&amp;b"), ("&lt;b&gt;P1", "cyclegan")]
    assert "<b>P1" not in page and "P2 has &lt;no&gt; ears." in page and "<title>&lt;Dataset&gt;</title>" in page
    assert 'id="viewer-data"' not in page and 'href="#viewer"' not in page  # no volumes, no viewer


def test_a_case_id_cannot_end_the_index_of_the_viewer(tmp_path):
    made = content({"cyclegan": {"</script>P1": 20.0}})
    page = written(tmp_path, made)
    index = json.loads(re.search(r'id="viewer-data">(.*?)</script>', page, re.DOTALL)[1])
    assert index["patients"][0]["patient"] == "</script>P1"


def test_numbers_that_cannot_be_computed_are_dashes_and_sort_last(tmp_path):
    rows = {"cyclegan": [row("P1", 20.0, psnr_db=float("inf")), row("P2", 30.0, mae_bone_hu=-5.04)]}
    page = written(tmp_path, replace(content(volumes=[]), rows=rows))
    table = page[page.index('id="table-patients"') :]
    assert '<td class="number" data-value="1e999">∞</td>' in table
    assert '<td class="number" data-value="">–</td>' in table
    assert '<td class="number" data-value="-5.04">−5.0</td>' in table


def test_comparisons_are_sentences_and_the_seeds_metrics_come_first(tmp_path):
    comparisons = [
        Comparison(metric, "a", "b", 3, 1.0, 1.0, 0.5, f"By {metric} they differ.", main=metric == "mae_hu")
        for metric in ("mae_hu", "wepl_p95_mm")
    ]
    page = written(tmp_path, content(comparisons=comparisons, volumes=[]))
    assert page.index("By mae_hu they differ.") < page.index("By the other metrics (1)") < page.index("By wepl_p95_mm")


@pytest.mark.parametrize(
    ("others", "words"), [({}, ""), ({"mean_ct": {"P1": 9.0}}, " but the trivial CTs in the table")]
)
def test_a_single_model_is_compared_with_constant_cts_only_where_there_are_some(others, words, tmp_path):
    page = written(tmp_path, content({"one": {"P1": 1.0}} | others, volumes=[]))
    assert f"nothing to compare it with{words}.<" in page


def test_statuses_are_read_from_beside_the_scts_and_shown_with_their_reasons(tmp_path, caplog):
    held_out, predicted = tmp_path / "fold_0" / "validation" / "P1.nii.gz", tmp_path / "cts" / "P2.nii.gz"
    write_json({"status": "fail", "reasons": ["No head <was> found."]}, tmp_path / "fold_0/validation_qa/P1.json")
    write_json({"status": "pass", "reasons": []}, tmp_path / "cts/qa/P2.json")
    write_json({"status": "perhaps"}, tmp_path / "cts/qa/P3.json")
    candidates = {
        "P1": {"cyclegan": Candidate(held_out), "mean_ct": Candidate(5.0)},
        "P2": {"cyclegan": Candidate(predicted)},
        "P3": {"cyclegan": Candidate(predicted.with_name("P3.nii.gz"))},
    }
    statuses = read_statuses(candidates, ["cyclegan"])
    assert statuses == {
        ("cyclegan", "P1"): QaStatus("fail", ("No head <was> found.",)),
        ("cyclegan", "P2"): QaStatus("pass", ()),
    }
    assert "P3.json" in caplog.text
    page = written(tmp_path, content(statuses=statuses, volumes=[]))
    assert "No head &lt;was&gt; found." in page and "1 pass" in page
    assert "not checked" in page  # those of pix2pix
    assert "not checked" not in written(tmp_path, content(volumes=[]))


def test_reasons_stand_below_the_table_by_patient_and_rows_link_to_them(tmp_path):
    maes = {"cyclegan": {"<P1>": 20.0, "P2": 80.0, "P3": 30.0}, "pix2pix": {"<P1>": 90.0, "P2": 10.0, "P3": 5.0}}
    statuses = {
        ("cyclegan", "<P1>"): QaStatus("check", ("The head is cut.", "The neck is cut.")),
        ("pix2pix", "<P1>"): QaStatus("fail", ("No head was found.",)),
        ("cyclegan", "P2"): QaStatus("check", ("It moved.",)),
        ("cyclegan", "P3"): QaStatus("pass", ()),
    }
    page = written(tmp_path, content(maes, statuses=statuses, volumes=[]))
    Elements(page)  # nests
    table, reasons = page[page.index('id="table-patients"') :].split('<h3 id="why">Why</h3>')
    assert re.findall(r'<a class="(\w+)" href="#(why-\d)">', table) == [
        ("fail", "why-1"),  # the worst row is pix2pix of <P1>
        ("check", "why-2"),
        ("check", "why-1"),
    ]
    assert "cut" not in table and '<span class="pass">pass</span>' in table
    assert re.findall(r'<li id="(why-\d)"><strong>(.*?)</strong>', reasons) == [
        ("why-1", "&lt;P1&gt;"),
        ("why-2", "P2"),
    ]
    assert '<li>cyclegan, <span class="check">check</span>: The head is cut.<br>The neck is cut.</li>' in reasons
    assert "P3" not in reasons and '<a href="#why">reasons</a>' in page


def test_there_is_no_list_of_reasons_where_all_have_passed(tmp_path):
    page = written(tmp_path, content(statuses={("cyclegan", "P1"): QaStatus("pass", ())}, volumes=[]))
    assert "1 pass" in page and "#why" not in page and 'id="why"' not in page


def test_figures_that_would_make_the_page_too_large_are_named(tmp_path, monkeypatch):
    figures = figure_files(tmp_path, ["figure_patients.png", "figure5_P1.png", "figure_training_cyclegan.png"])
    monkeypatch.setattr(pictures, "MAX_CHARACTERS", 300)
    page = written(tmp_path, content(figures=figures, volumes=[]))
    assert page.count("<img") < 3 and "left to the folder: " in page


def test_the_commands_repeat_what_the_folders_tell(tmp_path):
    folder = tmp_path / "Dataset007_Spheres"
    split = {"train": ["P2"], "val": ["P1"]}
    make_model(folder / "pix2pix_disjoint__plans__2d", {"P1": 10.0}, split=split, fold=1)
    log = folder / "pix2pix_disjoint__plans__2d" / "fold_1" / "training_log.csv"
    log.write_text("epoch,step,learning_rate,seconds\n1,5,0.0002,60\n2,10,0.0002,60\n3,15,0.0002,60\n")
    models = find_models(folder)
    assert commands_of_models(folder.name, models) == [
        "synthct_plan_and_preprocess -d 7 -c 2d -p test",
        "synthct_train 7 pix2pix 1 -c 2d --epochs 3 --disjoint",
        "synthct_evaluate -d 7",
    ]
    page = written(tmp_path, content(models=models, volumes=[]))
    assert "fold 1: 3 epochs, 15 steps, 3 min" in page and "fold 1: 1 patient; 2 folds planned" in page


@pytest.mark.parametrize("patients", [1, 500])
def test_the_page_stays_below_30_megabytes(tmp_path, patients):
    maes = {label: {f"P{i:03d}": float(i) for i in range(patients)} for label in ("a", "b", "c", "d")}
    made = content(maes, volumes=[])
    large = [replace(volume, ct="A" * 4_000_000) for volume in content({"a": {"P000": 1.0}}).volumes * 8]
    reasons = dict.fromkeys(["P000"], "worst with a")
    path = write_report(tmp_path, replace(made, volumes=large, reasons=reasons))
    assert path.name == REPORT_NAME and 10e6 < path.stat().st_size < 30e6
