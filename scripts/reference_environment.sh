#!/usr/bin/env bash
# Makes the isolated environment with Quantus 0.5.3 that the parity tests and benchmarks compare with.
#
#   scripts/reference_environment.sh [DIRECTORY]      default: .venv-reference at the repository root
#
# Takes about a minute, needs no torch, and does nothing when the environment is already as asked.
# PYTHON chooses the interpreter (3.11 … 3.14), TMPDIR where pip unpacks.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
environment="${1:-$root/.venv-reference}"
python="${PYTHON:-python3}"

# Everything `import quantus` needs, pinned. Quantus itself asks for opencv-python, which needs a display library;
# the headless build of the same release serves. Hence --no-deps and the complete list.
mapfile -t packages < "$root/scripts/quantus_packages.txt"

made_from="$environment/packages.txt"
if [[ -x "$environment/bin/python" ]] && printf '%s\n' "${packages[@]}" | cmp --silent - "$made_from"; then
    echo "already there: $environment"
    exit 0
fi

rm -rf "$environment"
"$python" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${packages[@]}"
"$environment/bin/python" -c 'import quantus; assert quantus.__version__ == "0.5.3"'
printf '%s\n' "${packages[@]}" > "$made_from" # last: a run that was cut off is not taken for a finished one
echo "made: $environment (use: PELLUCID_REFERENCE_PYTHON=$environment/bin/python)"
