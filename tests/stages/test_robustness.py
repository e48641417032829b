"""The stage robustness and its chapter on made-up loans: rows against statsmodels, sentences and table from rows."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.discrete.conditional_models import ConditionalLogit

from pipeline.analyses.robustness import errors
from pipeline.analyses.robustness import page as chapter
from pipeline.analyses.robustness.sample import Sample
from pipeline.core import params, results
from pipeline.present.page import Page
from pipeline.present.trail import Trail
from pipeline.present.words import Words
from pipeline.runtime import places, store
from pipeline.stages import match, regress, robustness
from pipeline.stats.design import design_matrix, independent
from tests.sample import PARAMS, market_tables, protocol, raw_loans

STUDY = "lendingclub"


@pytest.fixture(scope="module")
def cohort():
    from pipeline.studies.lendingclub import study

    choices = params.load(PARAMS)
    found = study.prepare({STUDY: raw_loans(1500, seed=5), **market_tables()}, protocol(), choices.checks).cohort
    # More regions than the made-up market has, so that there are enough to take their effects out.
    regions = np.random.default_rng(2).integers(0, 40, len(found))
    return found.assign(region=pd.Categorical([f"R{number:02d}" for number in regions]))


@pytest.fixture(scope="module")
def choices():
    found = params.load(PARAMS)
    study = protocol()
    matching = study.matching.model_copy(update={"exact": ["credit_grade", "term_months"]})
    study = study.model_copy(update={"matching": matching})
    return found.model_copy(update={"studies": {**found.studies, STUDY: study}})


@pytest.fixture(scope="module")
def rows(cohort, choices, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("made_up"))
        patch.setattr(errors, "DRAWS", 199)
        store.write_parquet(places.processed(STUDY) / "cohort.parquet", cohort)
        match.run(STUDY, choices)
        regress.run(STUDY, choices)
        robustness.run(STUDY, choices)
        return results.read(*(places.results(STUDY, name) for name in ("regress", "robustness")))


@pytest.fixture(scope="module")
def headline(cohort, choices):
    study = choices.studies[STUDY]
    terms = [*study.controls.ladder().values()][-1]
    terms = [*study.controls.time, *(term for term in terms if term not in study.controls.time)]
    return design_matrix(cohort, ["treated", *terms]).matrix


def one(rows, **names):
    return rows.one(stage="robustness", factor="treated", **names)


def test_the_headline_has_the_errors_of_statsmodels(rows, cohort, headline):
    model = sm.OLS(cohort["default"].to_numpy(), headline)
    region = pd.factorize(cohort[protocol().cluster], sort=True)[0]
    for name, fit in {
        "robust": model.fit(cov_type="HC1"),
        "clustered": model.fit(cov_type="cluster", cov_kwds={"groups": region}),
    }.items():
        found = one(rows, estimator="errors", specification=name)
        assert found.estimate == pytest.approx(100 * fit.params["treated"], rel=1e-6)
        assert found.std_error == pytest.approx(100 * fit.bse["treated"], rel=1e-6)
        assert found.p_value == pytest.approx(fit.pvalues["treated"], rel=1e-4)
    there = rows.where(stage="robustness", estimator="errors", factor="treated").set_index("specification")
    assert set(there.index) == set(chapter.ERRORS)
    assert there["estimate"].nunique() == 1
    assert there.loc["clustered_t", "ci_high"] > there.loc["clustered", "ci_high"]


def test_without_each_cluster_the_ends_are_those_of_regressions_run_again(rows, cohort, headline):
    region, found = cohort[protocol().cluster], {}
    for name in region.unique():
        stays = (region != name).to_numpy()
        found[name] = (
            100
            * np.linalg.lstsq(headline[stays], cohort["default"][stays], rcond=None)[0][list(headline).index("treated")]
        )
    for estimand, wanted in (("smallest", min(found, key=found.get)), ("largest", max(found, key=found.get))):
        row = one(rows, estimator="leave_one_cluster_out", estimand=estimand)
        assert row.estimate == pytest.approx(found[wanted], rel=1e-5)
        assert row.note.startswith(f"without {wanted}, ")


def test_inside_regions_there_are_indicators_and_the_likelihood_given_their_defaults(rows, cohort, headline):
    region = pd.get_dummies(cohort[protocol().cluster], drop_first=True, dtype=float)
    wide = np.column_stack([headline, region])
    wide = wide[:, independent(wide)]
    assert np.linalg.matrix_rank(wide) == wide.shape[1]
    groups = pd.factorize(cohort[protocol().cluster], sort=True)[0]
    fit = sm.OLS(cohort["default"].to_numpy(), wide).fit(cov_type="cluster", cov_kwds={"groups": groups})
    inside = one(rows, estimator="group_effects", specification="linear_probability")
    place = list(headline).index("treated")
    assert inside.estimate == pytest.approx(100 * fit.params[place], rel=1e-5)
    assert inside.std_error == pytest.approx(100 * fit.bse[place], rel=1e-5)
    given = one(rows, estimator="group_effects", specification="conditional_logit")
    if np.isfinite(given.estimate):
        x = headline.drop(columns="intercept")
        # In standard deviations, without which their search does not converge.
        theirs = ConditionalLogit(cohort["default"], (x - x.mean()) / x.std(), groups=groups).fit(disp=False)
        assert np.log(given.estimate) == pytest.approx(theirs.params["treated"] / x["treated"].std(), abs=1e-3)
    else:
        assert "too large" in given.note


def test_parts_of_the_difference_add_up_to_raw_less_controlled(rows):
    parts = rows.where(stage="robustness", estimator="gelbach", factor="treated", estimand="part_of_difference")
    whole = one(rows, estimator="gelbach", estimand="difference")
    raw = rows.where(stage="regress", factor="treated", specification="M1", estimand="risk_difference").iloc[0]
    full = one(rows, estimator="errors", specification="clustered")
    assert parts["estimate"].sum() == pytest.approx(whole.estimate, rel=1e-5, abs=1e-6)
    assert raw.estimate - full.estimate == pytest.approx(whole.estimate, rel=1e-5, abs=1e-6)


def test_more_of_a_factor_is_the_headline_with_others_of_its_values(rows, cohort):
    factor = "communication_frequency"
    of_dose = {row.specification: row for row in rows.where(estimator="dose", factor=factor).itertuples()}
    full = rows.one(stage="robustness", estimator="errors", specification="clustered", factor=factor)
    assert of_dose["linear"].estimate == pytest.approx(full.estimate, rel=1e-6)
    assert of_dose["linear"].std_error == pytest.approx(full.std_error, rel=1e-6)
    number = cohort[factor].clip(upper=4).value_counts()
    assert {name: row.n for name, row in of_dose.items() if name.startswith("group")} == {
        f"group_{place}": size for place, size in enumerate(number.sort_index())
    }
    assert of_dose["without_top"].n == (cohort[factor] <= cohort[factor].quantile(0.975, interpolation="higher")).sum()
    two_values = [name for name in protocol().factors if cohort[name].nunique() == 2]
    assert two_values and rows.where(estimator="dose", factor=two_values).empty


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_chapter_says_what_the_rows_say(rows, choices, language):
    words = Words(language, STUDY)
    page = Page(rows, choices, STUDY, words, Trail(STUDY, PARAMS.parent), [], "markdown")
    text = "\n\n".join(chapter.blocks(page))
    full = one(rows, estimator="errors", specification="clustered")
    ends = [one(rows, estimator="leave_one_cluster_out", estimand=name).estimate for name in ("smallest", "largest")]
    for number in ends:
        assert f"{number:.2f}".replace("-", "−") in text.replace("-", "−")
    table = chapter.gelbach(rows, words, ["treated"])
    line = table.splitlines()[2]
    assert words.label("columns", "treated") in line
    cells = [cell.strip().replace("−", "-") for cell in line.strip("|").split("|")]
    whole = one(rows, estimator="gelbach", estimand="difference").estimate
    assert float(cells[1]) == pytest.approx(full.estimate + whole, abs=0.006)
    assert float(cells[1]) - sum(map(float, cells[2:-2])) == pytest.approx(float(cells[-2]), abs=0.03)
    (figure, factor) = chapter.drawings(rows, words, page.scope)["robustness"]
    drawn = figure(rows, words, factor)
    shown = [name for name in chapter.SPECIFICATIONS if not np.isnan(_bound(rows, name))]
    # A line each, one for the range without a cluster, and a head for each kind and for the range.
    heads = len({kind for kind, *_ in shown}) + 1
    assert len(drawn.axes[0].get_yticklabels()) == len(shown) + 1 + heads


def _bound(rows, name):
    estimator, specification, estimand = name
    found = rows.where(
        stage="robustness", factor="treated", estimator=estimator, specification=specification, estimand=estimand
    )
    return found["ci_low"].iloc[0] if len(found) else np.nan


def test_periods_that_make_the_clusters_are_no_groups_and_no_second_clustering():
    study = protocol()
    names = ["region", "origination_month", "origination_quarter"]
    loans = pd.DataFrame({name: pd.Categorical(np.arange(400) % 12) for name in names})
    by_month = study.model_copy(update={"cluster": "origination_month"})
    for choice, group, time in ((study, "region", "origination_month"), (by_month, None, "origination_quarter")):
        sample = Sample("treated", loans, loans, [], choice, 0.95, 1)
        assert (sample.group, sample.time) == (group, time)
