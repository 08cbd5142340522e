#!/usr/bin/env bash
# Sets everything up and runs the tests; arguments go to pytest (-m slow runs the long ones).
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/environment.sh dev
bash scripts/reference_environment.sh || echo "no reference environment: parity tests with Quantus will be skipped" >&2
if [ $# -eq 0 ]; then set -- -m "not slow" --numprocesses auto --dist loadfile; fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # a test process a core: more threads would only get in each other's way
exec .venv/bin/python -m pytest "$@"
