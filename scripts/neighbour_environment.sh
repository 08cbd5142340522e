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
mapfile -t packages < "$root/scripts/quantus_packages.txt"
packages+=(
    captum==0.9.0
    torchattacks==3.5.1
    grad-cam==1.5.7
    kornia==0.9.0
    kornia-rs==0.2.0
    ttach==0.0.3
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
