#!/usr/bin/env bash
# Makes the virtual environment .venv and installs the project into it; the other scripts call it.
#   bash scripts/environment.sh core    what running Pellucid needs
#   bash scripts/environment.sh dev     and what testing it needs
# It does nothing where that has been done for the present pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

kind="${1:-core}"
extras=""
if [ "$kind" = dev ]; then extras="[dev]"; fi
venv=.venv

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'; then
            command -v "$candidate"
            return
        fi
    done
    echo "Pellucid needs Python 3.11 to 3.14; install it (Debian: apt-get install python3 python3-venv) or set PYTHON" >&2
    return 1
}

make_venv() { # Debian ships venv without ensurepip unless python3-venv is installed
    local python
    python=$(find_python) || return 1
    "$python" -m venv "$venv" 2>/dev/null && return
    rm -rf "$venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null && "$python" -m venv "$venv" && return
    fi
    echo "cannot make a virtual environment; install the package python3-venv and run this again" >&2
    return 1
}

stamp="$venv/.installed-$kind"
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
    echo "installing Pellucid and PyTorch into $venv (about 5 GB, a few minutes the first time) …"
    # Big wheels are unpacked in TMPDIR, and /tmp is often too small for them.
    mkdir -p "$venv/tmp"
    TMPDIR="$PWD/$venv/tmp" "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".$extras"
    if [ "$kind" = dev ]; then
        # It pins an old `requests` that it does not need for PGD, so it comes without its dependencies.
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps torchattacks==3.5.1
    fi
    rm -rf "$venv/tmp"
    touch "$stamp"
fi
