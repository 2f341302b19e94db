"""Effects, only through ports."""
