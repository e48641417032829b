"""Give each claim of the literature its verdict in each study and over all, and write the pages that show them."""

from pipeline.analyses.evidence.findings import findings, needed
from pipeline.analyses.evidence.rows import FOLDER, check, weigh
from pipeline.core.params import Params
from pipeline.pages import paper
from pipeline.pages.evidence import book, site
from pipeline.pages.written import contents, read
from pipeline.present.words import LANGUAGES, WIDE
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
        write_paper(paper.Paper(language, ledger, tables, found, params, shown), language)
    return f"{book.INDEX}{'' if has_letters() else f' ({NO_FONT})'}"


def has_letters() -> bool:
    """Say whether a font of this machine has Chinese characters."""
    from pipeline.present.figures import wide_fonts

    return bool(wide_fonts())


def write_paper(written: paper.Paper, language: str) -> None:
    """Write the paper as Markdown, and as PDF where the machine has the letters."""
    store.write_text(paper.path_of(language, "md"), paper.to_markdown(written.render("../")))
    page = written.render("")
    if WIDE.search(page) is None or has_letters():
        store.write_bytes(paper.path_of(language, "pdf"), paper.to_print(page, written.paper("title"), language))
