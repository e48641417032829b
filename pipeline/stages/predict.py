"""Fit and judge scores of default out of time, with and without what CRM knows, and save the score."""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import places, results, store
from pipeline.core.errors import StudyError
from pipeline.core.params import Params, Study
from pipeline.core.scope import FEWEST, scope
from pipeline.present import model_card
from pipeline.present.words import Words
from pipeline.stats import accuracy, prediction, saved_score, scorecard, splits
from pipeline.stats.design import column_of, require
from pipeline.stats.features import blocks_of
from pipeline.stats.prediction import Fitted, Kind, Sample
from pipeline.stats.regression import Effect
from pipeline.stats.samples import number_treated
from pipeline.stats.splits import Split

HARD, ALL, MARKET, HARD_MARKET = "hard", "with_crm", "market", "hard_market"
"""Rungs: hard information, with every CRM block, the same with the market, and hard information with the market.

The market stands last, not in hard information: its series are the same for all loans of a date, so they order no loans
of one date, and out of time they are extrapolated.
"""

ENOUGH = 100
"""Defaults among judged loans from which a score's validation is reliable (Vergouwe et al. 2005)."""

TOO_GOOD = 0.95
"""Area under the ROC curve that no single honest column reaches: a column above it says what happened."""

CONTACTS = {"": 1.0, "_at_half": 0.5, "_at_twice": 2.0}
"""Multiples of the assumed cost of a contact at which savings are compared: the answer should not hang on one."""

FOLDS = 5
"""Parts into which institutions are dealt."""

IMPORTANCE: tuple[Kind, ...] = ("logistic", "boosting")
"""Models whose blocks are dealt out anew."""

REPEATS = 5
"""Times that each block's columns are dealt out anew."""

GROUPS = ("institution_type", "region", "small_firm", "female", "age", "married", "rural", "new_firm")
"""Groups of clients over whom a score should be right alike, where a study has them."""

MOST_GROUPS, SMALLEST_GROUP = 12, 50

Row = dict[str, Any]


class Moment(NamedTuple):
    """A date in a loan's life at which it is scored, with the loans that are open then."""

    outcome: str
    sample: Sample
    split: Split
    """How loans are dealt into those that teach and those that are judged."""
    test: Sample
    """The loans that are judged."""
    saved: Split
    """The one cut in time of which the saved score is learnt."""
    blocks: dict[str, list[str]]
    rungs: dict[str, list[str]]
    """Terms of each nested set of blocks."""
    protocol: Study
    params: Params
    seed: int
    full: bool
    """Whether every model is tried at this moment."""

    @property
    def level(self) -> float:
        """Confidence level of intervals."""
        return self.params.inference.level

    def row(self, estimator: str, factor: str, estimand: str, **more: Any) -> Row:
        """Return a row with the numbers of the judged loans."""
        loans = more.pop("loans", None)
        loans = self.test.loans if loans is None else loans
        counts = {
            "n": len(loans),
            "n_treated": number_treated(loans),
            "n_clusters": loans[self.protocol.cluster].nunique(),
        }
        named = {"specification": self.split.name, "factor": factor, "outcome": self.outcome, "estimand": estimand}
        return {"estimator": estimator} | named | counts | more


def run(study: str, params: Params) -> str:
    """Write the rows on prediction, the saved score and its card."""
    protocol = params.study(study)
    cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
    require(cohort, [protocol.cluster], "cluster")
    allowed = scope(protocol, cohort)
    cohort = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    seed = zlib.crc32(f"{params.seed} {study} predict".encode())

    rows: list[Row] = []
    model: dict[str, Any] = {}
    try:
        if allowed.lacks("few_defaults"):
            raise StudyError("too few loans defaulted, or too few did not.")
        for moment in moments(cohort, allowed.protocol, params, seed):
            rows += [*_judge(moment)]
            if moment.outcome == "default":
                model = _model(moment)
                rows += _groups(moment, model)
                rows += _assumptions(moment, model)
            else:
                # For the grades' migration; a loan that is applied for has no landmark yet.
                model["renewed"] = _logistic(moment)
    except StudyError as error:
        if model:
            # At origination it went well; what is missing is the landmark.
            rows.append({"estimator": "not_predicted", "outcome": "default_after_landmark", "note": str(error)})
        else:
            rows = [{"estimator": "not_predicted", "outcome": "default", "n": len(cohort), "note": str(error)}]
            model = {"nothing": str(error)}
    results.write(places.results(study, "predict"), results.table(study, "predict", rows))
    store.write_json(places.reports(study) / "model.json", {"version": saved_score.VERSION, "study": study} | model)
    words = Words(params.report.language, study, protocol.module)
    rows_read = results.read(places.results(study, "predict"))
    simulated = protocol.design == "simulated"
    card = model_card.card(rows_read, model, words, params.inference.level, simulated=simulated)
    store.write_text(places.reports(study) / "model_card.md", card)
    return f"{len(rows):,} rows"


def moments(cohort: pd.DataFrame, protocol: Study, params: Params, seed: int) -> Iterator[Moment]:
    """Yield the dates at which loans are scored: origination, and the landmark where factors are measured up to it."""
    later = protocol.after_origination()
    weights = "weight" in cohort
    # What carries no date may have been recorded after the loan, or because of how it went.
    factors = [factor for factor in protocol.factors if factor not in protocol.undated]
    yield _moment(cohort, "default", [f for f in factors if f not in later], not later, protocol, params, seed)
    # Weights by an outcome that counts from origination do not fit loans still open at the landmark.
    if later and not weights:
        loans = cohort[cohort["open_at_landmark"] == 1].reset_index(drop=True)
        yield _moment(loans, "default_after_landmark", factors, True, protocol, params, seed)


def _moment(
    loans: pd.DataFrame, outcome: str, factors: list[str], full: bool, protocol: Study, params: Params, seed: int
) -> Moment:
    controls = protocol.controls
    blocks = blocks_of([*controls.loan, *controls.borrower], factors, set(loans))
    market = [term for term in controls.market if column_of(term) in loans]
    require(loans, [column_of(term) for terms in blocks.values() for term in terms], "controls or factors")
    default = loans[outcome].to_numpy(dtype=float)
    weights = loans["weight"].to_numpy(dtype=float) if "weight" in loans else None
    sample = Sample(loans, default, weights)
    saved, split = _splits(sample, params, seed)
    blocks = {name: prediction.lasting(sample, saved, terms) for name, terms in blocks.items()}
    blocks = {
        name: [term for term in terms if not loans[column_of(term)].isna().all()] for name, terms in blocks.items()
    }
    blocks = {name: terms for name, terms in blocks.items() if terms}
    if not blocks:
        raise StudyError("no column is left from which default could be predicted.")
    rungs: dict[str, list[str]] = {}
    terms: list[str] = []
    for name, added in blocks.items():
        terms = [*terms, *added]
        rungs[name] = terms
    if len(blocks) > 1 or HARD not in blocks:
        rungs[ALL] = rungs.pop(list(blocks)[-1])
    if market and HARD in rungs and ALL in rungs:
        rungs |= {HARD_MARKET: [*rungs[HARD], *market], MARKET: [*rungs[ALL], *market]}
    test = sample.part(split.test)
    return Moment(outcome, sample, split, test, saved, blocks, rungs, protocol, params, seed, full)


def _splits(sample: Sample, params: Params, seed: int) -> tuple[Split, Split]:
    """Return the cut in time, and how loans are judged: by it, or span by span where too few defaulted after it."""
    loans, choices = sample.loans, params.predict
    borrower = loans.get("borrower_id")
    borrower = None if borrower is None or borrower.isna().all() else borrower
    try:
        saved = splits.by_time(loans["origination_date"], borrower, choices.train_share)
    except StudyError:
        saved = splits.at_random(loans["loan_id"], borrower, choices.train_share, [seed, 1])
    split = saved
    fewest = min(max(choices.fewest_defaults, FEWEST), int(sample.default.sum()) // 2)
    if sample.default[saved.test].sum() < fewest and saved.name == "out_of_time":
        split = splits.rolling(loans["origination_date"], borrower, choices.spans)
        # Folds whose past holds too few defaults cannot teach.
        kept = [fold for fold in split.folds if _enough(sample.default[fold.train])]
        split = split._replace(folds=kept)
    if not split.folds or not _enough(sample.default[split.test]):
        raise StudyError("too few of the later loans defaulted, or too few did not, to judge a score on them.")
    if not _enough(sample.default[saved.folds[0].train]):
        raise StudyError("too few of the earlier loans defaulted, or too few did not, to learn a score from them.")
    return saved, split


def _enough(default: np.ndarray) -> bool:
    return bool(min(default.sum(), (1 - default).sum()) >= FEWEST)


def _judge(moment: Moment) -> Iterator[Row]:
    """Yield every number on the scores at a moment."""
    judged = {
        (kind, rung): prediction.predict(moment.sample, moment.split, terms, kind, moment.seed)
        for rung, terms in moment.rungs.items()
        for kind in _kinds(moment, rung)
    }
    found = {name: one.share for name, one in judged.items()}
    yield from _counts(moment)
    for (kind, rung), share in found.items():
        yield from _accuracy(moment, kind, rung, share)
        yield from _gains(moment, kind, rung, share, found)
    last = ALL if ALL in moment.rungs else HARD
    if not moment.full:
        return
    yield from _curves(moment, {kind: share for (kind, rung), share in found.items() if rung == last}, last)
    if last == ALL and ("logistic", HARD) in found:
        yield from _curves(moment, {"logistic": found["logistic", HARD]}, HARD)
    fold = moment.split.folds[-1]
    train, test = moment.sample.part(fold.train), moment.sample.part(fold.test)
    if _enough(test.default):
        for place, kind in enumerate(IMPORTANCE):
            fitted = judged[kind, last].fitted
            lost = prediction.importance(fitted, test, moment.blocks, REPEATS, [moment.seed, place])
            for block, (mean, spread) in lost.items():
                more = {"estimate": mean, "std_error": spread, "unit": "area", "loans": test.loans}
                note = f"mean and standard deviation of {REPEATS} draws"
                yield moment.row(f"importance_{kind}", block, "auc_lost", note=note, **more)
    for node in prediction.nodes(judged["tree", last].fitted):
        threshold = "" if np.isnan(node.threshold) else f"{node.threshold:.6g}"
        named = {"specification": node.path, "loans": train.loans, "n": node.loans, "note": threshold}
        yield moment.row("tree_node", node.column, "default_rate", estimate=100 * node.rate, unit="percent", **named)
    if HARD in moment.rungs:
        yield from _coefficients(moment, train, judged["logistic", HARD].fitted)
    if HARD in moment.rungs and ALL in moment.rungs:
        yield from _complete(moment, found["logistic", HARD])
    yield from _other_institutions(moment)
    if moment.protocol.after_origination() and ALL in moment.rungs:
        yield from _updated(moment, found["logistic", ALL])


def _counts(moment: Moment) -> Iterator[Row]:
    """Yield how many loans teach and are judged, of how many dates, and from when on."""
    _, default, _ = moment.sample
    teach = moment.split.folds[-1].train
    dates = moment.sample.loans["origination_date"].nunique()
    counts = {"train_loans": teach.sum(), "train_defaults": default[teach].sum(), "dates": dates}
    counts["factors_with_gaps"] = len(_with_gaps(moment))
    counts |= {"test_loans": len(moment.test.loans), "test_defaults": moment.test.default.sum()}
    for name, number in counts.items():
        yield moment.row("split", "", name, estimate=float(number), unit="count", note=moment.split.cut)


def _with_gaps(moment: Moment) -> list[str]:
    """Return the CRM factors that some loans lack."""
    of_crm = [term for name, terms in moment.blocks.items() if name != HARD for term in terms]
    return [term for term in of_crm if moment.sample.loans[column_of(term)].isna().any()]


def _complete(moment: Moment, hard: np.ndarray) -> Iterator[Row]:
    """Yield what CRM factors without gaps add: a gap that is marked may tell of the lender's files."""
    gaps = _with_gaps(moment)
    terms = [term for term in moment.rungs[ALL] if term not in gaps]
    if not gaps or len(terms) == len(moment.rungs[HARD]):
        return
    loans, default, _ = moment.test
    share = prediction.predict(moment.sample, moment.split, terms, "logistic").share
    clusters = loans[moment.protocol.cluster].to_numpy()
    named = ("logistic", ALL, "auc_gain_of_complete_clustered")
    try:
        found = accuracy.clustered_gain(default, hard, share, clusters, moment.level)
    except StudyError as error:
        yield moment.row(*named, note=str(error))
        return
    yield moment.row(*named, **found._asdict(), unit="area", note=f"without {', '.join(gaps)}")


def _kinds(moment: Moment, rung: str) -> tuple[Kind, ...]:
    if rung not in (HARD, ALL):
        return ("logistic",)
    if not moment.full:
        return ("logistic", "scorecard")
    only = ALL not in moment.rungs
    return prediction.KINDS if rung == ALL or only else ("logistic", "scorecard", "boosting")


def _accuracy(moment: Moment, kind: Kind, rung: str, share: np.ndarray) -> Iterator[Row]:
    """Yield order, calibration, decisions and stability of one score."""
    _, default, weights = moment.test
    level, choices = moment.level, moment.params.predict

    def row(estimand: str, found: Effect | float, unit: str, **more: Any) -> Row:
        numbers = found._asdict() if isinstance(found, Effect) else {"estimate": found}
        return moment.row(kind, rung, estimand, **(numbers | {"unit": unit} | more))

    yield row("auc", accuracy.area(default, share, level), "area")
    yield row("kolmogorov_smirnov", accuracy.kolmogorov_smirnov(default, share), "share")
    brier = accuracy.mean_effect((default - share) ** 2, weights, level)._replace(p_value=np.nan)
    yield row("brier", brier, "squared error")
    try:
        right = accuracy.calibration(default, share, weights, level)
    except StudyError as error:
        yield moment.row(kind, rung, "calibration_slope", note=str(error))
    else:
        # What a slope is tested against is one.
        slope = right.slope
        z = abs(slope.estimate - 1) / slope.std_error
        yield row("calibration_slope", slope._replace(p_value=_two_sided(z)), "log odds for log odds")
        yield row("calibration_intercept", right.intercept, "log odds")
    followed = accuracy.flagged(share, weights, choices.capacity).astype(float)
    note = f"the {100 * choices.capacity:g}% of loans with the highest scores"
    try:
        precision = accuracy.ratio_of_means(followed * default, followed, weights, level)
        recall = accuracy.ratio_of_means(followed * default, default, weights, level)
    except StudyError as error:
        yield moment.row(kind, rung, "precision", note=str(error))
    else:
        yield row("precision", _percent(precision), "percent", note=note)
        yield row("recall", _percent(recall), "percent", note=note)
        yield row("lift", _lift(followed, default, weights, level), "times", note=note)
    costs = choices.costs
    saving = _saving(moment, default, share)
    note = f"loss {_lost(moment.params):g}, contact {costs.contact:g}, prevented {costs.prevented:g}"
    yield row("saving", accuracy.mean_effect(saving, weights, level), "of 100 lent", note=note)


def _saving(moment: Moment, default: np.ndarray, share: np.ndarray, multiple: float = 1.0) -> np.ndarray:
    costs = moment.params.predict.costs
    return accuracy.savings(
        default, share, loss=_lost(moment.params), contact=multiple * costs.contact, prevented=costs.prevented
    )


def _lost(params: Params) -> float:
    """Return what a default loses, of 100 lent."""
    return 100 * params.loss_share


def _lift(followed: np.ndarray, default: np.ndarray, weights: np.ndarray | None, level: float) -> Effect:
    """Return the default rate of the loans that are followed up, by that of all."""
    weights = np.ones(len(default)) if weights is None else weights
    rate, share = np.average(default, weights=weights), np.average(followed, weights=weights)
    lift = np.average(followed * default, weights=weights) / rate / share
    # The ratio of means of followed x default and (share followed) x default.
    found = accuracy.ratio_of_means(followed * default / share, default, weights, level)
    assert np.isclose(found.estimate, lift)
    return found._replace(p_value=np.nan)


def _gains(
    moment: Moment, kind: Kind, rung: str, share: np.ndarray, found: dict[tuple[Kind, str], np.ndarray]
) -> Iterator[Row]:
    """Yield what a score gains on those with fewer blocks, and on the logistic regression."""
    against = {}
    if rung not in (HARD, HARD_MARKET, MARKET) and (kind, HARD) in found:
        against["gain"] = found[kind, HARD]
    order = [name for name in moment.rungs if name != HARD_MARKET]
    place = order.index(rung) if rung in order else 0
    if place and (kind, order[place - 1]) in found and kind == "logistic":
        against["step"] = found[kind, order[place - 1]]
    if rung == MARKET:
        against["gain_given_market"] = found[kind, HARD_MARKET]
    if kind != "logistic" and ("logistic", rung) in found:
        against["gain_on_logistic"] = found["logistic", rung]
    loans, default, weights = moment.test
    level, clusters = moment.level, loans[moment.protocol.cluster].to_numpy()
    for name, other in against.items():
        by_loan = accuracy.gain(default, other, share, level)
        yield moment.row(kind, rung, f"auc_{name}", **by_loan._asdict(), unit="area")
        try:
            clustered = accuracy.clustered_gain(default, other, share, clusters, level)
            yield moment.row(kind, rung, f"auc_{name}_clustered", **clustered._asdict(), unit="area")
        except StudyError as error:
            yield moment.row(kind, rung, f"auc_{name}_clustered", note=str(error))
        better = accuracy.mean_effect((default - other) ** 2 - (default - share) ** 2, weights, level, clusters)
        note = "above nought: better; by cluster"
        yield moment.row(kind, rung, f"brier_{name}", **better._asdict(), unit="squared error", note=note)
        if name == "step":
            continue
        more = {
            suffix: _saving(moment, default, share, multiple) - _saving(moment, default, other, multiple)
            for suffix, multiple in CONTACTS.items()
        }
        for suffix, values in (more | {"_over_costs": np.mean([*more.values()], axis=0)}).items():
            saved = accuracy.mean_effect(values, weights, level, clusters)._asdict()
            at = [suffix] if suffix in CONTACTS else CONTACTS
            costs = ", ".join(f"{CONTACTS[one] * moment.params.predict.costs.contact:g}" for one in at)
            note = f"{'mean over contact' if len(at) > 1 else 'contact'} {costs}; by cluster"
            yield moment.row(kind, rung, f"saving_{name}{suffix}", **saved, unit="of 100 lent", note=note)


def _two_sided(z: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.sf(z))


def _percent(found: Effect) -> Effect:
    scaled = [100 * value for value in found[:4]]
    return Effect(*scaled, np.nan)


def _curves(moment: Moment, shares: dict[Kind, np.ndarray], rung: str) -> Iterator[Row]:
    """Yield the points of the figures: ROC, reliability and lift."""
    _, default, weights = moment.test
    for kind, share in shares.items():
        for one in accuracy.roc(default, share).itertuples():
            more = {"outcome": f"{one.false_alarms:.4f}", "estimate": one.found, "unit": "share"}
            yield moment.row("roc", rung, kind, **more)
        for one in accuracy.gains(default, share, weights).itertuples():
            yield moment.row("gains", rung, kind, outcome=f"{one.flagged:.4f}", estimate=one.lift, unit="times")
        for one in accuracy.reliability(default, share, weights, moment.level).itertuples():
            ends = {"estimate": 100 * one.rate, "ci_low": 100 * one.low, "ci_high": 100 * one.high, "n": one.n}
            yield moment.row("reliability", rung, kind, outcome=f"{100 * one.predicted:.6f}", unit="percent", **ends)


def _coefficients(moment: Moment, train: Sample, fitted: Fitted) -> Iterator[Row]:
    """Yield the odds ratios of hard information's numbers."""
    clusters = train.loans[moment.protocol.cluster].to_numpy()
    if len(pd.unique(clusters)) < 2:
        return
    for name, one in prediction.odds_ratios(fitted, train, clusters, moment.level).items():
        yield moment.row(
            "coefficient", name, "odds_ratio", **one._asdict(), unit="odds ratio", loans=train.loans,
            specification=HARD, note="of one standard deviation more, given all hard information; training loans",
        )  # fmt: skip


def _other_institutions(moment: Moment) -> Iterator[Row]:
    """Yield how the scores do at lenders of which no loan was seen."""
    sample = moment.sample
    lender = sample.loans.get("institution_id")
    if lender is None or lender.isna().any() or lender.nunique() < 2 * FEWEST or ALL not in moment.rungs:
        return
    split = splits.by_group(lender, FOLDS)
    here = moment._replace(split=split, test=sample.part(split.test))
    if not all(_enough(sample.default[fold.train]) for fold in split.folds):
        return
    found: dict[tuple[Kind, str], np.ndarray] = {}
    for rung in (HARD, ALL):
        if rung in moment.rungs:
            share = prediction.predict(sample, split, moment.rungs[rung], "logistic").share
            found["logistic", rung] = share
            yield here.row(
                "logistic", rung, "auc", **accuracy.area(here.test.default, share, moment.level)._asdict(),
                unit="area",
            )  # fmt: skip
    if HARD in moment.rungs:
        yield from _gains(here, "logistic", ALL, found["logistic", ALL], found)


def _updated(moment: Moment, share: np.ndarray) -> Iterator[Row]:
    """Yield what a score that is renewed at the landmark gains on one that stays as it was at origination."""
    later = set(moment.protocol.after_origination())
    static = [term for term in moment.rungs[ALL] if term not in later]
    other = prediction.predict(moment.sample, moment.split, static, "logistic").share
    found = accuracy.gain(moment.test.default, other, share, moment.level)
    yield moment.row("logistic", ALL, "auc_gain_on_static", **found._asdict(), unit="area")


def _model(moment: Moment) -> dict[str, Any]:
    """Return the saved score: learnt at origination from the earlier loans, from all that is known then."""
    fold = moment.saved.folds[0]
    train = moment.sample.part(fold.train)
    terms = moment.rungs[ALL if ALL in moment.rungs else HARD]
    params = moment.params
    choices, grade = params.predict, params.grade
    card = prediction.fit(train, terms, "scorecard").model
    scale = scorecard.Scale(**choices.points.model_dump())
    for one, of_bins in zip(card["characteristics"], scorecard.points(card, scale), strict=True):
        one["points"] = of_bins
    model = saved_score.tidied(
        {
            "logistic": _logistic(moment),
            "scorecard": card,
            "scale": scale._asdict(),
        }
    )
    cuts = {}
    for kind in saved_score.KINDS:
        share = saved_score.probability(model, kind, train.loans)
        at = saved_score.cuts(share, grade.cuts, grade.tiers, choices.capacity, train.weights)
        cuts[kind] = saved_score.tidied(at._asdict())
    dates = train.loans["origination_date"].dropna()
    return model | {
        "cuts": cuts,
        "capacity": choices.capacity,
        "trained": {
            "loans": len(train.loans),
            "defaults": int(train.default.sum()),
            "split": moment.saved.name,
            "cut": moment.saved.cut,
            "first": "" if dates.empty else str(dates.min().date()),
            "last": "" if dates.empty else str(dates.max().date()),
            "weighted": train.weights is not None,
            "seed": moment.seed,
        },
    }


def _logistic(moment: Moment) -> dict[str, Any]:
    """Return the regression on everything known at a moment, learnt from the earlier loans, as plain values."""
    train = moment.sample.part(moment.saved.folds[0].train)
    line = prediction.fit(train, moment.rungs[ALL if ALL in moment.rungs else HARD], "logistic")
    assert line.encoder is not None
    averages = np.average(line.encoder.matrix(train.loans), axis=0, weights=train.weights)
    return saved_score.tidied(saved_score.saved_logistic(line.encoder, *line.model, averages))


def _groups(moment: Moment, model: dict[str, Any]) -> Iterator[Row]:
    """Yield alerts and calibration of the saved scorecard by group of clients, among the loans after the cut."""
    loans, default, weights = moment.sample.part(moment.saved.folds[0].test)
    share = saved_score.probability(model, "scorecard", loans)
    alert = saved_score.judged(share, model["cuts"]["scorecard"])["alert"].to_numpy(dtype=float)
    for name in GROUPS:
        if name not in loans or loans[name].isna().any() or loans[name].nunique() < 2:
            continue
        labels = loans[name]
        if pd.api.types.is_numeric_dtype(labels):
            if labels.nunique() > 2:
                edges = np.unique(np.round(np.quantile(labels, [1 / 3, 2 / 3])))
                place = np.searchsorted(edges, labels, side="left")
                ends = ["", *(f"{edge:g}" for edge in edges), ""]
                labels = pd.Series([f"{ends[one]}..{ends[one + 1]}" for one in place], loans.index)
            else:
                labels = labels.map("{:g}".format)
        if labels.nunique() > MOST_GROUPS:
            continue
        for level in sorted(labels.astype(str).unique()):
            inside = (labels.astype(str) == level).to_numpy()
            if inside.sum() < SMALLEST_GROUP or not default[inside].any():
                continue
            within = None if weights is None else weights[inside]
            ways = {"alert_rate": alert, "observed_rate": default, "predicted_rate": share}
            for estimand, values in ways.items():
                one = _percent(accuracy.mean_effect(values[inside], within, moment.level))
                more = {"unit": "percent", "loans": loans[inside], "specification": moment.saved.name}
                yield moment.row("group", f"{name}[{level}]", estimand, **one._asdict(), **more)


def _assumptions(moment: Moment, model: dict[str, Any]) -> Iterator[Row]:
    """Yield what the saved scorecard's use assumes, checked on the loans after the cut."""
    fold = moment.saved.folds[0]
    train, test = moment.sample.part(fold.train), moment.sample.part(fold.test)
    common = {
        "factor": "scorecard",
        "outcome": moment.outcome,
        "n": len(test.loans),
        "n_treated": number_treated(test.loans),
        "n_clusters": test.loans[moment.protocol.cluster].nunique(),
    }
    judged = int(moment.test.default.sum())
    yield results.assumption("judged_defaults", judged, ENOUGH, passed=judged >= ENOUGH, **common)
    before, after = (saved_score.probability(model, "scorecard", one.loans) for one in (train, test))
    moved = accuracy.score_stability(before, after, train.weights, test.weights)
    most = moment.params.grade.stable
    yield results.assumption("score_stable", moved, most, passed=moved <= most, **common)
    try:
        large = accuracy.calibration(test.default, after, test.weights, moment.level).intercept
        held = large.ci_low <= 0 <= large.ci_high
        yield results.assumption("score_calibrated", large.estimate, 0, passed=held, p_value=large.p_value, **common)
    except StudyError:
        pass
    best, column = _best_column(train, moment.rungs[ALL if ALL in moment.rungs else HARD])
    yield results.assumption(
        "no_column_tells_all", best, TOO_GOOD, passed=best <= TOO_GOOD, **(common | {"factor": column})
    )


def _best_column(train: Sample, terms: list[str]) -> tuple[float, str]:
    """Return the largest area under the ROC curve of a single column of the training loans, and its term."""
    from scipy.stats import rankdata

    from pipeline.stats.features import learn

    encoder = learn(train.loans, terms, train.weights)
    matrix = encoder.matrix(train.loans)
    bad = train.default.astype(bool)
    best, name = 0.5, ""
    for column, term in zip(matrix.T, encoder.terms, strict=True):
        ranks = rankdata(column)
        area = (ranks[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / bad.sum() / (~bad).sum()
        if max(area, 1 - area) > best:
            best, name = max(area, 1 - area), column_of(term)
    return float(best), name
