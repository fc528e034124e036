"""Dagster assets, one file a system."""
