"""What can be wrong with parameters: as YAML, in their values, and in the choices of a reader's own study."""

import re

import pytest

from pipeline.runtime import places
from tests.hostile.place import STUDY, refused, write

STAGE = ("prepare", "--study", STUDY)


MINE = places.choices(STUDY)


def lines_of(place, file="params.yaml"):
    return (place / file).read_text(encoding="utf-8")


BOMB = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGED = "a: &a {x1: 1, x2: 2}\n" + "".join(
    f"{name}: &{name}\n  <<: [{', '.join([f'*{before}'] * 9)}]\n  {name}0: 1\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

AS_YAML = {
    "nothing": (lambda text: "", "must hold named sections"),
    "a_comment": (lambda text: "# to be filled in\n", "must hold named sections"),
    "a_list": (lambda text: "- seed\n- match\n", "must hold named sections"),
    "a_word": (lambda text: "params", "must hold named sections"),
    "a_number": (lambda text: "42", "must hold named sections"),
    "a_merge": (lambda text: text.replace("match:", "<<<<<<< HEAD\nmatch:"), "a merge left both sides here"),
    "json_cut_short": (lambda text: '{"seed": 1', "line 1 is not valid YAML"),
    "a_tab": (lambda text: text.replace("  method:", "\tmethod:"), "is not valid YAML"),
    "a_mark_that_stays_open": (lambda text: text.replace("method: nearest", 'method: "nearest'), "is not valid YAML"),
    "a_bracket_that_stays_open": (lambda text: text + "\n    more: [1, 2\n", "is not valid YAML"),
    "lines_that_do_not_align": (lambda text: text.replace("  folds: 1\n", "    folds: 1\n", 1), "is not valid YAML"),
    "a_section_twice": (lambda text: text + "\nmatch:\n  folds: 1\n", 'duplicate key "match"'),
    "a_choice_twice": (lambda text: text.replace("  ratio: 1\n", "  ratio: 1\n  ratio: 2\n"), 'duplicate key "ratio"'),
    "two_documents": (lambda text: text + "\n---\nseed: 1\n", "is not valid YAML"),
    "an_object_of_python": (lambda text: text.replace("seed: 20021001", "seed: !!python/object:os.system [ls]"),
                            "is not valid YAML"),
    "a_call_of_python": (lambda text: text.replace("seed: 20021001", "seed: !!python/object/apply:os.getcwd []"),
                         "is not valid YAML"),
    "an_unknown_tag": (lambda text: text.replace("seed: 20021001", "seed: !secret x"), "is not valid YAML"),
    "an_unknown_alias": (lambda text: text.replace("seed: 20021001", "seed: *other"), "undefined alias"),
    "an_alias_inside_itself": (lambda text: "a: &a [*a]\n" + text, "is not valid YAML here|repeats itself"),
    "laughs_by_the_billion": (lambda text: BOMB + text, "repeats itself by aliases"),
    "laughs_in_merged_sections": (lambda text: MERGED + text, "repeats itself by aliases"),
    "sections_a_thousand_deep": (lambda text: "a: " + "[" * 1000 + "]" * 1000 + "\n" + text, "too many times"),
    "latin_letters": (lambda text: ("# Zoë\n" + text).encode("latin-1", "replace"), "is not valid YAML"),
    "utf_16": (lambda text: text.encode("utf-16"), "is not valid YAML"),
    "a_zero_byte": (lambda text: text.replace("seed: 2", "seed: \0"), "is not valid YAML"),
    "a_day_that_does_not_exist": (lambda text: text.replace("seed: 20021001", "seed: 2009-13-45"), "is not valid YAML"),
    "a_number_of_five_thousand_digits": (lambda text: text.replace("seed: 20021001", "seed: " + "9" * 5000),
                                         "is not valid YAML"),
    "a_list_as_a_name": (lambda text: "? [a, b]\n: 1\n" + text, "params.yaml"),
    "a_number_as_a_name": (lambda text: "7: 1\n" + text, "7"),
    "nothing_as_a_name": (lambda text: "~: 1\n" + text, "params.yaml"),
    "cut_in_the_middle": (lambda text: text[: len(text) // 3], "is missing"),
    "a_picture": (lambda text: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_YAML)
def test_parameters_that_are_no_yaml(place, capsys, name):
    spoil, needle = AS_YAML[name]
    write(place / "params.yaml", spoil(lines_of(place)))
    said = refused(capsys, place, STAGE, "params.yaml")
    assert re.search(needle, said), said


def test_parameters_that_are_not_there(place, capsys):
    (place / "params.yaml").unlink()
    refused(capsys, place, ["init-study", "theirs", "--data", "loans.csv"], "params.yaml is missing")


def test_a_mark_at_the_beginning_and_windows_line_ends_are_read(place, capsys):
    text = lines_of(place)
    write(place / "params.yaml", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    # The file of another study is not here: whoever gets so far has read the parameters.
    refused(capsys, place, ["score", "--study", "berka", "--data", "loans.csv"], "berka/model.json does not exist")


VALUES = {
    # Misspelt names, each with the name that was meant.
    "matching_misspelt": ("match:", "mach:", ("mach is not a parameter", "did you mean 'match'?", "match is missing")),
    "caliper_misspelt": ("  caliper:", "  calliper:", ("match.calliper", "did you mean 'caliper'?")),
    "level_misspelt": ("  level: 0.95", "  levels: 0.95", ("inference.levels", "did you mean 'level'?")),
    "permutations_misspelt": ("  permutations:", "  permutation:", ("adjust.permutation", "'permutations'?")),
    "cost_misspelt": ("    contact: 1.0", "    contacts: 1.0", ("predict.costs.contacts", "did you mean 'contact'?")),
    "points_misspelt": ("    odds:", "    ods:", ("predict.points.ods", "did you mean 'odds'?")),
    "cuts_misspelt": ("  cuts:", "  cut:", ("grade.cut", "did you mean 'cuts'?")),
    "outcome_misspelt": ("outcome: default\n# Str", "outcom: default\n# Str", ("outcom", "'outcome'?")),
    "first_month_misspelt": ("  first_month:\n", "  first_moth:\n",
                             ("eligibility.first_moth", "did you mean 'first_month'?")),
    "a_role_misspelt": ("    credit_score:", "    credit_scoer:",
                        ("own.columns.credit_scoer", "did you mean 'credit_score'?")),
    "a_choice_of_own_misspelt": ("  day_first:\n", "  day_frist:\n", ("own.day_frist", "did you mean 'day_first'?")),
    "a_series_misspelt": ("    inflation:", "    inflatoin:", ("own.market.inflatoin", "'inflation'?")),
    "exact_misspelt": ("matching:\n  exact:", "matching:\n  exakt:", ("matching.exakt", "did you mean 'exact'?")),
    # Values that cannot be meant.
    "a_method_of_no_kind": ("method: nearest", "method: neerest", ("match.method", "'neerest'")),
    "folds_in_words": ("  folds: 1", "  folds: one", ("match.folds", "'one'")),
    "no_folds": ("  folds: 1", "  folds: 0", ("match.folds", "found 0")),
    "folds_below_zero": ("  folds: 1", "  folds: -1", ("match.folds", "found -1")),
    "half_a_fold": ("  folds: 1", "  folds: 1.5", ("match.folds", "1.5")),
    "folds_as_text": ("  folds: 1", "  folds: '1'", ("match.folds", "'1'")),
    "folds_as_a_list": ("  folds: 1", "  folds: [1]", ("match.folds", "[1]")),
    "boosting_on_one_fold": ("score: logistic", "score: boosting", ("match", "folds of 2 or more")),
    "yes_for_true": ("replacement: false", "replacement: no", ("match.replacement", "'no'")),
    "zero_for_false": ("replacement: false", "replacement: 0", ("match.replacement", "0")),
    "an_endless_caliper": ("caliper: 0.2", "caliper: .inf", ("match.caliper", "inf")),
    "no_number_for_a_caliper": ("caliper: 0.2", "caliper: .nan", ("match.caliper", "nan")),
    "a_caliper_below_zero": ("caliper: 0.2", "caliper: -0.2", ("match.caliper", "-0.2")),
    "a_caliper_too_large_to_be_read": ("caliper: 0.2", "caliper: 1.0e+999", ("match.caliper", "inf")),
    "a_caliper_with_a_comma": ("caliper: 0.2", "caliper: 0,2", ("match.caliper", "'0,2'")),
    "one_subclass": ("subclasses: 6", "subclasses: 1", ("match.subclasses", "1")),
    "a_trim_of_all": ("  trim:", "  trim: 1.0", ("match.trim", "1.0")),
    "an_estimand_in_small_letters": ("estimand: ATT", "estimand: att", ("match.estimand", "'att'")),
    "a_level_in_percent": ("level: 0.95", "level: 95", ("inference.level", "95")),
    "a_level_of_certainty": ("level: 0.95", "level: 1.0", ("inference.level", "1.0")),
    "a_seed_below_zero": ("seed: 20021001", "seed: -1", ("seed", "-1")),
    "a_seed_in_words": ("seed: 20021001", "seed: today", ("seed", "'today'")),
    "a_day_for_a_seed": ("seed: 20021001", "seed: 2002-10-01", "seed"),
    "no_seed": ("seed: 20021001\n", "", "seed is missing"),
    "a_seed_left_blank": ("seed: 20021001", "seed:", ("seed", "None")),
    "few_permutations": ("permutations: 200", "permutations: 5", ("adjust.permutations", "5")),
    "more_than_all_quarantined": ("quarantine_share: 0.01", "quarantine_share: 2", ("checks.quarantine_share", "2")),
    "everything_lost": ("loss_share: 0.45", "loss_share: 45", ("loss_share", "45")),
    "all_for_training": ("train_share: 0.7", "train_share: 1", ("predict.train_share", "1")),
    "two_spans": ("spans: 5", "spans: 2", ("predict.spans", "2")),
    "a_free_contact": ("    contact: 1.0", "    contact: 0", ("predict.costs.contact", "0")),
    "cuts_that_fall": ("cuts: 0.05, 0.15", "cuts: 0.15, 0.05", ("grade.cuts", "must rise")),
    "a_cut_at_the_end": (", 0.95\n", ", 1.0\n", ("grade.cuts.6", "1.0")),
    "one_tier": ("  tiers: 0.5, ", "  tiers: ", ("grade.tiers", "2")),
    "one_imputation": ("imputations: 20", "imputations: 1", ("missing.imputations", "1")),
    "an_unknown_language": ("  language: en", "  language: fr", ("report.language", "'fr'")),
    "one_language_twice": ("  language: en", "  language: zh", ("report", "language and twin are both 'zh'")),
    "a_horizon_of_nothing": ("horizon_months: 3", "horizon_months: 0", ("warning.horizon_months", "0")),
    "no_capacities": ("  capacities: ", "  capacities: []\n  others: ", "warning.capacities"),
    "tiers_that_fall": ("middle_tier: 0.02", "middle_tier: 0.5", ("policy", "below the high one")),
    "a_factor_of_no_construct": ("\nfactors:\n# Those", "\nfactors: [mood]\n# Those", ("factors", "'mood'")),
    "a_factor_twice": ("\nfactors:\n# Those",
                       "\nfactors: [communication_frequency, communication_frequency]\n# Those",
                       ("factors", "once")),
    "a_treatment_of_no_factor": ("treatment:\n# Blank",
                                 "treatment: {factor: loyalty, at_least: 1}\n# Blank",
                                 ("treatment.factor", "'loyalty'")),
    "an_undated_factor_of_none": ("undated:\n- communication_frequency\n# Pairs", "undated: [loyalty]\n# Pairs",
                                  ("undated", "'loyalty'")),
    "a_term_that_is_code": ("  score:\n# Controls", "  score: [exp(income)]\n# Controls",
                            ("matching.score", "'exp(income)'")),
    "a_term_that_calls_python": ("  score:\n# Controls", "  score: [\"__import__('os')\"]\n# Controls",
                                 "matching.score"),
    "a_covariate_misspelt": ("  score:\n# Controls", "  score: [log(incmoe), age]\n# Controls",
                             ("matching.score names 'incmoe'", "did you mean 'income'?")),
    "a_control_left_blank": ("  borrower:\n  market:\n  time:\n", "  borrower: [earnings]\n  market:\n  time:\n",
                             "controls.borrower names 'earnings'"),
    "a_group_misspelt": ("groups:\n# ...", "groups: [credit_grad]\n# ...",
                         ("groups names 'credit_grad'", "did you mean 'credit_grade'?")),
    "a_cluster_of_no_role": ("cluster:\n# Col", "cluster: branch\n# Col", "cluster names 'branch'"),
    "a_design_of_no_kind": ("design: matched_observational\n# Kind of lender: commercial_bank",
                            "design: certain\n# Kind of lender: commercial_bank",
                            ("design", "'certain'")),
    "a_module_outside": ("module: own", "module: ../own", ("module", "../own")),
    "a_module_that_is_not_there": ("module: own", "module: owm", ("module", "owm")),
    "a_module_of_the_library": ("module: own", "module: os", ("module", "os")),
    "a_month_of_thirteen": ("  first_month:\n  last_month:", "  first_month: 2015-13\n  last_month:",
                            ("eligibility.first_month", "2015-13")),
    "a_day_for_a_month": ("  first_month:\n  last_month:", "  first_month: 2015-01-01\n  last_month:",
                          "eligibility.first_month"),
    "doses_that_fall": ("doses:\n# Plain", "doses:\n  communication_frequency: [9, 1]\n# Plain",
                        ("doses.communication_frequency", "must rise")),
    "a_moderator_of_no_kind": ("moderators:\n# Of which", "moderators: {credit_grade: fifths}\n# Of which",
                               "moderators.credit_grade"),
    "a_horizon_in_words": ("horizon_months:\n", "horizon_months: a year\n", ("horizon_months", "'a year'")),
    "a_count_in_words": ("  cohort:", "  cohort: many", ("expected.cohort", "'many'")),
    "a_decimal_mark_of_no_kind": ("  decimal: {}", "  decimal: {amount: ';'}", ("own.decimal", "';'")),
    "no_outcome": ("    default: default", "    default:", ("own", "columns.default")),
    "one_role_twice": ("    income: income", "    amount: income", ("own", "'amount'")),
    "a_borrower_of_two_words": ("    income: income", "    the income: income",
                                ("'the income'", "must be the name of a column")),
    "a_rate_in_thousandths": ("  interest_rate_in: percent", "  interest_rate_in: permille",
                              ("own.interest_rate_in", "'permille'")),
    "no_own_section": ("  file: loans.csv", "  files: loans.csv",
                       ("own.files", "did you mean 'file'?")),
    "memory_in_words": ("engine_memory: ", "engine_memory: lots # ", ("engine_memory", "a size such as", "'lots'")),
    "an_engine_misspelt": ("engine: ", "engine: duckbd # ", ("engine", "'duckbd'")),
    "no_workers": ("  workers: ", "  workers: 0 # ", ("parallel.workers", "found 0")),
    "a_cluster_without_an_address": ("  backend: ", "  backend: dask # ", ("parallel", "address of its scheduler")),
    "a_name_of_two_words": ("relations: []", "relations:\n- {name: by grade, outcome: default, factor: "
                            "credit_grade, controls: []}", ("relations.0.name", "small letters, digits")),
    "months_in_the_wrong_order": ("  first_month:\n  last_month:",
                                  "  first_month: 2019-02\n  last_month: 2015-01",
                                  ("eligibility", "2019-02 lies after last_month 2015-01")),
    "the_outcome_as_a_factor": ("    communication_frequency: contacts", "    communication_frequency: default",
                                ("own", "'default' is the outcome", "communication_frequency")),
    "the_outcome_as_the_treatment": ("    treated: crm_programme", "    treated: default",
                                     ("own", "'default' is the outcome", "treated")),
    "a_value_that_is_default_and_repaid": ("  default_when: []\n  repaid_when: []",
                                           "  default_when: ['1']\n  repaid_when: ['0', '1']",
                                           ("own", "'1' of the outcome", "default_when")),
    "a_value_that_is_treated_and_not": ("  treated_when: []\n  untreated_when: []",
                                        "  treated_when: ['1']\n  untreated_when: ['1']",
                                        ("own", "'1' of the treatment", "untreated_when")),
    "two_answers_to_who_is_treated": ("treatment:\n# Blank",
                                      "treatment: {factor: communication_frequency, at_least: 1}\n# Blank",
                                      ("own.columns.treated and treatment", "leave one of them blank")),
    "lists_where_a_name_should_be": ("    income: income", "    income: [income]", "own.borrower.income"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_a_choice_that_cannot_be_meant(place, capsys, name):
    old, new, needles = VALUES[name]
    file = MINE if old in lines_of(place, MINE) else "params.yaml"
    text = lines_of(place, file)
    at = text.rindex(old) if file == MINE else text.index(old)
    write(place / file, text[:at] + new + text[at + len(old) :])
    refused(capsys, place, STAGE, [str(file), *([needles] if isinstance(needles, str) else needles)])


TAKEN_IN = {
    "an_encoding_of_no_kind": ("  encoding: utf-8\n", "  encoding: utf-9\n", "'utf-9'"),
    "an_encoding_that_is_none": ("  encoding: utf-8\n", "  encoding: rot13\n", "'rot13'"),
    "an_encoding_that_unpacks": ("  encoding: utf-8\n", "  encoding: zlib\n", "'zlib'"),
    "an_encoding_that_is_a_path": ("  encoding: utf-8\n", "  encoding: ../../etc/passwd\n", "passwd"),
    "an_encoding_of_wide_letters": ("  encoding: utf-8\n", "  encoding: utf-32\n", "utf-32"),
    "a_separator_of_two": ("  separator: ','", "  separator: ',,'", "',,'"),
    "a_mark_for_a_separator": ("  separator: ','", "  separator: '\"'", "cannot be the separator"),
    "a_letter_of_another_script": ("  separator: ','", "  separator: '，'", "cannot be the separator"),
    "another_separator": ("  separator: ','", "  separator: ';'", "no column"),
    "another_file_than_dvc_watches": ("  file: loans.csv", "  file: others.csv", "own.file"),
    "a_column_that_is_not_there": ("    income: income", "    income: incone", ("'incone'", "'income'?")),
    "a_column_of_a_number": ("    amount: amount", "    amount: '5'", "no column '5'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_IN)
def test_a_choice_that_the_file_does_not_bear(place, capsys, name):
    old, new, needles = TAKEN_IN[name]
    text = lines_of(place, MINE)
    assert old in text
    write(place / MINE, text.replace(old, new))
    refused(capsys, place, ["intake", "--study", STUDY], needles)


def test_all_that_is_wrong_is_said_at_once(place, capsys):
    text = lines_of(place).replace("folds: 1", "folds: none", 1).replace("level: 0.95", "level: 95")
    write(place / "params.yaml", text)
    refused(capsys, place, STAGE, ("match.folds", "inference.level"))


LISTS = {
    "no_yaml": (r"  owned: &owned\n", r"  owned: {\n", "is not valid YAML"),
    "no_studies_of_readers": (r"  owned: &owned\n", r"  ovned: &owned\n", "did you mean 'owned'?"),
    "in_a_line": (
        r"  owned: &owned\n    mine:\n      file: (.*)\n",
        r"  owned: &owned {mine: {file: \1}}\n",
        "give each a line of its own",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_cannot_take_a_study(place, capsys, name):
    old, new, needle = LISTS[name]
    text, changed = re.subn(old, new, lines_of(place), count=1)
    assert changed
    write(place / "params.yaml", text)
    refused(capsys, place, ["init-study", "theirs", "--data", "loans.csv"], ("params.yaml", needle))
