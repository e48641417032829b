"""Give each claim of the literature its verdict in each study and over all, and write the pages that show them."""

from pipeline.analyses.evidence.findings import findings, needed
from pipeline.analyses.evidence.rows import FOLDER, check, weigh
from pipeline.core.params import Params
from pipeline.pages import readme
from pipeline.pages.evidence import book, site
from pipeline.pages.paper import drawings, paper
from pipeline.pages.written import contents, read
from pipeline.present import figures
from pipeline.present.documents import PANDOC, to_html, to_pdf
from pipeline.present.words import LANGUAGES, WIDE, Words
from pipeline.runtime import places, store
from pipeline.sources.claims import load_bearings, load_claims, load_limits

NO_FONT = (
    "no font here has Chinese characters, so there is no Chinese PDF: install one, such as Noto Sans CJK, and run again"
)


def run(study: None, params: Params) -> str:
    """Write the verdicts and the pages."""
    names = params.compared
    claims = load_claims()
    bearings = load_bearings(claims, {name for name in names if params.study(name).simulated})
    ledger = book.Ledger(claims, bearings, load_limits(claims, bearings))
    check(claims, bearings, names)
    found = {name: read(name) for name in names}

    evidence = weigh(*ledger, found, params)
    tables = book.Tables(*evidence, findings(evidence.parts), needed(claims, found, params))
    for name, table in tables._asdict().items():
        store.write_csv(places.results(FOLDER, name), table)
    shown = {name: contents(name) for name in names}
    for language in LANGUAGES:
        for path, text in site.pages(book.Book(language, ledger, tables, found, params, shown)).items():
            store.write_text(path, text)
        write_paper(paper.Paper(language, ledger, tables, found, params, shown))
    if readme.README.exists():
        answer = readme.block(book.Book(LANGUAGES[0], ledger, tables, found, params))
        store.write_text(readme.README, readme.put(readme.README.read_text(encoding="utf-8"), answer))
    return f"{book.INDEX}{'' if has_letters() else f' ({NO_FONT})'}"


def has_letters() -> bool:
    """Say whether a font of this machine has Chinese characters."""
    return bool(figures.wide_fonts())


def write_paper(written: paper.Paper) -> None:
    """Draw the paper's figures and write it as page, as Markdown, and as PDF where the machine has the letters."""
    words, folder, title = Words(written.language, FOLDER), places.reports(FOLDER), written.say("title")
    for name, figure in (("verdicts", drawings.verdicts), ("findings", drawings.findings)):
        figures.draw(figure, folder.parent / written.words("pictures", name), words, written)
    store.write_text(book.path_of("paper", words.language, "md"), paper.to_markdown(written.render("../")))
    other = next(name for name in LANGUAGES if name != words.language)
    twin = (book.path_of("paper", other).name, Words(other, FOLDER))
    page = to_html(written.render("../", linked=True), PANDOC, title, words, folder, twin, paper.CITED)
    store.write_text(book.path_of("paper", words.language, "html"), page)
    page = written.render("")
    if WIDE.search(page) is None or has_letters():
        store.write_bytes(
            book.path_of("paper", words.language, "pdf"), to_pdf(page, title, words, folder.parent, paper.PRINTED)
        )
