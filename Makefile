# Two commands on a fresh machine: make demo, make test. Both begin with make setup.
# Only relative paths, so that a folder with a space in its name works.

PYTHON ?= python3
QUERY = $$(cat examples/seo_audit/query.txt)

.PHONY: demo test setup clean

demo: setup
	.venv/bin/llmorch run "$(QUERY)" --functions examples/seo_audit/functions.py \
		--examples examples/seo_audit/examples.plans --processors 2

test: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tests/side_by_side.py

setup: .venv/ready

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one by: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[local,examples,benchmarks,dev]'
	@touch .venv/ready

clean:
	rm -rf .venv build dist
