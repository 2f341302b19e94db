"""Old snapshots brought up to date."""
