"""The site: navigation and links of its sources, and the built pages."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from pages import DOCS, PAGES, ROOT

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def plain(path):
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def slug(heading):
    """The anchor that Python-Markdown gives a heading."""
    text = re.sub(r"`|\*|\[([^\]]*)\]\([^)]*\)", r"\1", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def anchors(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {slug(found) for found in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}


def targets(entry):
    """The pages that a part of the navigation names."""
    if isinstance(entry, str):
        return [entry]
    return [one for below in (entry if isinstance(entry, list) else entry.values()) for one in targets(below)]


def test_the_navigation_has_every_page_once():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(targets(config["nav"])) == sorted(str(path.relative_to(DOCS)) for path in PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_links_and_anchors_of_a_page_exist(path):
    for link in LINK.findall(plain(path)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there are {sorted(anchors(target))}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_is_plain_markdown_with_one_title(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == (1 if path.name != "definitions.md" else 9)
    for exotic in (r"^!!! ", r"^\?\?\? ", r"^=== ", r"\{\{", r"\$\$", r"<script"):
        assert not re.search(exotic, plain(path), flags=re.MULTILINE), exotic


def test_every_module_of_the_reference_exists():
    for path in (DOCS / "reference").glob("*.md"):
        for name in re.findall(r"^::: ([\w.]+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            place = ROOT / "src" / name.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__init__.py").exists(), name


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the site needs the docs extra")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_builds_without_a_warning_and_has_every_page(site):
    for path in PAGES:
        assert (site / path.relative_to(DOCS)).with_suffix(".html").stat().st_size > 5000


def test_the_site_loads_nothing_from_elsewhere(site):
    loads = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']*""")
    for path in site.rglob("*.html"):
        found = [one for one in loads.findall(path.read_text(encoding="utf-8")) if 'rel="canonical"' not in one]
        assert found == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), path.name


def test_the_reference_has_the_functions(site):
    page = (site / "reference" / "objectives.html").read_text(encoding="utf-8")
    assert 'id="pellucid.objectives.adversarial.adversarial"' in page
    assert "step_size" in page
    assert ":func:" not in page


def test_asterisks_of_formulas_are_no_emphasis(site):
    assert "attained at some δ*(g)" in (site / "norms.html").read_text(encoding="utf-8")


def test_configs_that_pages_link_to_are_part_of_the_site(site):
    assert (site / "configs" / "pellucid-robust.yaml").exists()
    assert (site / "examples" / "github-action-gate.yml").exists()
    assert 'href="configs/pellucid-robust.yaml"' in (site / "presets.html").read_text(encoding="utf-8")
    assert 'href="../examples/github-action-gate.yml"' in (site / "howto/engineer.html").read_text(encoding="utf-8")


def opened(browser, path, width):
    """A page of the site from the disk, without a network, and what it said and asked for."""
    tab = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(path.as_uri())
    return tab


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["index", "tutorial", "mathematics/metrics", "claims", "reference/metrics"])
def test_a_page_stays_inside_the_window_and_asks_for_nothing_from_elsewhere(browser, site, page, width):
    tab = opened(browser, site / f"{page}.html", width)
    shown, wide = tab.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert wide <= shown
    assert tab.said == []
    assert [url for url in tab.asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.browser
def test_the_search_works_from_the_disk_without_a_network(browser, site):
    tab = opened(browser, site / "howto" / "auditor.html", 1280)
    tab.locator(".md-search__input").click()
    tab.locator(".md-search__input").press_sequentially("Danskin", delay=20)
    found = tab.locator(".md-search-result__link", has_text="The mathematics of training")
    found.first.wait_for(timeout=10_000)
    found.first.click()
    tab.wait_for_url("**/mathematics/objectives.html*")
