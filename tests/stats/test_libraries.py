"""The regressions that a library fits have the numbers of the engines that inner loops use."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.present.engines import ENGINES
from pipeline.runtime.errors import StudyError
from pipeline.stats import absorbed, instruments, libraries, matched_effects, regression
from pipeline.stats import difference_in_differences as did
from pipeline.stats.design import design_matrix

LOANS, BANKS = 1_500, 30
CLOSE = {"rel": 1e-8, "abs": 1e-12}


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(11)
    bank = rng.integers(0, BANKS, LOANS)
    lot, score = rng.integers(0, 2, LOANS), rng.normal(size=LOANS) + bank / 30
    treated = (lot + rng.normal(size=LOANS) + score / 2 > 0.6).astype(float)
    chance = 1 / (1 + np.exp(1 + 0.5 * treated - 0.4 * score - rng.normal(size=BANKS)[bank] / 2))
    return pd.DataFrame(
        {
            "default": (rng.random(LOANS) < chance).astype(int),
            "treated": treated,
            "lot": lot,
            "score": score,
            "year": pd.Categorical(rng.integers(0, 4, LOANS).astype(str)),
            "bank": bank,
            "state": bank // 3,
            "weight": rng.choice([1.0, 2.5, 4.0], LOANS),
        }
    )


@pytest.fixture(scope="module")
def design(loans):
    return design_matrix(loans, ["treated", "score", "year"]).matrix


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("factor", ["treated", "score"])
def test_least_squares(loans, design, factor, weighted):
    given = loans["default"], design, factor, loans["state"], 0.9, loans["weight"] if weighted else None
    assert libraries.linear_probability(*given) == pytest.approx(regression.linear_probability(*given), **CLOSE)


def test_one_fit_has_the_error_of_each_way_of_clustering(loans, design):
    ways = {name: loans[name] for name in ("bank", "state")}
    found = libraries.clustered_ways(loans["default"], design, "score", ways, 0.9, loans["weight"])
    for name, clusters in ways.items():
        own = regression.linear_probability(loans["default"], design, "score", clusters, 0.9, loans["weight"])
        assert found[name] == pytest.approx(own, **CLOSE)
    assert found["bank"].std_error != found["state"].std_error


@pytest.mark.parametrize("weighted", [False, True])
def test_controls_that_are_taken_out_count_as_in_the_whole_regression(loans, design, weighted):
    weights = loans["weight"] if weighted else None
    whole = sm.WLS(loans["default"], design, weights=1.0 if weights is None else weights)
    fit = whole.fit(cov_type="cluster", cov_kwds={"groups": loans["state"]})
    found = libraries.linear_probability(loans["default"], design, "treated", loans["state"], 0.95, weights)
    assert found[:2] == pytest.approx((fit.params["treated"], fit.bse["treated"]), **CLOSE)


def test_one_search_has_the_errors_of_each_way_of_clustering(loans, design):
    ways = {name: loans[name] for name in ("bank", "state")}
    found = libraries.logit_ways(loans["default"], design, "score", ways, 0.9)
    for name, clusters in ways.items():
        own = regression.logit(loans["default"], design, "score", clusters, 0.9)
        for one, other in zip(found[name], own, strict=True):
            assert one == pytest.approx(other, **CLOSE)
    assert found["bank"].odds_ratio.std_error != found["state"].odds_ratio.std_error


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("factor", ["treated", "score"])
def test_logit(loans, design, factor, weighted):
    by_outcome = loans["default"].map({0: 3.0, 1: 1.0}) if weighted else None
    given = loans["default"], design, factor, loans["state"], 0.9, by_outcome
    for one, other in zip(libraries.logit(*given), regression.logit(*given), strict=True):
        assert one == pytest.approx(other, **CLOSE)


@pytest.mark.parametrize("factor", ["treated", "score"])
def test_the_maximum_and_its_margins(loans, design, factor):
    y, x, w = (
        loans["default"].to_numpy(dtype=float),
        design.to_numpy(dtype=float),
        loans["weight"].to_numpy(dtype=float),
    )
    groups = loans["state"].astype("category").cat.codes.to_numpy()
    how = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    slopes, covariance = regression.logistic_maximum(y, x, w, groups, factor)
    fit = sm.GLM(y, x, family=sm.families.Binomial(), var_weights=w).fit(tol=1e-14, **how)
    assert slopes == pytest.approx(fit.params, **CLOSE)
    assert covariance == pytest.approx(fit.cov_params(), **CLOSE)
    slopes, covariance = regression.logistic_maximum(y, x, np.ones(len(y)), groups, factor)
    place = design.columns.get_loc(factor)
    margin = sm.Logit(y, x).fit(disp=False, tol=1e-14, **how).get_margeff(dummy=True)
    # The margins leave the intercept out.
    at = [name for name in design if name != "intercept"].index(factor)
    found = regression.logit_effects(x, place, slopes, covariance, 0.9)
    assert found.average_marginal_effect[:2] == pytest.approx((margin.margeff[at], margin.margeff_se[at]), rel=1e-6)


@pytest.mark.parametrize("factor", ["treated", "score"])
def test_logit_with_design_weights(loans, design, factor):
    given = loans["default"], design, factor, loans["state"], 0.9, loans["weight"]
    for one, other in zip(libraries.weighted_logit(*given), matched_effects.weighted_logit(*given), strict=True):
        assert one == pytest.approx(other, **CLOSE)


@pytest.mark.parametrize("clusters", ["bank", "state", "year"])
@pytest.mark.parametrize("kinds", [["bank"], ["bank", "year"]])
@pytest.mark.parametrize("weighted", [False, True])
def test_absorbed_effects(loans, design, kinds, clusters, weighted):
    absorb = loans[kinds[0]] if len(kinds) == 1 else loans[kinds]
    weights = loans["weight"] if weighted else None
    given = loans["default"], design, ["treated", "score"], absorb, loans[clusters], 0.9, weights
    found, own = libraries.absorbed_linear(*given), absorbed.absorbed_linear(*given)
    for factor in ("treated", "score"):
        assert found.effects[factor] == pytest.approx(own.effects[factor], **CLOSE)
    assert found[1:] == own[1:]


@pytest.mark.parametrize("clusters", [None, "state"])
def test_two_stages(loans, design, clusters):
    columns = (loans[name].to_numpy() for name in ("default", "treated", "lot"))
    more = {"groups": loans["bank"], "controls": design[["score"]], "level": 0.9}
    more["clusters"] = None if clusters is None else loans[clusters]
    given = tuple(columns)
    found, own = libraries.two_stage(*given, **more), instruments.two_stage(*given, **more)
    for part in ("effect", "first_stage", "reduced_form", "first_stage_f"):
        assert getattr(found, part) == pytest.approx(getattr(own, part), **CLOSE)


def test_inside_groups(loans, design):
    given = loans["default"].to_numpy(), loans["treated"].to_numpy()
    more = {"groups": loans["bank"], "controls": design[["score"]], "level": 0.9}
    assert libraries.inside(*given, **more) == pytest.approx(instruments.inside(*given, **more), **CLOSE)


def test_poisson():
    rng = np.random.default_rng(3)
    rows = pd.MultiIndex.from_product([range(14), range(9)], names=["institution_id", "origination_quarter"])
    table = rows.to_frame(index=False)
    table["adopted"] = ((table["institution_id"] < 7) & (table["origination_quarter"] > 4)).astype(float)
    loans = rng.integers(100, 300, len(table))
    rate = np.exp(-2.5 - 0.3 * table["adopted"] + table["institution_id"] / 20)
    table = table.assign(loans=loans, events=rng.poisson(loans * rate)).astype({"institution_id": str})
    assert libraries.poisson(table, 0.9).effect == pytest.approx(did.poisson(table, 0.9).effect, **CLOSE)


def test_what_tells_default_is_an_error(loans, design):
    told = design.assign(told=loans["default"] * 2.0)
    with pytest.raises(StudyError, match="exactly"):
        libraries.linear_probability(loans["default"], told, "told", loans["state"], 0.9)
    separating = design.assign(score=loans["default"] * 2.0 - 1 + loans["score"].abs() / 1e3)
    for fit, more in ((libraries.logit, ()), (libraries.weighted_logit, (loans["weight"],))):
        with pytest.raises(StudyError, match="logistic regression on treated"):
            fit(loans["default"], separating, "treated", loans["state"], 0.9, *more)


def test_the_table_of_engines_names_what_the_code_imports():
    """Each function of the table imports its library, and each that imports one is in the table."""
    imported = set()
    for node in ast.parse(inspect.getsource(libraries)).body:
        if isinstance(node, ast.FunctionDef):
            inner = [one for one in ast.walk(node) if isinstance(one, ast.Import | ast.ImportFrom)]
            names = {(one.module if isinstance(one, ast.ImportFrom) else one.names[0].name) for one in inner}
            imported |= {(node.name, name.split(".")[0]) for name in names}
    assert {(name, engine.split(" ")[0]) for name, engine in ENGINES.items()} == imported
    source = inspect.getsource(libraries)
    for engine in ENGINES.values():
        for part in engine.split(" ")[1:]:
            assert part.strip("(),") in source


def test_no_method_of_a_library_is_replaced():
    for path in Path(libraries.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    of_model = isinstance(target, ast.Attribute) and getattr(target.value, "id", "") in ("model", "fit")
                    assert not of_model, f"{path}:{node.lineno}"
