"""Encryption that notices every change: AES in Galois/Counter Mode. Needs the extra `crypto`."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Final

from .codec import UndecodableError

_NONCE: Final = 12
"""Bytes of a nonce: what the mode is made for."""
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_SIZES: Final = (16, 24, 32)


class AESGCMCodec:
    """Encrypts and authenticates: what was changed, or moved to another workflow or version, does not decode.

    ```python
    codec = AESGCMCodec({"2025": old_key, "2026": new_key}, current="2026")
    ```

    To rotate, add a key and make it the current one: what is written from then on is under the new key, and the others
    still read what was written before. A key can go when nothing that is kept was written under it; commits keep
    theirs until they are pruned. Nonces are random, so a key is good for some 4,000,000,000 texts; a commit is a
    handful.

    Args:
        keys: By id, of letters, digits, `-` and `_`; 16, 24 or 32 random bytes each. The id is stored with each text.
        current: Id of the key to write with; may be left out where there is only one.

    Raises:
        ImportError: The extra `crypto` is not installed.
        ValueError: A key or an id is none, or `current` is not among them. The message quotes no key.
    """

    def __init__(self, keys: Mapping[str, bytes], *, current: str | None = None) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an optional dependency
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above
        except ModuleNotFoundError as exc:
            raise ImportError('AESGCMCodec needs cryptography: pip install "statewright[crypto]"') from exc
        _check_keys(keys)
        if current is None and len(keys) == 1:
            current = next(iter(keys))
        if current is None or current not in keys:
            raise ValueError(f"current names the key to write with, one of {', '.join(keys)}; found {current!r}")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current: str = current
        self._invalid_tag = InvalidTag

    @staticmethod
    def generate_key() -> bytes:
        """Return a fresh random key of 256 bits; keep it where your other secrets are."""
        return os.urandom(32)

    def encode(self, text: str, place: str) -> str:
        """Return the text encrypted under the current key: `id.nonce and ciphertext`."""
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self._current].encrypt(nonce, text.encode(), place.encode())
        return f"{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def decode(self, text: str, place: str) -> str:
        """Return the text decrypted.

        Raises:
            UndecodableError: The key is unknown, or the text was changed or belongs elsewhere.
        """
        key_id, dot, body = text.partition(".")
        if not dot or not _KEY_ID.fullmatch(key_id):
            raise UndecodableError("it was not written by an AESGCMCodec")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UndecodableError(f"it was written under the key {key_id!r}; known are {', '.join(self._ciphers)}")
        try:
            sealed = base64.b64decode(body, validate=True)
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode()).decode()
        except (binascii.Error, ValueError, self._invalid_tag) as exc:
            raise UndecodableError(
                f"it was changed, moved here from elsewhere, or written under another key with the id {key_id!r}"
            ) from exc

    def __repr__(self) -> str:
        return f"AESGCMCodec(keys=[{', '.join(self._ciphers)}], current={self._current!r})"


def _check_keys(keys: Mapping[str, bytes]) -> None:
    if not isinstance(keys, Mapping) or not keys:
        raise ValueError("AESGCMCodec takes its keys by id, at least one")
    for key_id, key in keys.items():
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"a key's id is 1 to 64 letters, digits, '-' and '_', found {key_id!r}")
        if not isinstance(key, bytes) or len(key) not in _KEY_SIZES:
            raise ValueError(f"the key {key_id!r} must be 16, 24 or 32 bytes")
