"""Who runs: the floors, the peers and Statewright. A run imports its own module only, in a process of its own."""
