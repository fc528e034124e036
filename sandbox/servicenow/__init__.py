"""A stand-in for a ServiceNow instance: the Table API's `incident`, kept in SQLite.

It is true where a bridge to ServiceNow goes wrong: nothing makes `correlation_id` unique, an
unknown query field is ignored (so every incident comes back), resolving needs a code and notes,
limits count by the hour, and an answer can be lost after the write was committed.
"""

from sandbox.servicenow.app import create_app
from sandbox.servicenow.store import Store

__all__ = ["Store", "create_app"]
