# Everything a developer or a first user types. Recipes run in the checkout and use relative paths, so that it may
# lie anywhere, also under a path with a space.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo setup door example test lint format bench clean distclean
PYTHON := .venv/bin/python

help: ## say what there is (this)
	@printf 'Imager: a kickstart becomes an image. Start with "make demo".\n\n'
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | \
	    while IFS='|' read -r command what; do printf '%-18s %s\n' "$$command" "$$what"; done

demo: setup ## set up, build the example as fs, loop and raw, and show where image, log and page are
	@$(PYTHON) examples/tiny/demo.py

setup: ## install what building images takes (Debian packages by apt, Python packages in .venv)
	@conf/setup runtime

door: ## let this user build images as root through one small helper (asks for sudo)
	@mkdir -p "$${XDG_DATA_HOME:-$$HOME/.local/share}/imager/cache"
	@sudo conf/install-door "$$(id -un)" "$${XDG_DATA_HOME:-$$HOME/.local/share}/imager/cache" "$$PWD/build"

example: setup ## make only the example's packages and repository, in build/tiny
	@examples/tiny/make-repository

test: lint ## set up whatever is missing and run all tests; ARGS="-k spool" runs some
	@$(PYTHON) tests/support/own_root.py $(PYTHON) -m pytest $(ARGS)

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

bench: setup example ## measure creator, worker and spool against what they stand on
	@status=0; for each in creator worker spool; do $(PYTHON) "bench/$$each.py" || status=1; done; exit $$status

clean: ## delete what was built and downloaded, and the tools' caches
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## that, and .venv
	rm -rf .venv *.egg-info
