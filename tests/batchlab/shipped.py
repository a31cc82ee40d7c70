"""The configs that are shipped."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def config(name: str) -> str:
    """The path of a shipped config."""
    return str(ROOT / "configs" / f"{name}.yaml")
