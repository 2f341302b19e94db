"""Colours, read from the style sheet itself."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from statewright.console.drawing import HUES

CSS = files("statewright.console").joinpath("assets/console.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))
TINT = 0.13
"""So much of its hue is in a badge's ground; the rest is the card's."""

Colour = tuple[float, ...]


def colour(scheme: str, name: str) -> Colour:
    found = re.search(rf"--{name}: #([0-9a-f]{{6}});", SCHEMES[scheme])
    assert found is not None
    return tuple(bytes.fromhex(found[1]))


def luminance(colour: Colour) -> float:
    """Return the relative luminance as WCAG 2.2 defines it."""
    parts = (each / 255 for each in colour)
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("number", range(HUES))
def test_badges_can_be_read(scheme: str, number: int) -> None:
    """The text of a state's badge stands out from its ground by 4.5 to 1, tinted or filled, in light and in dark."""
    hue, card = colour(scheme, f"hue-{number}"), colour(scheme, "card")
    ground = tuple(TINT * one + (1 - TINT) * other for one, other in zip(hue, card, strict=True))

    assert contrast(hue, ground) >= 4.5
    assert contrast(card, hue) >= 4.5


def test_badges_are_tinted_as_assumed() -> None:
    """The style sheet tints badges by as much as the test of their contrast takes for granted."""
    assert f"background: color-mix(in srgb, var(--hue) {TINT:.0%}, var(--card));" in CSS
