"""The page as a PDF, printed by Chromium."""

import os
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pellucid.errors import BadInput, RunFailed
from pellucid.files import write_atomic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 120


def find_chromium(given: Path | None) -> str:
    """The browser that was named, or one on the path. Raises BadInput if there is none."""
    found = shutil.which(given) if given is not None else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        told = f"there is no program {given}" if given is not None else "no Chromium was found"
        raise BadInput(f"{told}: install Chromium, name it with --chromium PATH, or print the HTML file from a browser")
    return found


def write_pdf(page: str, target: Path, *, chromium: str, created: str) -> None:
    """Print an HTML page; the dates inside are `created` (ISO 8601).

    The bytes still vary: Chromium numbers the tags that make the PDF accessible anew each time.

    Raises
    ------
    RunFailed
        If the browser fails, or the disk cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="pellucid-passport-") as folder:
        source, printed = Path(folder) / "passport.html", Path(folder) / "passport.pdf"
        source.write_text(page, encoding="utf-8")
        # Chromium's sandbox does not start as root; the page is our own and may load nothing.
        flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        flags += ["--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        flags += [f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
        try:
            done = subprocess.run(
                [chromium, *flags, source.as_uri()], capture_output=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunFailed(f"{chromium} could not print {target}: {error}") from error
        if not printed.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise RunFailed(f"{chromium} did not print {target}: {' '.join(last) or f'exit {done.returncode}'}")
        write_atomic(target, dated(printed.read_bytes(), created))


def dated(pdf: bytes, created: str) -> bytes:
    """The PDF with its dates replaced by another of the same length, so that all offsets stay right."""
    try:
        moment = datetime.fromisoformat(created).astimezone(UTC)
    except ValueError:
        moment = datetime(2000, 1, 1, tzinfo=UTC)
    date = moment.strftime("D:%Y%m%d%H%M%S+00'00'").encode()

    def replaced(match: re.Match[bytes]) -> bytes:
        return match[1] + date if len(match[2]) == len(date) else match[0]

    return re.sub(rb"(/(?:CreationDate|ModDate) ?\()(D:[^)]*)", replaced, pdf)
