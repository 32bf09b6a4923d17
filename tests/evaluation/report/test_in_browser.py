"""The page in a browser. Where there is none these tests are skipped."""

import pytest
from browser import CHROMIUM, visit
from made_up_report import MODELS, compared, content

from synthct.evaluation.report import write_report
from synthct.evaluation.report.qa_status import QaStatus
from synthct.evaluation.report.viewer_data import embed

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the report was not opened in a browser")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("page"), content())


PLANES = {"axial", "coronal", "sagittal"}
KINDS = {"mr", "sct", "ct", "error"}


def test_the_browser_tells_of_errors(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html><body><script>nothing.there();</script></body></html>")
    assert any("nothing is not defined" in line for line in visit(page, "return 1").console)


def test_the_page_opens_from_the_disk_without_a_word_in_the_console(page):
    seen = visit(
        page,
        """await ready();
        const pixels = (c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return { panes: all().map((c) => [c.dataset.plane, c.dataset.kind]), message: text("viewer-message"),
                 flat: all().filter((c) => new Set(pixels(c)).size < 4).length,
                 requests: performance.getEntriesByType("resource").length };""",
    )
    assert seen.console == []
    assert {tuple(pane) for pane in seen.result["panes"]} == {(plane, kind) for plane in PLANES for kind in KINDS}
    assert seen.result["message"] == "" and seen.result["flat"] == 0
    assert seen.result["requests"] == 0  # nothing was loaded from anywhere


@pytest.mark.parametrize(
    "move",
    [
        'for (let i = 0; i < 13; i++) pane("axial", "ct").dispatchEvent(new WheelEvent("wheel", { deltaY: -100 }));',
        'key("1"); key("0"); for (let i = 0; i < 13; i++) key("PageUp");',
    ],
    ids=["wheel", "keyboard"],
)
def test_moving_the_slice_changes_all_panes(page, move):
    seen = visit(page, f"await ready(); const before = pictures(); {move} return changed(before)").result
    # The slice itself in the axial panes, the crosshair in the others.
    assert set(seen) == {f"{plane} {kind}" for plane in PLANES for kind in KINDS}


def test_moving_the_slice_changes_what_is_seen_without_the_crosshair(page):
    seen = visit(
        page,
        """await ready(); key("c"); const before = pictures();
        for (let i = 0; i < 13; i++) key("PageUp");
        return changed(before);""",
    ).result
    assert set(seen) == {f"axial {kind}" for kind in KINDS}


def test_a_click_shows_the_voxel_under_it_and_its_hu(page):
    # The bone's centre lies at voxel (31.5, 11.5, 25.5) of 5 mm, the middle of the sphere at (21, 22, 20).
    seen = visit(
        page,
        """await ready();
        const axial = pane("axial", "ct"), of_axial = axial.getBoundingClientRect();
        axial.setPointerCapture = () => {};  // of a pointer that there is none
        const middle = text("readout");
        const [width, height] = [of_axial.width, of_axial.height];
        // The axial pane shows x from the left and y from the top, 2 mm a voxel, and the head in its middle.
        const columns = Number(middle.match(/x \\d+\\/(\\d+)/)[1]), rows = Number(middle.match(/y \\d+\\/(\\d+)/)[1]);
        const scale = height / rows, left = (width - columns * scale) / 2;
        const x = left + (columns / 2 + 10.5 * 2.5) * scale, y = (rows / 2 - 10.5 * 2.5) * scale;
        axial.dispatchEvent(new PointerEvent("pointerdown",
          { clientX: of_axial.left + x, clientY: of_axial.top + y, buttons: 1, bubbles: true, pointerId: 1 }));
        for (let i = 0; i < 13; i++) key("PageUp");  // 26 mm towards the head
        return { middle, bone: text("readout"), scores: text("viewer-scores") };""",
    ).result
    assert "sCT 140 HU · CT 40 HU · error +100 HU · inside the mask" in seen["middle"]  # pix2pix is off by 100 HU
    assert "CT 900 HU" in seen["bone"] and "error +100 HU" in seen["bone"]
    assert seen["scores"].startswith("P2, pix2pix: MAE 100.0 HU, PSNR 30.0 dB (worst with cyclegan, pix2pix")


def test_the_keyboard_reaches_windows_models_patients_planes_and_the_overlay(page):
    seen = visit(
        page,
        """await ready();
        const states = {}, note = (name) => { states[name] = [document.getElementById("window").value,
          document.getElementById("model").value, document.getElementById("planes").value, text("viewer-scores")]; };
        note("start"); key("w"); note("w"); key("m"); note("m"); key("3"); note("3");
        states.panes = all().length;
        const before = pictures(); key("e"); states.overlay = changed(before);
        key("p"); await until(() => !text("viewer-scores").startsWith("P2")); note("p");
        const still = pictures(); key("x"); states.other = changed(still);
        states.focusable = document.getElementById("panes").tabIndex;
        states.described = all().every((c) => c.getAttribute("aria-label").includes("slice"));
        return states;""",
    ).result
    assert seen["start"][0].startswith("wide") and seen["w"][0].startswith("bone")
    assert seen["start"][1] == "pix2pix" and seen["m"][1] == "cyclegan"
    assert seen["3"][2] == "sagittal" and seen["panes"] == 4
    assert set(seen["overlay"]) == {"sagittal sct", "sagittal ct"}
    assert not seen["p"][3].startswith("P2") and seen["p"][1] == "cyclegan"  # the model stays
    assert seen["other"] == [] and seen["focusable"] == 0 and seen["described"]


def test_what_is_outside_the_cts_field_of_view_is_said_to_be_unknown(page):
    script = 'await ready(); key("1"); key("0"); key("End"); key("PageUp"); return text("readout")'
    assert "CT unknown here" in visit(page, script).result


def test_the_table_is_sorted_by_any_heading_and_both_ways(page):
    seen = visit(
        page,
        """const table = document.getElementById("table-patients");
        const words_of = (row) => [row.cells[0].textContent, row.cells[1].textContent];
        const first = () => [...table.tBodies[0].rows].map(words_of);
        const heading = (words) => [...table.tHead.rows[0].cells].find((cell) => cell.textContent.startsWith(words));
        const states = { start: first() };
        heading("MAE (HU)").querySelector("button").click(); states.mae = first();
        states.sort = heading("MAE (HU)").getAttribute("aria-sort");
        heading("model").querySelector("button").click(); states.model = first();
        heading("model").querySelector("button").click(); states.model_falling = first();
        states.sorted = [...table.tHead.rows[0].cells].filter((cell) => cell.hasAttribute("aria-sort")).length;
        return states;""",
    ).result
    worst_first = [["P2", "pix2pix"], ["P2", "cyclegan"], ["P3", "cyclegan"], ["P3", "pix2pix"], ["P1", "pix2pix"]]
    assert seen["start"] == [*worst_first, ["P1", "cyclegan"]]
    assert seen["mae"] == seen["start"][::-1] and seen["sort"] == "ascending"
    assert [model for _, model in seen["model"]] == ["cyclegan"] * 3 + ["pix2pix"] * 3
    assert [model for _, model in seen["model_falling"]] == ["pix2pix"] * 3 + ["cyclegan"] * 3
    assert seen["sorted"] == 1


def test_a_row_is_shown_in_the_viewer(page):
    seen = visit(
        page,
        """await ready();
        document.querySelector('button[data-view="P1"][data-model="cyclegan"]').click();
        await until(() => text("viewer-scores").startsWith("P1, cyclegan"));
        return [text("viewer-scores"), document.activeElement.id];""",
    ).result
    assert seen[0].startswith("P1, cyclegan: MAE 20.0 HU") and seen[1] == "panes"


OF_TWO = {"mr", "ct", "sct pix2pix", "sct cyclegan", "error pix2pix", "error cyclegan"}


def test_two_models_are_shown_beside_each_other_and_move_together(page):
    seen = visit(
        page,
        """await ready(); choose("second", "cyclegan"); key("c");
        const states = { panes: all().map(named), readout: text("readout"), scores: text("viewer-scores"),
          labels: all().map((c) => c.getAttribute("aria-label")) };
        const before = pictures(); for (let i = 0; i < 13; i++) key("PageUp"); states.moved = changed(before);
        states.same = pane("axial", "sct").toDataURL() === all()[3].toDataURL();
        const bare = pictures(); key("e"); states.overlay = changed(bare);
        return states;""",
    )
    assert seen.console == []
    result = seen.result
    assert result["panes"][:6] == [
        f"axial {kind}" for kind in ("mr", "ct", "sct pix2pix", "sct cyclegan", "error pix2pix", "error cyclegan")
    ]
    assert set(result["panes"]) == {f"{plane} {kind}" for plane in PLANES for kind in OF_TWO}
    assert "CT 40 HU · pix2pix 140 HU (+100 HU) · cyclegan 120 HU (+80 HU) · inside the mask" in result["readout"]
    assert result["scores"].startswith("P2, pix2pix: MAE 100.0 HU, PSNR 30.0 dB; cyclegan: MAE 80.0 HU, PSNR 30.0 dB (")
    assert "sCT, cyclegan, axial slice" in result["labels"][3]
    assert set(result["moved"]) == {f"axial {kind}" for kind in OF_TWO} and not result["same"]
    # Over the CT it would be unclear whose error it is.
    assert set(result["overlay"]) == {f"{plane} sct {model}" for plane in PLANES for model in MODELS}


def test_a_pane_of_two_models_shows_what_it_shows_of_one(page):
    seen = visit(
        page,
        """await ready(); key("c");
        // Of one size in both layouts, and without the words in the upper left corner.
        document.getElementById("panes").style = "width: 800px; grid-template-columns: repeat(6, 100px)";
        const lower = (kind, i) => { const c = all().filter((one) => one.dataset.kind === kind)[i];
          return [c.width, ...c.getContext("2d").getImageData(0, c.height / 2, c.width, c.height / 2 - 25).data]; };
        const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
        key("1"); const one = [lower("sct", 0), lower("error", 0)];
        choose("second", "cyclegan");
        return [same(one[0], lower("sct", 0)), same(one[1], lower("error", 0)), same(one[0], lower("sct", 1))];""",
    ).result
    assert seen == [True, True, False]


def test_the_keyboard_chooses_the_second_model_and_no_model_twice(page):
    seen = visit(
        page,
        """await ready();
        const states = [], value = (id) => document.getElementById(id).value;
        const note = () => states.push([value("model"), value("second")]);
        note(); key("n"); note(); key("m"); note();
        key("p"); await until(() => !text("viewer-scores").startsWith("P2")); note();
        key("n"); note(); key("n"); note();
        document.querySelector('button[data-view="P1"][data-model="cyclegan"]').click();
        await until(() => text("viewer-scores").startsWith("P1")); note();
        return [states, all().length];""",
    ).result
    assert seen[0] == [
        ["pix2pix", ""],
        ["pix2pix", "cyclegan"],
        ["cyclegan", "pix2pix"],
        ["cyclegan", "pix2pix"],  # of the next patient
        ["cyclegan", ""],
        ["cyclegan", "pix2pix"],
        ["cyclegan", "pix2pix"],
    ]
    assert seen[1] == 18


def test_a_patient_with_one_model_is_shown_with_that_one(tmp_path):
    page = write_report(tmp_path, content({"cyclegan": {"P1": 90.0, "P2": 20.0}, "pix2pix": {"P1": 30.0}}))
    seen = visit(
        page,
        """await ready(); key("n"); const panes = [all().length]; key("p");
        await until(() => text("viewer-scores").startsWith("P2")); key("n"); panes.push(all().length);
        return [panes, document.getElementById("second").disabled, text("viewer-scores")];""",
    )
    assert seen.console == []
    assert seen.result[:2] == [[18, 12], True] and seen.result[2].startswith("P2, cyclegan: ")


def test_a_single_model_is_not_offered_a_second(tmp_path):
    page = write_report(tmp_path, content({"cyclegan": {"P1": 20.0}}))
    script = 'await ready(); key("n"); return [document.getElementById("second").offsetWidth, all().length]'
    assert visit(page, script).result == [0, 12]


@pytest.mark.parametrize(
    ("with_mr", "width", "planes", "rows"),
    [
        (True, 1280, "0", [["mr", "ct", "sct A", "sct B", "error A", "error B"]]),
        (True, 1280, "1", [["mr", "sct A", "error A"], ["ct", "sct B", "error B"]]),
        (True, 800, "0", [["mr", "ct"], ["sct A", "sct B"], ["error A", "error B"]]),
        (True, 500, "0", [["mr", "ct"], ["sct A", "sct B"], ["error A", "error B"]]),
        (True, 500, "1", [["mr", "ct"], ["sct A", "sct B"], ["error A", "error B"]]),
        (False, 1280, "0", [["ct", "sct A", "sct B", "error A", "error B"]]),
        (False, 1280, "1", [["ct", "sct A", "error A"], ["sct B", "error B"]]),
        (False, 500, "0", [["ct"], ["sct A", "sct B"], ["error A", "error B"]]),
    ],
)
def test_panes_of_two_models_stand_in_rows_and_columns_that_compare(tmp_path, with_mr, width, planes, rows):
    volumes = [embed("P1", compared({"A": 60.0, "B": 20.0}, with_mr=with_mr))]
    page = write_report(tmp_path, content({"A": {"P1": 60.0}, "B": {"P1": 20.0}}, volumes=volumes))
    places = visit(
        page,
        f"""await ready(); choose("second", "B"); key("{planes}");
        const axial = all().filter((c) => c.dataset.plane === "axial");
        return axial.map((c) => [c.offsetTop, c.offsetLeft, named(c).replace("axial ", "")]);""",
        size=(width, 900),
    ).result
    tops = sorted({top for top, _, _ in places})
    assert [[name for top, _, name in sorted(places) if top == row] for row in tops] == rows


@pytest.mark.parametrize("second", ["", "cyclegan"], ids=["one model", "two models"])
def test_nothing_runs_out_of_a_narrow_window(page, second):
    width = f"""await ready(); choose("second", "{second}");
    return [document.documentElement.scrollWidth, window.innerWidth]"""
    scrolled, inner = visit(page, width, size=(500, 900)).result
    assert scrolled <= inner


def test_rows_stay_low_in_a_narrow_window_however_many_reasons_there_are(tmp_path):
    reasons = ("The head is cut by the right and left borders of the image: look at the image and the outline.",) * 4
    statuses = {(model, patient): QaStatus("check", reasons) for model in MODELS for patient in ("P1", "P2", "P3")}
    page = write_report(tmp_path, content(statuses=statuses))
    seen = visit(
        page,
        """const table = document.getElementById("table-patients"), [link] = table.tBodies[0].querySelectorAll("a");
        const lines = parseFloat(getComputedStyle(table).lineHeight);
        link.click();
        return { lines: Math.max(...[...table.tBodies[0].rows].map((row) => row.offsetHeight)) / lines,
                 why: document.querySelector("li:target").textContent,
                 width: document.documentElement.scrollWidth };""",
        size=(500, 900),
    ).result
    assert seen["lines"] < 2.5 and seen["width"] <= 500
    assert seen["why"].startswith("P2") and reasons[0] in seen["why"]


def test_without_an_mr_three_panes_are_shown(tmp_path):
    only = {"cts": {"P1": 20.0}}
    volumes = [embed("P1", compared({"cts": 20.0}, with_mr=False))]
    page = write_report(tmp_path, content(only, volumes=volumes))
    seen = visit(page, 'await ready(); return [all().length, text("readout")]')
    assert seen.console == [] and seen.result[0] == 9 and "MR" not in seen.result[1]
