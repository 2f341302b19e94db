"""Codecs: text to text, on the way to a store and back."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Protocol


class UndecodableError(ValueError):
    """What is stored cannot be decoded; the message says why, and quotes nothing."""


class Codec(Protocol):
    """Changes text on its way to a store, and changes it back."""

    def encode(self, text: str, place: str) -> str:
        """Return the text as it is to be stored.

        Args:
            text: What the engine, or the codec before, would store.
            place: Which text of which workflow and version this is: to be authenticated with it, not to be stored.
        """
        ...

    def decode(self, text: str, place: str) -> str:
        """Return the text that was encoded.

        Raises:
            UndecodableError: The text was not made by this codec in this place, or has been changed since.
        """
        ...


class CompressionCodec:
    """Compresses what is large enough to gain by it, with zlib.

    Before encryption, not after it: encrypted text does not compress. Where an attacker may add to a text and see how
    long it becomes, compressing secrets beside it can give them away.

    Args:
        level: From 1, fast, to 9, small.
        threshold: Texts of fewer characters are left as they are.

    Raises:
        ValueError: The level is none.
    """

    def __init__(self, *, level: int = 6, threshold: int = 512) -> None:
        if level not in range(1, 10):
            raise ValueError(f"a compression level is an integer from 1 to 9, found {level!r}")
        self._level = level
        self._threshold = threshold

    def encode(self, text: str, place: str) -> str:  # noqa: ARG002 - nothing is authenticated
        """Return the text, compressed if that makes it shorter."""
        if len(text) >= self._threshold:
            small = base64.b85encode(zlib.compress(text.encode(), self._level)).decode()
            if len(small) < len(text):
                return f"z{small}"
        return f"t{text}"

    def decode(self, text: str, place: str) -> str:  # noqa: ARG002 - nothing is authenticated
        """Return the text as it was.

        Raises:
            UndecodableError: It is neither plain nor compressed.
        """
        if text.startswith("t"):
            return text[1:]
        if not text.startswith("z"):
            raise UndecodableError("it was not written by a CompressionCodec")
        try:
            return zlib.decompress(base64.b85decode(text[1:])).decode()
        except (ValueError, zlib.error, binascii.Error) as exc:
            raise UndecodableError("it is damaged: it does not decompress") from exc
