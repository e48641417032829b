import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import f, t

from pipeline.runtime.errors import StudyError
from pipeline.stats import difference_in_differences as did

LENDERS, MONTHS, FIRST = 24, 36, 2003 * 12


def month(number):
    return f"{number // 12}-{number % 12 + 1:02d}"


def simulated(effect, seed=5, loans=30_000, base=0.08, jump_at=0):
    """Loans of lenders of which half adopt; adoption multiplies the rate by exp(effect) from event month `jump_at`."""
    rng = np.random.default_rng(seed)
    lender, when = rng.integers(0, LENDERS, loans), rng.integers(0, MONTHS, loans)
    adoption = np.where(np.arange(LENDERS) < LENDERS / 2, rng.integers(9, 27, LENDERS), 10_000)
    rate = base * np.exp(rng.normal(0, 0.4, LENDERS)[lender] + 0.3 * np.sin(when / 6))
    rate = rate * np.exp(effect * (when >= adoption[lender] + jump_at))
    names = np.array([None if number > MONTHS else month(FIRST + number) for number in adoption], dtype=object)
    return pd.DataFrame(
        {
            "institution_id": [f"L{number:02d}" for number in lender],
            "institution_type": np.where(lender % 2, "p2p", "commercial_bank"),
            "origination_month": [month(FIRST + number) for number in when],
            "origination_quarter": [f"{(FIRST + n) // 12}Q{(FIRST + n) % 12 // 3 + 1}" for n in when],
            "adoption_month": names[lender],
            "adopted": (when >= adoption[lender]).astype(int),
            "default": (rng.random(loans) < rate).astype(int),
        }
    )


@pytest.fixture(scope="module")
def cohort():
    return simulated(-0.4)


@pytest.fixture(scope="module")
def table(cohort):
    return did.cells(cohort, "default")


def dummies(frame, *first):
    effects = [pd.get_dummies(frame[name], dtype=float) for name in ("institution_id", "origination_quarter")]
    return np.column_stack([*first, effects[0], effects[1].iloc[:, 1:]])


def two_by_two(events, loans):
    rows = [("A", "2003Q1", np.nan), ("A", "2003Q2", np.nan), ("B", "2003Q1", -1.0), ("B", "2003Q2", 0.0)]
    frame = pd.DataFrame(rows, columns=["institution_id", "origination_quarter", "event_quarter"])
    return frame.assign(events=events, loans=loans, adopted=[0.0, 0.0, 0.0, 1.0])


def test_cells_count_every_loan_once(cohort, table):
    assert table["loans"].sum() == len(cohort)
    assert table["events"].sum() == cohort["default"].sum()
    assert (table["loans"] * table["adopted"]).sum() == cohort["adopted"].sum()
    assert not table.duplicated(["institution_id", "origination_quarter", "event_quarter"]).any()


# Two cells more, so that there are more cells than effects.
def test_two_by_two_is_the_log_ratio_of_ratios():
    frame = two_by_two([20, 30, 40, 33], [1000, 1100, 900, 800])
    wanted = np.log((33 / 800) / (40 / 900) / ((30 / 1100) / (20 / 1000)))
    fit = did.fit_poisson(*(frame[name].to_numpy(float) for name in ("events", "loans")), dummies(frame, [0, 0, 0, 1]))
    assert fit.coefficients[0] == pytest.approx(wanted)
    twice = pd.concat([frame, frame])
    assert did.poisson(twice, 0.95).effect.estimate == pytest.approx(wanted)
    assert did.poisson_imputation(twice, 0.95).effect.estimate == pytest.approx(wanted)
    of_levels = (33 / 800 - 40 / 900) - (30 / 1100 - 20 / 1000)
    assert did.levels(twice, 0.95).effect.estimate == pytest.approx(of_levels)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_poisson_is_that_of_statsmodels_on_cells(table, level):
    design = dummies(table, table["adopted"])
    fit = sm.GLM(table["events"], design, family=sm.families.Poisson(), exposure=table["loans"]).fit(
        tol=1e-12,
        cov_type="cluster",
        cov_kwds={"groups": pd.factorize(table["institution_id"])[0], "use_correction": True},
    )
    found = did.poisson(table, level)
    assert found.effect.estimate == pytest.approx(fit.params.iloc[0], rel=1e-8)
    assert found.effect.std_error == pytest.approx(fit.bse.iloc[0], rel=1e-6)
    half = t.ppf(0.5 + level / 2, LENDERS - 1) * found.effect.std_error
    assert found.effect.ci_high - found.effect.estimate == pytest.approx(half)
    assert (found.loans, found.clusters) == (table["loans"].sum(), LENDERS)


def test_cells_give_the_coefficients_of_single_loans(cohort, table):
    design = dummies(cohort, cohort["adopted"])
    poisson = sm.GLM(cohort["default"], design, family=sm.families.Poisson()).fit(tol=1e-12)
    assert did.poisson(table, 0.95).effect.estimate == pytest.approx(poisson.params.iloc[0], rel=1e-7)
    line = sm.OLS(cohort["default"], design).fit(
        cov_type="cluster",
        cov_kwds={"groups": pd.factorize(cohort["institution_id"])[0], "use_correction": True},
    )
    found = did.levels(table, 0.95).effect
    assert found.estimate == pytest.approx(line.params.iloc[0], rel=1e-8)
    rows, cells, width = len(cohort), len(table), design.shape[1]
    corrections = (cells - 1) / (cells - width) / ((rows - 1) / (rows - width))
    assert found.std_error == pytest.approx(line.bse.iloc[0] * corrections**0.5, rel=1e-6)


def test_a_lender_without_defaults_changes_nothing(table):
    rows = table[table["institution_id"] == "L03"].assign(institution_id="none", events=0)
    with_it, without = (did.poisson(frame, 0.95) for frame in (pd.concat([table, rows]), table))
    assert with_it == without


def test_imputation_predicts_from_cells_before_adoption(table):
    untreated = table[table["adopted"] == 0]
    fit = sm.GLM(
        untreated["events"], dummies(untreated), family=sm.families.Poisson(), exposure=untreated["loans"]
    ).fit(tol=1e-12)
    adopted = table[table["adopted"] == 1]
    expected = adopted["loans"] * np.exp(dummies(table)[table["adopted"] == 1] @ fit.params.to_numpy())
    wanted = np.log(adopted["events"].sum() / expected.sum())
    assert did.poisson_imputation(table, 0.95).effect.estimate == pytest.approx(wanted, rel=1e-8)


@pytest.mark.long
def test_imputation_has_the_spread_of_a_bootstrap_of_lenders(table):
    rng = np.random.default_rng(3)
    lenders = [rows for _, rows in table.groupby("institution_id")]
    estimates = []
    for _ in range(200):
        drawn = rng.integers(0, len(lenders), len(lenders))
        again = [lenders[one].assign(institution_id=f"{place}") for place, one in enumerate(drawn)]
        estimates.append(did.poisson_imputation(pd.concat(again), 0.95).effect.estimate)
    assert did.poisson_imputation(table, 0.95).effect.std_error == pytest.approx(np.std(estimates), rel=0.25)


def test_a_lender_without_defaults_before_adoption_stays_in_the_imputation():
    frame = pd.concat([two_by_two([20, 30, 40, 33], [1000] * 4), two_by_two([20, 30, 0, 7], [1000] * 4)])
    frame["institution_id"] = ["A", "A", "B", "B", "C", "C", "D", "D"]
    expected = 40 * 60 / 40
    assert did.poisson_imputation(frame, 0.95).effect.estimate == pytest.approx(np.log(40 / expected))


@pytest.mark.parametrize("method", [did.poisson, did.poisson_imputation])
def test_a_known_effect_is_found(table, method):
    found = method(table, 0.95).effect
    assert abs(found.estimate + 0.4) < 3 * found.std_error
    assert found.std_error < 0.12


def test_event_study_finds_a_jump_where_it_is():
    found = did.event_study(did.cells(simulated(-0.9, loans=60_000), "default"), 0.95, -4, 3)
    assert list(found.effects) == [-4, -3, -2, 0, 1, 2, 3]
    for quarter, one in found.effects.items():
        truth = -0.9 if quarter >= 0 else 0
        assert abs(one.effect.estimate - truth) < 3.5 * one.effect.std_error
    assert found.p_value > 0.01
    early = did.event_study(did.cells(simulated(-0.9, loans=60_000, jump_at=-6), "default"), 0.95, -4, 3)
    assert early.p_value < 0.01
    assert early.effects[-4].effect.estimate > 0.5


def test_event_study_is_that_of_statsmodels(table):
    bins = table["event_quarter"].clip(-3, 2).fillna(-1)
    quarters = [-3, -2, 0, 1, 2]
    design = dummies(table, *[(bins == quarter).astype(float) for quarter in quarters])
    fit = sm.GLM(table["events"], design, family=sm.families.Poisson(), exposure=table["loans"]).fit(
        tol=1e-12,
        cov_type="cluster",
        cov_kwds={"groups": pd.factorize(table["institution_id"])[0], "use_correction": True},
    )
    found = did.event_study(table, 0.95, -3, 2)
    for place, quarter in enumerate(quarters):
        assert found.effects[quarter].effect.estimate == pytest.approx(fit.params.iloc[place], rel=1e-7)
        assert found.effects[quarter].effect.std_error == pytest.approx(fit.bse.iloc[place], rel=1e-6)
    wald = fit.f_test(np.eye(2, design.shape[1]))
    assert found.wald == pytest.approx(float(wald.fvalue), rel=1e-6)
    assert found.p_value == pytest.approx(f.sf(found.wald, 2, LENDERS - 1))


def test_permutations_tell_an_effect_from_none(cohort):
    found = did.permuted_adoption(cohort, "default", 199, 1)
    assert found.p_value <= 0.02
    assert found.statistic < -2
    assert found == did.permuted_adoption(cohort.sample(frac=1, random_state=2), "default", 199, 1)
    none = [did.permuted_adoption(simulated(0, seed, 4_000), "default", 99, seed).p_value for seed in range(20)]
    assert 0.25 < np.mean(none) < 0.75


def test_dates_stay_within_types(cohort):
    """With a single adopter in each type of two lenders there are four calendars, and p-values of quarters."""
    few = cohort[cohort["institution_id"].isin(["L00", "L01", "L22", "L23"])]
    found = did.permuted_adoption(few, "default", 999, 4)
    assert min(abs(found.p_value - share) for share in (0.25, 0.5, 0.75, 1)) < 0.06


def test_nothing_to_compare_is_an_error(table):
    with pytest.raises(StudyError, match="no events"):
        did.poisson(table.assign(events=0), 0.95)
    with pytest.raises(StudyError, match="no events after adoption"):
        did.poisson_imputation(table.assign(events=table["events"].where(table["adopted"] == 0, 0)), 0.95)
    with pytest.raises(StudyError, match="no maximum"):
        did.poisson(table.assign(events=table["events"].where(table["adopted"] == 0, 0)), 0.95)


def test_months_are_numbered_and_missing_ones_stay_missing():
    months = pd.Series(["2004-05", None, "2003-12", "2004-05"], index=[7, 3, 5, 1])
    for form in (months, months.astype("category"), months.astype("string")):
        found = did.month_numbers(form)
        assert found.index.tolist() == [7, 3, 5, 1]
        assert found.iloc[[0, 2, 3]].tolist() == [2004 * 12 + 4, 2003 * 12 + 11, 2004 * 12 + 4]
        assert np.isnan(found.iloc[1])
