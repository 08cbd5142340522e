#!/usr/bin/env bash
# Sets everything up, trains N, A and G on real images, measures them and writes quickstart-results/report/index.html.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/environment.sh core
exec .venv/bin/pellucid quickstart "$@"
