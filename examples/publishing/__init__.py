"""Articles that reviewers read, two workflows, and what follows from one for the other."""
