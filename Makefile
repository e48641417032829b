# Two commands matter: `make reproduce` and `make test`. Both build .venv first when it is missing or out of date.
# `make help` lists everything.

# The study to work on: a name in the list of studies in params.yaml.
STUDY ?= reference
# Stages of a study that run at the same time, or studies by reproduce-all.
JOBS ?= 2
# Sizes at which bench runs the simulated study (100 where the machine allows), and what it measures (all: nothing named).
SCALES ?= 1 10
PARTS ?=
# The Python that builds .venv (3.11 to 3.13: later ones have not been tried).
PYTHON ?= python3

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Hundreds of short processes run here: each would compile every module anew where Python is told to keep none compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help scm whole reproduce reproduce-all doctor test test-end-to-end test-long test-spark mutants compare experiment verify bench method audit lint types lab lock clean

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# By uv where it is there, else by pip: the lock names all there is, and modules are compiled when they are first used.
install = if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(VENV) --require-hashes -r $(1); \
	else \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	    --require-hashes -r $(1); \
	fi

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Building $(VENV) from requirements.lock (once: seconds with uv, a few minutes with pip) ..."
	@rm -rf $(VENV)
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	else $(PYTHON) -m venv $(VENV); fi
	@$(call install,$<)
	@touch $@

# What not every reader needs (dask, lab, spark, test: the groups of pyproject.toml) is put on top when asked for.
GROUPS := dask lab spark test
$(GROUPS:%=$(VENV)/%): $(VENV)/%: $(VENV)/installed requirements-%.lock
	@echo "Adding requirements-$*.lock to $(VENV) ..."
	@$(call install,requirements-$*.lock)
	@touch $@

# DVC looks for git. The .dvc/config of an archive says that there is none (.gitattributes); another copy is told here.
# Without git, what was unpacked is kept for verify and compare, in place of the last commit.
LOCKS := dvc.lock analyses/dvc.lock
UNPACKED := $(LOCKS) params.yaml pipeline/studies/*/params.yaml reports/*/metrics.json reports/*/results reports/*/figures*
TRACKED := git ls-files --error-unmatch dvc.lock >/dev/null 2>&1
scm: $(VENV)/installed  ## tell DVC whether git is here (the targets that need it do)
	@$(TRACKED) || [ -e .dvc/unpacked.tar ] || tar -cf .dvc/unpacked.tar $(wildcard $(UNPACKED))
	@at="$(CURDIR)"; until [ -e "$$at/.git" ] || [ "$$at" = / ]; do at=$$(dirname "$$at"); done; [ -e "$$at/.git" ] || \
	  grep -qs '^ *no_scm' .dvc/config .dvc/config.local || dvc config --local core.no_scm true

# DVC does not say of files of parameters that they hold both sides of a merge, and it writes dvc.lock in place: a kill or
# a full disk may leave its first part, in the midst of a line or with some stages less than were committed.
whole:  ## stop at both sides of a merge; mend a dvc.lock that was cut off (the targets that need it do)
	@found=$$(grep -ns '^<<<<<<< ' $(LOCKS) $(LOCKS:.lock=.yaml) params.yaml pipeline/studies/*/params.yaml | head -n 1); \
	[ -z "$$found" ] || { echo "$$found: a merge left both sides here: keep one (git checkout --ours $${found%%:*})." >&2; exit 1; }
	@for lock in $(LOCKS); do [ -e $$lock ] || continue; \
	earlier=$$(git show :./$$lock 2>/dev/null || tar -xOf .dvc/unpacked.tar $$lock 2>/dev/null); \
	stages=$$(printf '%s\n' "$$earlier" | grep -c '^  [^ ]'); \
	[ $$(tail -c 1 $$lock | wc -l) -eq 1 ] && [ $$(grep -c '^  [^ ]' $$lock) -ge $$stages ] || \
	  { echo "$$lock was cut off while DVC wrote it: the earlier one is taken, and what ran since from the cache." >&2; \
	    [ -n "$$earlier" ] && printf '%s\n' "$$earlier" > $$lock || rm $$lock; }; done

NO_STUDY := echo "There is no study '$(STUDY)': params.yaml lists them under studies." >&2
reproduce: whole scm  ## run the stages of STUDY that are out of date, JOBS at a time, then print what was found
	@[ -e pipeline/studies/$(STUDY)/params.yaml ] || { $(NO_STUDY); exit 1; }
	@python -m pipeline reproduce --quiet --study $(STUDY) --jobs $(JOBS)
	@python -m pipeline findings --study $(STUDY)

reproduce-all: whole scm  ## run the stages of all studies that are out of date, then print each one's first sentence
	@status=0; python -m pipeline reproduce --quiet --jobs $(JOBS) || status=$$?; \
	for file in reports/*/findings.txt; do echo; echo "$$file"; head -n 1 "$$file"; done; exit $$status

doctor: scm  ## check Python, packages, parameters, data, disk and DVC, and say what to do
	@python -m pipeline doctor

# Files go to the workers in their order: sorted by their number of tests, those of few and long ones would come last.
test: $(VENV)/test  ## run the tests (some minutes)
	@python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not end_to_end and not long"

test-end-to-end: $(VENV)/test  ## run the whole pipeline on a small made-up sample in a temporary folder
	@python -m pytest -n auto --dist loadfile -m "end_to_end and not long" tests/test_*end_to_end.py tests/test_own_loans_page.py

test-spark: $(VENV)/test $(VENV)/spark  ## compare the tables that Spark and DuckDB prepare (needs Java)
	@python -m pytest -n auto -rs -m "not long" -k spark tests/core/test_engine.py tests/studies/test_engines.py

# Versions that compare lays side by side: commits, branches, tags, experiments, or the files as they are now.
A ?= HEAD
B ?= workspace
compare: scm  ## lay A=main and B=an-experiment side by side (HEAD and the working folder), in words and as a page
	@python -m pipeline compare "$(A)" "$(B)"

test-long: $(VENV)/test  ## generate ten thousand inputs, let faults strike every stage, try other surroundings and Pythons (an hour)
	@python -m pytest -n auto -m long

# How many mistakes mutants makes, and the seed of the draw.
MUTANTS ?= 200
SEED ?= 1
mutants: $(VENV)/test  ## make small mistakes in pipeline/stats, one at a time, and say how many the tests catch (half an hour)
	@python tests/mutation.py --mutants $(MUTANTS) --seed $(SEED)

experiment: whole scm  ## try SET='match.caliper=0.05' on STUDY as the experiment NAME
	@python -m pipeline experiment "$(SET)" --study $(STUDY) $(if $(NAME),--name $(NAME))

verify: whole scm  ## run every stage of STUDY again (recovery only with RECOVERY=yes) and fail if a byte of the results changes
	@stages=$$(dvc stage list --all --name-only | grep '@$(STUDY)$$' $(if $(RECOVERY),,| grep -v :recovery@)); \
	[ -n "$$stages" ] || { $(NO_STUDY); exit 1; }; \
	dvc repro code && dvc repro --force --single-item $$stages
	@if $(TRACKED); then git diff --exit-code -- $(LOCKS) reports notebooks; \
	else for lock in $(LOCKS); do tar -xOf .dvc/unpacked.tar $$lock | diff -u - $$lock || exit 1; done; fi && echo "Same bytes."

bench: $(VENV)/test  ## measure all there is and write reports/benchmarks.md (an hour or two; SCALES=1 PARTS=stages is quick)
	@python -m benchmarks --scales $(SCALES) $(if $(PARTS),--only $(PARTS))
	@$(if $(PARTS),:,python -m benchmarks.analyses)

method: $(VENV)/installed  ## try every matching design on made-up loans, and write reports/method
	@python -m benchmarks.method

audit: $(VENV)/test $(VENV)/lab  ## list the packages with their licences in docs/dependencies.md
	@python -m tests.dependencies

lint: $(VENV)/test  ## check style
	@ruff check . && ruff format --check .

types: $(VENV)/test  ## check the types of what computes: runtime, core, sources and stats
	@mypy

lab: $(VENV)/lab  ## open the notebooks in JupyterLab
	@jupyter lab notebooks

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-annotate --no-header
lock:  ## compile requirements.lock and those of the groups from pyproject.toml (needs uv)
	@$(COMPILE) pyproject.toml --output-file requirements.lock
	@for group in $(GROUPS); do \
	  $(COMPILE) --group $$group --constraints requirements.lock --output-file requirements-$$group.lock || exit 1; done

clean:  ## remove the environment and everything that was fetched or derived
	@rm -rf $(VENV) data/code data/raw data/interim data/processed data/truth .dvc/cache .dvc/tmp comparison
