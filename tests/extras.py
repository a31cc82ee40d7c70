"""The parts of the machinery that can be deleted, as CONTRIBUTING.md lists them."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def listed():
    """The extras of CONTRIBUTING.md: name, files to delete, and the text and file of the lines to delete."""
    table = re.search("<!-- extras -->(.*)<!-- /extras -->", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    for row in table.strip().splitlines()[2:]:
        name, files, lines = (cell.strip() for cell in row.strip("|").split("|"))
        yield name, re.findall("`(.*?)`", files), re.findall("`(.*?)`", lines)


EXTRAS = {name: (files, lines) for name, files, lines in listed()}


def delete(files, lines, folder):
    """Delete the files of an extra, as far as a folder has them, and the lines that name it."""
    for path in (folder / file for file in files if (folder / file).exists()):
        remove = shutil.rmtree if path.is_dir() else Path.unlink
        remove(path)
    if lines:
        text, file = lines
        content = (folder / file).read_text().splitlines(keepends=True)
        kept = [line for line in content if text not in line]
        assert 1 <= len(content) - len(kept) <= 2
        (folder / file).write_text("".join(kept))
