# SPDX-License-Identifier: GPL-2.0-or-later
# Everything a developer or a first user types. Recipes run in the checkout and use relative paths, so that it may
# lie anywhere, also under a path with a space.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo farm-demo setup door example test test-vm test-vm-full lint format docs screenshots bench fuzz clean distclean
PYTHON := .venv/bin/python

help: ## say what there is (this)
	@printf 'Imager: a kickstart becomes an image. Start with "make demo".\n\n'
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | \
	    while IFS='|' read -r command what; do printf '%-18s %s\n' "$$command" "$$what"; done

demo: setup ## set up, build the example as fs, loop and raw, and show where image, log and page are
	@$(PYTHON) examples/tiny/demo.py

farm-demo: ## the same by a farm: a broker, four workers, twelve images, and one worker that is killed
	@conf/setup farm
	@$(PYTHON) -m examples.farm.demo

setup: ## install what building images takes (Debian packages by apt, Python packages in .venv)
	@conf/setup runtime

door: ## let this user build images as root through one small helper (asks for sudo)
	@mkdir -p "$${XDG_DATA_HOME:-$$HOME/.local/share}/imager/cache"
	@sudo conf/install-door "$$(id -un)" "$${XDG_DATA_HOME:-$$HOME/.local/share}/imager/cache" "$$PWD/build"

example: setup ## make only the example's packages and repository, in build/tiny
	@examples/tiny/make-repository

test: lint ## set up whatever is missing and run all tests; ARGS="-k spool" runs some
	@$(PYTHON) tests/support/own_root.py $(PYTHON) -m pytest $(ARGS)

test-vm: ## run the tests of virtual machines that are part of `make test`
	@conf/setup tests
	@$(PYTHON) tests/support/own_root.py $(PYTHON) -m pytest -m "vm and not full" $(ARGS)

test-vm-full: ## run all tests of virtual machines, the hostile ones too: half an hour where they are emulated
	@conf/setup tests
	@$(PYTHON) tests/support/own_root.py $(PYTHON) -m pytest -m vm $(ARGS)

lint: ## check style, types, the direction of imports, and shell scripts
	@conf/setup tests
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@git ls-files -z --cached --others --exclude-standard | \
	    xargs -0 grep -lIE -m1 '^#!/(usr/bin/env bash|bin/(ba)?sh|bin/busybox sh)' -- | \
	    tr '\n' '\0' | xargs -0 shellcheck --

format: ## let ruff format the Python files
	@conf/setup tests
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

docs: ## make the documentation a site, in build/site
	@conf/setup tests
	@conf/make-docs
	@printf 'file://%s\n' "$$PWD/build/site/index.html"

screenshots: ## take the pictures of the documentation anew, into docs/pictures
	@conf/setup tests
	@.venv/bin/python -m tests.support.chromium docs/pictures

bench: setup example ## measure creator, worker, spool, participants and farm against what they stand on
	@conf/setup farm
	@status=0; for each in creator worker spool vm amqp idle farm scale kickstart report jobs; do $(PYTHON) "bench/$$each.py" || status=1; done; exit $$status

fuzz: setup ## let a coverage-guided fuzzer at kickstarts and YAML, half an hour each
	@$(PYTHON) -m pip install -q "atheris>=2.3"
	@$(PYTHON) tests/fuzz/fuzz.py kickstart 1800 examples/tiny
	@$(PYTHON) tests/fuzz/fuzz.py yaml 1800 examples/kickstarter

clean: ## delete what was built and downloaded, and the tools' caches
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## that, and .venv
	rm -rf .venv *.egg-info

.PHONY: packages test-packages
packages: ## build the Debian packages, into build/packages
	@conf/make-packages

test-packages: ## install the packages in clean systems, and with pip, and try them (needs root; downloads much)
	@conf/setup tests
	@conf/make-packages --tests
	@$(PYTHON) tests/support/own_root.py $(PYTHON) -m pytest tests/packages -o python_files="test_*.py with_*.py" $(ARGS)
