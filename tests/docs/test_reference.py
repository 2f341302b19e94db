"""The reference and the site: nothing public is missing, and nothing is named that is not there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import statewright

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = sorted((DOCS / "reference").glob("*.md"))
DIRECTIVE = re.compile(r"^::: (?P<name>[\w.]+)$", re.MULTILINE)
# Aliases of unions, told where they are used.
TOLD_ELSEWHERE = {"Result"}


def named() -> list[str]:
    return [found["name"] for page in REFERENCE for found in DIRECTIVE.finditer(page.read_text(encoding="utf-8"))]


def resolved(name: str) -> Any:
    """Return the module, or the member of a module, that a dotted name stands for."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(import_module(module), member)


def members(thing: Any) -> set[int]:
    public = getattr(thing, "__all__", ()) if isinstance(thing, ModuleType) else ()
    return {id(thing), *(id(getattr(thing, name)) for name in public)}


@pytest.mark.slow
@pytest.mark.parametrize("name", named())
def test_reference_names_what_is_there(name: str) -> None:
    """A page of the reference names nothing that a user could not import."""
    assert resolved(name) is not None


@pytest.mark.slow
def test_every_public_name_is_in_the_reference() -> None:
    """What can be imported from the front door is told of on some page."""
    told = {each for name in named() for each in members(resolved(name))}

    missing = {name for name in statewright.__all__ if id(getattr(statewright, name)) not in told}

    assert missing == TOLD_ELSEWHERE


def test_navigation_leads_to_every_page() -> None:
    """Each page stands in the site's navigation, once, and the navigation names no other."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"[\w/-]+\.md", navigation)

    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
