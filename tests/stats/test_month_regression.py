import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats import month_regression as module
from pipeline.stats.histories import shifted, spells, window_sum
from pipeline.stats.marginal_structural import dispersion, stabilised_weights, truncated
from pipeline.stats.month_regression import hazard_logit, month_regression, separate_slopes


@pytest.fixture(scope="module")
def months():
    rng = np.random.default_rng(6)
    lender = rng.integers(0, 8, 3000)
    x = rng.normal(size=(3000, 2)) + lender[:, None] / 8
    event = (rng.random(3000) < 1 / (1 + np.exp(2 - 0.5 * x[:, 0] - 0.1 * lender))).astype(float)
    count = rng.poisson(np.exp(0.3 * x[:, 1] - 0.1 * lender))
    frame = pd.DataFrame(x, columns=["crm", "size"])
    return frame.assign(lender=lender, event=event, count=count, weight=1 + rng.random(3000))


@pytest.mark.parametrize(
    ("family", "outcome", "theirs"),
    [
        ("logit", "event", sm.families.Binomial()),
        ("poisson", "count", sm.families.Poisson()),
        ("linear", "count", None),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_and_errors_are_those_with_indicators(months, family, outcome, theirs, weighted):
    design = months[["crm", "size"]]
    weights = months["weight"].to_numpy() if weighted else np.ones(len(months))
    found = month_regression(months[outcome], design, months["lender"].to_numpy(), family, weights)
    long = pd.concat([design, pd.get_dummies(months["lender"], dtype=float)], axis=1)
    model = sm.GLM(months[outcome], long, family=theirs or sm.families.Gaussian(), freq_weights=weights)
    fit = model.fit()
    assert dict(zip(found.names, found.slopes, strict=True)) == pytest.approx(
        dict(fit.params[["crm", "size"]]), rel=1e-6
    )
    residual = (months[outcome] - fit.fittedvalues).to_numpy() * weights
    density = weights * theirs.variance(fit.fittedvalues) if theirs else weights
    bread = np.linalg.inv(long.T.to_numpy() @ (np.asarray(density)[:, None] * long.to_numpy()))
    scores = np.column_stack(
        [np.bincount(months["lender"], column) for column in (long.to_numpy() * residual[:, None]).T]
    )
    by_hand = 8 / 7 * bread @ scores.T @ scores @ bread
    mine = found.influence(months["lender"].to_numpy())
    assert 8 / 7 * mine.T @ mine == pytest.approx(by_hand[:2, :2], rel=1e-5)


def test_a_factor_that_no_group_varies_in_has_no_hazard(months):
    design = months[["crm", "size"]].assign(same=months["lender"] * 2.0)
    with pytest.raises(StudyError, match="same does not vary inside groups"):
        hazard_logit(months["event"].to_numpy(), design, "same", months["lender"], months["lender"], 0.95)


@pytest.mark.parametrize(
    ("outcome", "family", "theirs"),
    [
        ("event", "logit", sm.families.Binomial()),
        ("count", "poisson", sm.families.Poisson()),
        ("count", "linear", sm.families.Gaussian()),
    ],
)
@pytest.mark.parametrize("by", ["lender", "loan"])
def test_errors_are_those_of_statsmodels_with_an_indicator_for_each_lender(months, outcome, family, theirs, by):
    design, lender = months[["crm", "size"]], months["lender"].to_numpy()
    cluster = {"lender": lender, "loan": np.arange(len(months)) // 5}[by]
    long = pd.concat([design, pd.get_dummies(months["lender"], dtype=float)], axis=1)
    fit = sm.GLM(months[outcome], long, family=theirs).fit(
        tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": cluster}
    )
    found = month_regression(months[outcome], design, lender, family).effects(cluster, 0.95, both=["crm", "size"])
    for name in design:
        assert found[name].std_error == pytest.approx(fit.bse[name], rel=1e-5)
    both = fit.t_test(np.eye(len(fit.params))[:2].sum(axis=0))
    assert found["both"].std_error == pytest.approx(float(np.squeeze(both.sd)), rel=1e-5)


def test_starting_from_a_tenth_ends_where_starting_from_nought_does(months, monkeypatch):
    design, lender = months[["crm", "size"]], months["lender"].to_numpy()
    before = month_regression(months["event"], design, lender).slopes
    monkeypatch.setattr(module, "MANY", 1000)
    assert month_regression(months["event"], design, lender).slopes == pytest.approx(before, rel=1e-6)


def test_the_score_test_is_near_the_wald_test(months):
    lender = np.arange(len(months)) // 5
    small = month_regression(months["event"], months[["size"]], months["lender"].to_numpy())
    both = month_regression(months["event"], months[["size", "crm"]], months["lender"].to_numpy())
    wald = both.effects(lender, 0.95)["crm"]
    tested = small.adds(months["crm"].to_numpy(), lender)
    assert tested.statistic == pytest.approx((wald.estimate / wald.std_error) ** 2, rel=0.15)
    noise = np.random.default_rng(1).normal(size=len(months))
    assert small.adds(noise, lender).p_value > 0.05


def test_separate_slopes_are_those_of_separate_regressions(months):
    lender = months["lender"].to_numpy()
    columns = months[["crm", "count"]].assign(same=months["lender"])
    found = separate_slopes(months["event"].to_numpy(), columns, months[["size"]], lender, lender, 0.95)
    assert set(found) == {"crm", "count"}
    for name, one in found.items():
        alone = month_regression(months["event"], months[[name, "size"]], lender, "linear")
        assert one == pytest.approx(alone.effects(lender, 0.95)[name], rel=1e-9)


def test_a_column_that_separates_is_a_sentence(months):
    with pytest.raises(StudyError, match="no maximum"):
        month_regression(months["event"], months[["size"]].assign(answer=months["event"]), months["lender"].to_numpy())
    with pytest.raises(StudyError, match="no column varies"):
        month_regression(months["event"], months[["lender"]], months["lender"].to_numpy())
    with pytest.raises(StudyError, match="no events"):
        month_regression(0 * months["event"], months[["size"]], months["lender"].to_numpy())


LOAN = np.array(list("aaabbbb"))
MONTH = np.array([1, 2, 3, 1, 2, 4, 5])


def test_months_before_and_after_stay_within_the_loan():
    values = np.arange(7.0)
    assert shifted(values, LOAN, MONTH, 1) == pytest.approx([np.nan, 0, 1, np.nan, 3, np.nan, 5], nan_ok=True)
    assert shifted(values, LOAN, MONTH, -1) == pytest.approx([1, 2, np.nan, 4, np.nan, 6, np.nan], nan_ok=True)
    assert window_sum(values, LOAN, MONTH, 2) == pytest.approx([np.nan, np.nan, 1, *[np.nan] * 4], nan_ok=True)


def test_spells_of_arrears_end_in_cure_or_default():
    loan = np.array(list("aaaabbbccd"))
    current = np.array([1, 0, 1, 0, 1, 0, 0, 1, 0, 1])
    arrears = np.array([1, 0, 1, 1, 1, 1, 0, 1, 1, 1])
    default = np.array([0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    found = spells(arrears, current, default, loan)
    # a: cured, then not seen to end; b: default after two months; c and d: not seen to end.
    assert found == pytest.approx([0, np.nan, np.nan, np.nan, 1, *[np.nan] * 5], nan_ok=True)


def world(seed, loans=6000, length=6):
    """Contacts answer arrears of the month before and lower those of the next; arrears breed arrears.

    True effect of one contact on the log odds of arrears next month: -.4, in everyone.
    """
    rng = np.random.default_rng(seed)
    late, rows = np.zeros(loans), []
    for month in range(length):
        contacts = rng.poisson(np.exp(-0.7 + 1.0 * late))
        rows.append(pd.DataFrame({"loan": np.arange(loans), "month": month, "late": late, "contacts": contacts}))
        late = (rng.random(loans) < 1 / (1 + np.exp(2 - 2.0 * late + 0.4 * contacts))).astype(float)
        rows[-1]["next"] = late
    return pd.concat(rows).sort_values(["loan", "month"], ignore_index=True)


def test_weights_undo_what_arrears_do_to_contacts():
    """Unweighted, contacts look harmful: they go to loans in arrears. Weighted, the answer is the marginal effect."""
    panel = world(3)
    loan, month = panel["loan"].to_numpy(), panel["month"].to_numpy()
    count = panel["contacts"].to_numpy(dtype=float)
    start = np.full(len(panel), count.mean())
    history = panel.groupby("late")["contacts"].transform("mean").to_numpy()
    weights = stabilised_weights(count, start, history, loan, month, 1)
    last = shifted(count, loan, month, 1)
    outcome = shifted(panel["next"].to_numpy(), loan, month, 1)
    there = ~np.isnan(weights)
    design = pd.DataFrame({"contacts": last[there]})
    everyone = np.zeros(there.sum(), dtype=int)
    plain = month_regression(outcome[there], design, everyone)
    weighted = month_regression(outcome[there], design, everyone, weights=weights[there])
    # The marginal effect under the mix of arrears that there is, by giving everybody the contacts of others.
    late = shifted(panel["late"].to_numpy(), loan, month, 1)[there]
    rng = np.random.default_rng(0)
    drawn = rng.poisson(count.mean(), (40, there.sum()))
    risk = 1 / (1 + np.exp(2 - 2.0 * late + 0.4 * drawn))
    truth = month_regression(
        (rng.random(risk.shape) < risk).ravel(),
        pd.DataFrame({"contacts": drawn.ravel()}),
        np.zeros(risk.size, dtype=int),
    ).slopes[0]
    assert truth < -0.3
    error = weighted.effects(loan[there], 0.95)["contacts"].std_error
    assert plain.slopes[0] > truth + 8 * error
    assert weighted.slopes[0] == pytest.approx(truth, abs=3 * error)
    assert weights[there].mean() == pytest.approx(1, abs=0.02)


def test_weights_are_one_where_history_tells_nothing():
    loan, month = np.repeat(np.arange(5), 4), np.tile(np.arange(4), 5)
    mean = np.full(20, 0.6)
    weights = stabilised_weights(np.ones(20), mean, mean, loan, month, 3)
    assert np.isnan(weights).sum() == 15
    assert weights[~np.isnan(weights)] == pytest.approx(1)


def test_truncation_moves_the_ends_only():
    weights = np.arange(101.0)
    found = truncated(weights, 0.1)
    assert (found.min(), found.max()) == (10, 90)
    assert found[10:91].tolist() == weights[10:91].tolist()


def test_counts_beyond_poisson_are_seen():
    rng = np.random.default_rng(2)
    mean = np.full(20_000, 0.7)
    assert dispersion(rng.poisson(mean), mean) == pytest.approx(1, abs=0.03)
    assert dispersion(rng.poisson(mean * rng.gamma(1, 1, 20_000)), mean) > 1.5


@pytest.mark.parametrize("seed", range(8))
def test_large_values_that_are_the_same_inside_groups_leave(seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(30), 7)
    design = pd.DataFrame({"calls": rng.normal(size=210), "of_group": 1e6 * rng.normal(size=30)[group]})
    assert month_regression(rng.normal(size=210), design, group, "linear").names == ("calls",)
