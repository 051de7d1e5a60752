"""The drawing of docs/concepts.md, which stands on light and on dark pages."""

import xml.etree.ElementTree as ElementTree

from quart_odds.domain.bookmakers import MIN_CONTRAST, contrast
from tests.documents.blocks import ROOT

SVG = "{http://www.w3.org/2000/svg}"
PAGES = ("#ffffff", "#1e2129", "#0d1117")
"""Backgrounds: white, the dark site, and a dark page of a repository."""

LEAST_OF_LINES = 3.0
"""Minimum contrast of lines: WCAG 2.2, success criterion 1.4.11."""


def test_the_drawing_is_legible_in_light_and_dark() -> None:
    """Texts are white and within boxes that are dark enough, and lines differ from every background."""
    drawing = ElementTree.parse(ROOT / "docs" / "concepts.svg").getroot()
    boxes = list(drawing.iter(f"{SVG}rect"))
    texts = list(drawing.iter(f"{SVG}text"))
    assert len(texts) > len(boxes) > 5
    for text in texts:
        [fill] = [box.attrib["fill"] for box in boxes if is_within(text, box)]
        assert contrast("#ffffff", fill) >= MIN_CONTRAST, text.text
    lines = {each.attrib["stroke"] for each in drawing.iter() if "stroke" in each.attrib}
    assert all(contrast(line, page) >= LEAST_OF_LINES for line in lines for page in PAGES)


def is_within(text: ElementTree.Element, box: ElementTree.Element) -> bool:
    """Return whether a text begins within a box."""
    ranges = (("x", "width"), ("y", "height"))
    return all(0 < float(text.attrib[at]) - float(box.attrib[at]) < float(box.attrib[size]) for at, size in ranges)
