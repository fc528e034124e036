"""The past judged again: lake and reference data in, what would differ out, merged as one batch.

It is judged in a schema of its own by the models of production; docs/adr/0015 says which tables
are made there and which are read as they stand. dbt is run by whoever calls this.
"""
