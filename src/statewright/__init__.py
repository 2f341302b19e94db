"""Typed workflows that survive a restart."""
