"""Compression and encryption of what is stored, around any store.

```python
store = CodecStore(SQLiteStore("orders.db"), CompressionCodec(), AESGCMCodec({"2026": key}))
```

A codec of your own is two methods, `encode` and `decode`. `AESGCMCodec` needs the extra `crypto`.
"""

from .aesgcm import AESGCMCodec
from .codec import Codec, CompressionCodec, UndecodableError
from .store import CodecStore

__all__ = ["AESGCMCodec", "Codec", "CodecStore", "CompressionCodec", "UndecodableError"]
