"""The pages that people read: links lead somewhere, nothing comes from elsewhere, a browser shows them whole."""

import functools
import html
import importlib.util
import json
import posixpath
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.pages.evidence import book as evidence

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
PAGES = sorted(REPORTS.rglob("*.html"))
LARGEST = 1_000_000
"""Bytes of a page."""

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
needs_pages = pytest.mark.skipif(
    not (ROOT / evidence.INDEX).exists(), reason="the pages are not written yet: python -m pipeline evidence"
)


class Reader(HTMLParser):
    """What a page links to, what it loads, its anchors, and pictures without a text."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.loads, self.silent = set(), [], [], []
        self.language = None

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "html":
            self.language = named.get("lang")
        self.ids |= {named[name] for name in ("id", "name") if named.get(name)}
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        if tag == "link" and named.get("href"):
            self.loads.append(named["href"])
        if tag in ("script", "img", "iframe", "source") and named.get("src"):
            self.loads.append(named["src"])
        if tag == "img" and not named.get("alt", "").strip():
            self.silent.append(named.get("src", "")[:60])


@functools.cache
def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def is_notebook(path):
    return path.name.startswith("notebook.") or path.parent.name == "notebooks"


def name(path):
    return path.relative_to(REPORTS).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_and_anchor_leads_somewhere(path):
    page = read(path)
    for link in page.links + page.loads:
        if re.match(r"(https://|data:)", link):
            continue
        assert not re.match(r"[a-z]+:|/", link), f"{link} does not work from another place"
        file, _, anchor = unquote(link).partition("#")
        target = Path(posixpath.normpath((path.parent / file).as_posix())) if file else path
        assert target.exists(), link
        if anchor and target.suffix == ".html":
            assert anchor in read(target).ids, link


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_is_small_named_and_needs_nothing_from_elsewhere(path):
    text, page = path.read_text(encoding="utf-8"), read(path)
    assert path.stat().st_size < LARGEST
    assert not [link for link in page.loads if link.startswith(("http:", "https:", "//"))]
    assert not re.search(r"@import|url\(['\"]?(https?:)?//", text)
    assert page.language and re.search(r"<title>[^<]+</title>", text)
    assert not page.silent, page.silent
    if not is_notebook(path):
        # A notebook prints below a picture what is seen.
        for place in (found.start() for found in re.finditer("<img ", text)):
            after = text[place:]
            assert "<figcaption>" in after[: after.index("</figure>")] and "<figure" in text[:place]


def parts(path, pattern):
    """Return the figures and tables of a report, or the lines of the page of claims, by their ids."""
    text = path.read_text(encoding="utf-8")
    found = list(re.finditer(pattern, text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    return {one[1]: text[one.start() : end] for one, end in zip(found, ends, strict=True)}


BLOCK = r'<(?:figure class="figure"|div) id="((?:figure|table)-\d+)"'
STUDIES = sorted(path.parent for path in REPORTS.glob("*/contents.csv"))


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_figures_and_claims_lead_to_each_other_alike_in_both_languages(folder):
    """From each figure and table to rows, picture, code, choices and claims; from claims back, to the same places."""
    kept = {}
    for report, claims in (("report.html", "claims.html"), ("report.zh.html", "claims.zh.html")):
        blocks = parts(folder / report, BLOCK)
        resting = set()
        for name, text in blocks.items():
            made = text[text.index('class="made"') :].split("</p>")[0]
            ways = re.findall(r'href="([^"#]+)', made)
            assert any(way.endswith(".csv") or way == "../../pipeline/sources" for way in ways), name
            assert any(way.endswith(".py") for way in ways), name
            assert sum(way.endswith("params.yaml") for way in ways) == 2, name
            assert (sum(way.endswith(".svg") for way in ways) == 1) == name.startswith("figure"), name
            resting |= set(re.findall(rf'evidence/{claims}#([\w-]+)"', made))
        lines = parts(REPORTS / "evidence" / claims, r'<(?:tbody|p)[^>]* id="([\w-]+)"')
        back = {line: re.findall(rf"{folder.name}/{report}#([\w-]+)", text) for line, text in lines.items()}
        assert resting <= set(back) and {place for places in back.values() for place in places} <= set(blocks)
        kept[report] = (list(blocks), resting, {line: sorted(places) for line, places in back.items() if places})
        assert resting and kept[report][2]
    assert kept["report.html"] == kept["report.zh.html"]


PICTURES = sorted(REPORTS.glob("*/figures_zh/*.svg"))


def test_letters_of_figures_can_be_read_on_a_telephone():
    """Figures in Chinese keep their letters as text, and the English ones are drawn alike."""
    small = {}
    for path in PICTURES:
        text = path.read_text(encoding="utf-8")
        width = float(re.search(r'width="([\d.]+)pt"', text)[1])
        sizes = [float(size) for size in re.findall(r"font: ?(?:\w+ )?([\d.]+)px", text)]
        # A figure is as wide as the screen.
        if sizes and min(sizes) * 390 / width < 8:
            small[name(path)] = min(sizes) * 390 / width
    assert PICTURES and not small


def test_no_english_is_left_in_chinese_figures():
    for path in PICTURES:
        for said in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8")):
            assert not re.search(r"[A-Za-z]{3,} [A-Za-z]{2,}", said.replace("Lending Club", "")), (
                f"{name(path)}: {said}"
            )


WATCH = """
<script>
// Added to a copy by the test: tells the page around it what a reader would meet.
const wrong = [];
const note = event => wrong.push(event.message || `not loaded: ${event.target.src || event.target.href}`);
addEventListener("error", note, true);
</script>
"""

TELL = r"""
<script>
function bright(text) {
  const parts = text.match(/[\d.]+/g).map(Number);
  const linear = parts.slice(0, 3).map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return [.2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2], parts.length > 3 ? parts[3] : 1];
}
function faint() {
  const found = new Set();
  for (const box of document.body.querySelectorAll("*")) {
    const own = [...box.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    const style = getComputedStyle(box);
    if (!own || !box.getClientRects().length || ["SCRIPT", "STYLE", "OPTION", "SELECT"].includes(box.tagName)) continue;
    let behind = box, back = null;
    for (; behind; behind = behind.parentElement) {
      const over = getComputedStyle(behind);
      if (over.backgroundImage !== "none") { back = null; break; }
      const [light, solid] = bright(over.backgroundColor);
      if (solid === 1) { back = light; break; }
    }
    if (back === null) continue;
    const front = bright(style.color)[0];
    const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
    if (ratio < 4.5) found.add(`${box.tagName}.${box.className} ${ratio.toFixed(2)}`);
  }
  return [...found].slice(0, 5);
}
function filtered() {
  const form = document.getElementById("filter");
  if (!form) return null;
  const told = {hidden: form.hidden};
  const choose = (name, value) => {
    form.querySelector(`[name=${name}]`).value = value;
    form.dispatchEvent(new Event("change", {bubbles: true}));
  };
  const seen = () => [...document.querySelectorAll("[data-kind]")].filter(row => row.getClientRects().length);
  told.first = seen().map(row => row.dataset.kind);
  choose("kind", "prediction");
  told.kind = seen().map(row => row.dataset.kind);
  told.shown = document.getElementById("shown").value;
  choose("document", "E");
  told.both = seen().map(row => row.dataset.document + row.dataset.kind);
  told.address = location.search;
  choose("kind", ""); choose("document", "");
  told.all = seen().length;
  choose("kind", "effect association");
  told.again = seen().length;
  told.plain = location.search;
  if (form.querySelector("[name=text]")) {
    choose("text", "documents that cannot be there");
    told.nothing = seen().length;
    choose("text", "satisfied");
    told.text = seen().map(row => row.textContent.toLowerCase().includes("satisfied"));
    choose("text", ""); choose("certainty", "very_low"); choose("studies", "sba");
    told.sure = seen().map(row => row.dataset.certainty + (row.dataset.studies.includes("sba") ? "" : "?"));
    told.kept = location.search + "|" + document.getElementById("switch").search;
    choose("certainty", ""); choose("studies", "");
  }
  return told;
}
function sorted() {
  const table = document.querySelector("table.sortable");
  if (!table) return null;
  const head = [...table.tHead.rows[0].cells].findIndex(one => one.classList.contains("number"));
  const column = () => [...table.tBodies[0].rows].map(row => row.cells[head].textContent.trim());
  table.tHead.rows[0].cells[head].querySelector("button").click();
  return {column: column(), way: table.tHead.rows[0].cells[head].getAttribute("aria-sort")};
}
function switched() {
  const other = document.getElementById("switch");
  if (!other) return null;
  location.hash = "#content";
  return new Promise(done => setTimeout(() => done(other.href.split("/").pop()), 50));
}
addEventListener("load", async () => {
  const told = {
    page: location.pathname, width: innerWidth, needs: document.documentElement.scrollWidth, faint: faint(),
    dark: matchMedia("(prefers-color-scheme: dark)").matches, filter: filtered(),
    sorted: sorted(), other: await switched(), wrong,
  };
  parent.postMessage(JSON.stringify(told), "*");
});
</script>
"""

AROUND = """<!DOCTYPE html><meta charset="utf-8"><title>test</title><ol id="told"></ol>
<script>
addEventListener("message", event => {
  const line = document.createElement("li");
  line.textContent = event.data;
  document.getElementById("told").append(line);
});
</script>
"""

WIDTHS = (320, 390, 820, 1280)
LOOKS = [((width,), False) for width in WIDTHS] + [(WIDTHS[1:2], True)]
"""Widths that one browser shows, and whether in dark."""


def looked_at(folder, widths, dark):
    """Show all pages in frames, in one browser, and return what each frame tells."""
    paths = [path for path in PAGES if (folder / "reports" / name(path)).exists()]
    frames = [
        f'<iframe src="reports/{name(path)}" style="width: {width}px; height: 900px; border: 0"></iframe>'
        for path in paths
        for width in widths
    ]
    told = told_by_frames(folder, frames, f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    return [one | {"page": unquote(one["page"]).split("/reports/")[1]} for one in told]


def told_by_frames(folder, frames, option):
    """Show frames in one browser and return what each tells the page around it."""
    page = folder / "around.html"
    page.write_text(AROUND + "\n".join(frames), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", "--dump-dom"]
    command += ["--virtual-time-budget=60000", f"--user-data-dir={folder / 'profile'}", "--disable-extensions"]
    said = subprocess.run([*command, option, page.as_uri()], capture_output=True, text=True, timeout=900).stdout
    lines = re.findall(r"<li>(.*?)</li>", said, flags=re.S)
    told = [json.loads(html.unescape(line)) for line in lines]
    assert len(told) == len(frames)
    return told


def seen_in(folder, looks, only=None):
    """Return what a browser tells of every page, or of some, in each look, with the figures beside it."""
    ignored = shutil.ignore_patterns("*.pdf", "*.md", "*.txt", "*.csv")
    shutil.copytree(REPORTS, folder / "reports", ignore=ignored)
    for path in (folder / "reports").rglob("*.html"):
        if only is not None and path.relative_to(folder / "reports").as_posix() not in only:
            path.unlink()
            continue
        text = path.read_text(encoding="utf-8")
        assert "</head>" in text and "</body>" in text
        path.write_text(
            text.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{TELL}</body>"), encoding="utf-8"
        )
    seen = [one for look in looks for one in looked_at(folder, *look)]
    assert {(one["width"], one["dark"]) for one in seen} == {
        (width, dark) for widths, dark in looks for width in widths
    }
    return seen


@needs_pages
@needs_browser
def test_a_browser_shows_the_first_pages_as_a_reader_wants_them(tmp_path):
    first = ("index.html", "index.zh.html", "sba/report.html", "evidence/paper.html", "evidence/claims.html")
    first += ("notebooks/start_here.html",)
    looks = [(WIDTHS, False), LOOKS[-1]]
    seen = seen_in(tmp_path / "a place with spaces", looks, (*first, "evidence/claims.zh.html"))
    pages_are_whole_without_errors_and_with_contrast(seen)
    the_filter_shows_what_was_asked_for(seen, len(WIDTHS) + 1)
    the_page_of_claims_is_searched(seen, len(WIDTHS) + 1)
    numbers_sort_by_their_size(seen)
    the_other_language_opens_at_the_same_place(seen)


@pytest.mark.long
@needs_pages
@needs_browser
@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0][0]}{' in dark' if look[1] else ''}")
def test_a_browser_shows_every_page_as_a_reader_wants_it(look, tmp_path):
    seen = seen_in(tmp_path / "a place with spaces", [look])
    pages_are_whole_without_errors_and_with_contrast(seen)
    the_filter_shows_what_was_asked_for(seen, 1)
    the_page_of_claims_is_searched(seen, 1)
    the_other_language_opens_at_the_same_place(seen)


def pages_are_whole_without_errors_and_with_contrast(seen):
    complaints = []
    for one in seen:
        where = f"{one['page']} at {one['width']} pixels{' in dark' if one['dark'] else ''}"
        if one["needs"] > one["width"]:
            complaints.append(f"{where} scrolls sideways: {one['needs']}")
        complaints += [f"{where}: {what}" for what in [*one["wrong"], *one["faint"]]]
    assert not complaints


def the_filter_shows_what_was_asked_for(seen, looks):
    told = [one["filter"] for one in seen if one["page"].startswith("index")]
    assert len(told) == 2 * looks
    for one in told:
        assert one["hidden"] is False and set(one["first"]) == {"effect", "association"}
        assert one["all"] > len(one["first"]) == one["again"] > 0
        assert set(one["kind"]) == {"prediction"} and set(one["both"]) == {"Eprediction"}
        assert int(one["shown"]) == len(one["kind"]) > len(one["both"]) > 0
        assert one["address"] == "?kind=prediction&document=E" and one["plain"] == ""


def the_page_of_claims_is_searched(seen, looks):
    pages = [one for one in seen if one["page"].startswith("evidence/claims")]
    told = [one["filter"] for one in pages]
    assert len(told) == 2 * looks
    for one in told:
        assert one["hidden"] is False and one["nothing"] == 0 and one["all"] > len(one["sure"]) > 0
        assert set(one["sure"]) == {"very_low"} and all(one["text"])
        assert one["kept"] == "?certainty=very_low&studies=sba|?certainty=very_low&studies=sba"
    assert all(one["filter"]["text"] for one in pages if ".zh." not in one["page"])


def numbers_sort_by_their_size(seen):
    told = [one["sorted"] for one in seen if one["sorted"]]
    assert told
    for one in told:
        numbers = [float(text.split(" ")[0].split("（")[0].replace("\N{MINUS SIGN}", "-")) for text in one["column"]]
        assert one["way"] == "ascending" and numbers == sorted(numbers) and len(set(numbers)) > 1


def the_other_language_opens_at_the_same_place(seen):
    for one in seen:
        here = Path(one["page"]).name
        twin = here.replace(".zh.html", ".html") if ".zh." in here else here.replace(".html", ".zh.html")
        assert one["other"] == f"{twin}#content", one["page"]


@needs_pages
@needs_browser
def test_an_address_opens_the_map_with_what_it_names(tmp_path):
    page = (ROOT / evidence.INDEX).as_uri()
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path}"]
    text = (ROOT / evidence.INDEX).read_text(encoding="utf-8")
    for asked, kinds in (("kind=prediction", {"prediction"}), ("kind=nonsense", {"effect", "association"})):
        said = subprocess.run([*command, f"{page}?{asked}"], capture_output=True, text=True, timeout=120).stdout
        shown = int(re.search(r'<output id="shown"[^>]*>(\d+)</output>', said)[1])
        assert shown == sum(text.count(f'data-kind="{kind}"') for kind in kinds) > 0


@needs_pages
def test_a_page_reads_without_its_script():
    """What the script does not show is there: only the filter, useless without it, is hidden."""
    for page in PAGES:
        text = re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S)
        hidden = re.findall(r"<([a-z]+)(?: [a-z-]+(?:=\"[^\"]*\")?)* hidden[ >]", text)
        assert hidden == (["form"] if page.name.startswith(("index.", "claims.")) else []), page


@pytest.mark.parametrize("path", [path for path in PAGES if ".zh." not in path.name], ids=name)
def test_headings_are_called_alike_in_both_languages(path):
    twin = path.with_name(path.name.replace(".html", ".zh.html"))
    if twin.exists():
        headings = [re.findall(r'<h[23][^>]*id="([^"]+)"', one.read_text(encoding="utf-8")) for one in (path, twin)]
        assert headings[0] == headings[1]


AXE = importlib.util.find_spec("axe_core_python")

ASK_AXE = """
<script src="axe.js"></script>
<script>
addEventListener("load", async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const told = found.violations.map(one => ({
    impact: one.impact, rule: one.id, where: one.nodes.slice(0, 3).map(node => node.target.join(" ")),
  }));
  parent.postMessage(JSON.stringify({width: innerWidth, told}), "*");
});
</script>
"""


@pytest.mark.long
@needs_pages
@needs_browser
@pytest.mark.skipif(AXE is None, reason="axe-core is not installed here: pip install axe-core-python")
@pytest.mark.parametrize("path", PAGES, ids=name)
def test_axe_finds_nothing_serious(path, tmp_path):
    shutil.copy(Path(AXE.origin).with_name("axe.min.js"), tmp_path / "axe.js")
    text = path.read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{ASK_AXE}</body>"), encoding="utf-8")
    widths = WIDTHS[1:]
    frames = [f'<iframe src="page.html" style="width: {width}px; height: 900px"></iframe>' for width in widths]
    told = told_by_frames(tmp_path, frames, "--allow-file-access-from-files")
    assert {one["width"] for one in told} == set(widths)
    assert not [said for one in told for said in one["told"] if said["impact"] in ("serious", "critical")]
