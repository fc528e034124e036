"""Dagster plumbing, one file a kind; `definitions` merges it."""
