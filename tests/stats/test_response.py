import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

from pipeline.runtime.errors import StudyError
from pipeline.stats.response import response

LEVEL = 0.9


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(
        {"intercept": 1.0, "income": rng.normal(3_000, 500, 900), "young": rng.integers(0, 2, 900) * 1.0}
    )
    odds = 0.3 + (frame["income"] - 3_000) / 700 - 0.6 * frame["young"]
    return frame, rng.random(900) < 1 / (1 + np.exp(-odds)), pd.Series(rng.integers(0, 18, 900))


def test_who_answers_is_a_logit_of_statsmodels_and_weights_its_inverse(loans):
    design, measured, clusters = loans
    found = response(measured, design, clusters, LEVEL)
    theirs = sm.Logit(measured.astype(float), design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}, tol=1e-12
    )
    assert found.probability == pytest.approx(theirs.predict(), rel=1e-6)
    for name in ("income", "young"):
        one = found.odds_ratios[name]
        assert one.estimate == pytest.approx(np.exp(theirs.params[name]), rel=1e-6)
        half = 1.644854 * one.std_error
        assert (one.ci_low, one.ci_high) == pytest.approx((one.estimate * np.exp(-half), one.estimate * np.exp(half)))
        # But for the small-sample factor.
        assert one.std_error == pytest.approx(theirs.bse[name] * np.sqrt(18 / 17), rel=0.003)
    weights = 1 / theirs.predict()[measured]
    assert found.weights == pytest.approx(weights / weights.mean(), rel=1e-6)
    assert found.area == pytest.approx(roc_auc_score(measured, theirs.predict()))
    assert found.effective_share == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / measured.sum(), rel=1e-6)


def test_where_nothing_tells_who_answers_all_count_alike(loans):
    design, measured, clusters = loans
    alone = response(measured, design[["intercept"]], clusters, LEVEL)
    assert alone.odds_ratios == {} and alone.area == 0.5 and alone.effective_share == 1
    assert alone.probability == pytest.approx(np.full(900, measured.mean()))
    assert alone.weights.tolist() == [1.0] * int(measured.sum())
    with pytest.raises(StudyError, match="with and without an answer"):
        response(np.ones(900, dtype=bool), design, clusters, LEVEL)


def test_a_level_at_which_all_answered_joins_the_first(loans):
    design, measured, clusters = loans
    asked = design.assign(asked_again=np.where(measured, np.arange(900) % 3 == 0, 0.0))
    found = response(measured, asked, clusters, LEVEL)
    assert list(found.odds_ratios) == ["income", "young"]
    assert found.probability == pytest.approx(response(measured, design, clusters, LEVEL).probability)
