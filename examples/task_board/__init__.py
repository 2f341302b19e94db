"""The quick start: a board of tasks."""
