"""Give each claim of the literature its verdict in each study and over all, and write the pages that show them."""

from pipeline.analyses.evidence.rows import (
    FOLDER,
    LANGUAGES,
    NO_FONT,
    check,
    supporting_rows,
    verdicts_table,
)
from pipeline.core.params import Params
from pipeline.pages import evidence as pages
from pipeline.pages import paper
from pipeline.pages.written import contents, read
from pipeline.present.words import WIDE
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import CLAIMS, load_claims, load_limits, load_selectors


def run(study: None, params: Params) -> str:
    """Write the verdicts and the pages."""
    claims = load_claims()
    selectors = load_selectors(claims)
    limits = load_limits(claims, selectors)
    names = params.synthesis.studies
    found = {name: read(name) for name in names}
    simulated = {name for name in names if params.study(name).simulated}
    for selector in selectors:
        check(selector, names, simulated, params)
    for claim in claims:
        if unknown := set(claim.studies) - set(names):
            raise StudyError(f"{CLAIMS}: claim {claim.id} asks {min(unknown)}, which synthesis.studies does not name.")

    table = verdicts_table(claims, selectors, found, simulated, params.inference.level, limits)
    store.write_csv(places.results(FOLDER, "verdicts"), table)
    supporting = supporting_rows(selectors, found, table)
    shown = {name: contents(name) for name in names}
    for language in LANGUAGES:
        for path, text in pages.Book(language, claims, table, supporting, found, params, shown, limits).pages().items():
            store.write_text(path, text)
    for language in LANGUAGES:
        write_paper(paper.Paper(language, claims, table, supporting, found, params, shown), language)
    unread = "" if has_letters() else f" ({NO_FONT})"
    return f"{pages.INDEX}{unread}"


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
