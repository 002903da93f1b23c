"""README and docs name only what is there: commands, files, settings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bgpdrift.cli import COMMANDS
from bgpdrift.store.window_columns import as_markdown

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link]
    named = re.findall(r"`((?:tests|benchmarks|bgpdrift|supervisor|retrainers|docs)/[\w/.-]+\.(?:py|md|toml))`", text)

    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_row_of_the_page_on_faults_names_a_test_that_exists() -> None:
    rows = [
        line for line in (ROOT / "docs/faults.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    rows = [row for row in rows if not row.startswith("| fault |")]
    named = {row: re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row) for row in rows}

    assert len(rows) > 50
    assert [row for row, tests in named.items() if not tests] == []
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for tests in named.values() for file, _ in tests}
    assert [test for tests in named.values() for file, test in tests if f"def {test}(" not in sources[file]] == []


def _list_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_heading_that_a_link_names_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    targets = [((page.parent / file) if file else page, anchor) for file, anchor in links]

    assert [(str(target), anchor) for target, anchor in targets if anchor not in _list_anchors(target)] == []


def test_every_module_in_the_table_of_packages_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("\n## Packages\n")[2]
    rows = [re.findall(r"`([^`]+)`", row) for row in text.splitlines() if row.startswith("| `")]
    packages = [(ROOT / row[0], row[1:]) for row in rows if (ROOT / row[0]).is_dir()]
    named = [folder / name for folder, names in packages for name in names if re.fullmatch(r"[\w]+\.py", name)]

    assert len(named) > 20
    assert [str(path) for path in named if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```(?:sh|text)?\n(.*?)```", text, flags=re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    used = set(re.findall(r"(?:^|[\s/])bgpdrift ([a-z][a-z-]+)(?=\s|$)", code, flags=re.MULTILINE))

    assert sorted(used - set(COMMANDS)) == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    shown = subprocess.run([sys.executable, "-m", "bgpdrift.cli", command, "--help"], capture_output=True, text=True)

    assert shown.returncode == 0, shown.stderr
    assert "usage:" in shown.stdout.lower()


def test_the_page_on_features_lists_the_columns_there_are() -> None:
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8").endswith(as_markdown())


def test_every_make_target_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, flags=re.MULTILINE))

    assert sorted(named - targets) == []
