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
packages=(
    quantus==0.5.3
    numpy==2.3.5
    scipy==1.17.1
    pandas==3.0.6
    scikit-learn==1.9.1
    scikit-image==0.26.0
    opencv-python-headless==4.11.0.86
    matplotlib==3.11.2
    cloudpickle==3.1.2
    contourpy==1.3.3
    cycler==0.12.1
    fonttools==4.68.0
    imageio==2.38.1
    joblib==1.6.0
    kiwisolver==1.5.1
    lazy-loader==0.6
    narwhals==2.28.0
    networkx==3.6.1
    packaging==26.3
    pillow==13.0.0
    pyparsing==3.3.3
    python-dateutil==4.0.0
    six==1.17.0
    threadpoolctl==3.8.0
    tifffile==2026.3.3
    tqdm==4.70.1
    tzdata==2026.6
)

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
