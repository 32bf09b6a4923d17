"""Elements of the reports' pages: text is escaped, HTML is not, and the page has what every report has."""

import re

import pytest

from synthct.html_report import elements, page_parts

ODD = 'B#2 "50%" <&>'
ESCAPED = "B#2 &quot;50%&quot; &lt;&amp;&gt;"


@pytest.mark.parametrize(
    "made",
    [
        elements.text(ODD),
        elements.bullet_list([ODD]),
        elements.warning_list([ODD], ODD),
        elements.definition_list({ODD: ODD}),
        elements.folded(ODD, ""),
        elements.table("", [], name=ODD, caption=ODD),
        page_parts.page(ODD, "", ""),
        page_parts.links_to({ODD: ""}),
        page_parts.sections_with_headings({ODD: ""}),
    ],
)
def test_text_is_escaped(made):
    assert ESCAPED in made and ODD not in made


def test_a_page_has_the_shared_style_before_its_own_and_takes_html_as_it_is():
    page = page_parts.page("T", "<p>lead $title</p>", "<p>content</p>", style="p { color: red; }", script="run();")
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)[1]
    assert style.strip().endswith("p { color: red; }") and "prefers-color-scheme: dark" in style
    assert "<p>lead $title</p>" in page and '<main id="content">\n<p>content</p>' in page
    assert "run();\n" not in style and "run();" in page and "img-src data:;" in page


def test_every_link_leads_to_its_section():
    sections = {"Results": "", "How it was made": ""}
    linked = re.findall(r'href="#(.*?)"', page_parts.links_to(sections))
    assert linked == re.findall(r'<section id="(.*?)"', page_parts.sections_with_headings(sections))


def test_a_table_with_a_name_scrolls_and_another_stands_alone():
    named = elements.table("<th>a</th>", ["<td>1</td>", "<td>2</td>"], name="ages", sortable=True)
    assert named.startswith('<div class="scroll"') and '<table id="table-ages" class="sortable">' in named
    assert "<tr><td>1</td></tr>\n<tr><td>2</td></tr>" in named and "caption" not in named
    assert elements.table("", []).startswith("<table>\n<thead>")


def test_values_are_text_and_nothing_is_made_of_no_warnings():
    assert elements.text(0.1 + 0.2) == "0.3" and elements.warning_list([], "Warnings") == ""
