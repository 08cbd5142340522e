#!/usr/bin/env bash
# Makes the isolated environment with the neighbours that the benchmarks compare with (benchmarks/run.py calls this).
#
#   scripts/neighbour_environment.sh [DIRECTORY]      default: .venv-neighbours at the repository root
#
# Takes about a minute and does nothing when the environment is already as asked.
# PYTHON chooses the interpreter (3.11 … 3.14); it must have torch and torchvision. TMPDIR is where pip unpacks.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
environment="${1:-$root/.venv-neighbours}"
python="${PYTHON:-python3}"

# Everything that the neighbours import beside torch, pinned; --no-deps and the complete list, because Quantus asks for
# an opencv that needs a display library (the headless build serves) and torchattacks for a requests of 2021 that it never imports.
packages=(
    quantus==0.5.3
    captum==0.9.0
    torchattacks==3.5.1
    grad-cam==1.5.7
    kornia==0.9.0
    kornia-rs==0.2.0
    ttach==0.0.3
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

# torch is not installed a second time: with its libraries for GPUs it takes 5 GB, and both sides shall run the same one.
torch="$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])')"

made_from="$environment/packages.txt"
if [[ -x "$environment/bin/python" ]] && printf '%s\n' "$torch" "${packages[@]}" | cmp --silent - "$made_from"; then
    echo "already there: $environment"
    exit 0
fi

rm -rf "$environment"
"$python" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${packages[@]}"
# Paths in a .pth file come after the environment's own packages, so the pinned ones win and only torch, torchvision and
# what these need are found there.
site="$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
echo "$torch" > "$site/zz_borrowed_torch.pth"
"$environment/bin/python" -c 'import captum, kornia, pytorch_grad_cam, quantus, torch, torchattacks, torchvision'
printf '%s\n' "$torch" "${packages[@]}" > "$made_from" # last: a run that was cut off is not taken for a finished one
echo "made: $environment"
