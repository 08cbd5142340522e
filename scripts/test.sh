#!/usr/bin/env bash
# Sets everything up and runs the tests; arguments go to pytest (-m slow runs the long ones).
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/environment.sh dev
bash scripts/reference_environment.sh || echo "no reference environment: parity tests with Quantus will be skipped" >&2
if [ $# -eq 0 ]; then set -- -m "not slow"; fi
exec .venv/bin/python -m pytest "$@"
