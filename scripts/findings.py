"""Write docs/findings.md from docs/results/*.json (the report/findings.json of grids, kept under a name of their own).

python scripts/findings.py [--check]      --check: write nothing, exit 1 where the page is not what the files say
"""

import json
import sys
from pathlib import Path

from pellucid.report.findings import ledger

DOCS = Path(__file__).parents[1] / "docs"


def page() -> str:
    """The ledger as it should be."""
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DOCS / "results").glob("*.json")}
    return ledger(results)


def main() -> None:
    """Write or check."""
    path = DOCS / "findings.md"
    if "--check" in sys.argv[1:]:
        sys.exit(
            0 if path.read_text(encoding="utf-8") == page() else "docs/findings.md is out of date: run this script"
        )
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
