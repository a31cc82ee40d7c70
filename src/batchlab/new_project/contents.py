"""What the files of a new project contain."""

import posixpath
import re
from pathlib import Path

from batchlab.new_project.sources import CODE, EXAMPLES, FRAME, PAGES, find_files, read_file, version

PART = re.compile(
    r"^ *# batchlab new (?:leaves this out|keeps this for --example (?P<examples>[\w, ]+)):\n"
    r"(?P<lines>.*?)^ *# until here\n",
    re.MULTILINE | re.DOTALL,
)
"""Lines that a new project does not have, or has with some examples alone."""

OFF = re.compile(r"^( *)#\+ ", re.MULTILINE)
"""What makes a comment here of a line that a new project has."""

LINK = re.compile(r"\]\(([^)#:]+)")
OWN_LINES = {"version": "0.1.0", "description": "{name}, trained with PyTorch Lightning."}
"""Lines of pyproject.toml that each project has of its own."""

UNCHANGED = ("LICENSE",)  # it names those who wrote what was copied


def project_files(name: str, example: str) -> dict[str, str]:
    """Return all files of a new project: the text of each by its path.

    Args:
        name: The project's name.
        example: The key of the model and data that it starts with.
    """
    texts = machinery_files(name)
    for file in find_files(*FRAME):
        texts[file] = _own(file, name, example)
    for start, place in EXAMPLES[example].files.items():
        for file in find_files(start):
            path = place.replace("NAME", name) + _rename(file.removeprefix(start), name)
            texts[path] = _own(file, name, example)
    for page in sorted((Path(__file__).parent / "pages").glob("*.md")):
        texts[page.name] = _choose(page.read_text("utf-8"), example).replace("NAME", name).replace("VERSION", version())
    return texts


def machinery_files(name: str) -> dict[str, str]:
    """Return the files that a project keeps as they are: the text of each by its path.

    Args:
        name: The project's name, which stands in the pages alone.
    """
    texts = {file: read_file(file) for file in find_files(*CODE)}
    pages = list(find_files(*PAGES))
    return texts | {page: _rename(_page(page, {*texts, *pages}), name) for page in pages}


def _own(file: str, name: str, example: str) -> str:
    if file in UNCHANGED:
        return read_file(file)
    text = _choose(read_file(file), example)
    if not file.endswith(".py"):
        text = text.replace("\n\n\n", "\n\n")  # on both sides of what was left out
    text = text.rstrip("\n") + "\n" * text.endswith("\n")
    if file == "pyproject.toml":
        for key, value in OWN_LINES.items():
            text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value.format(name=name)}"', text, count=1, flags=re.MULTILINE)
    return _rename(text, name)


def _choose(text: str, example: str) -> str:
    """Return a text with the parts that are for an example, or for all."""

    def chosen(part: re.Match[str]) -> str:
        return OFF.sub(r"\1", part["lines"]) if example in (part["examples"] or "").split(", ") else ""

    return PART.sub(chosen, text)


def _rename(text: str, name: str) -> str:
    return text.replace("batchlab", name).replace("BATCHLAB", name.upper())


def _page(page: str, files: set[str]) -> str:
    """Return a page without paragraphs about the lesson, and those that link to what a new project does not have."""
    folder = posixpath.dirname(page)
    paragraphs = read_file(page).rstrip("\n").split("\n\n")
    kept = (
        paragraph
        for paragraph in paragraphs
        if "lesson" not in paragraph
        and all(posixpath.normpath(posixpath.join(folder, link)) in files for link in LINK.findall(paragraph))
    )
    return "\n\n".join(kept) + "\n"
