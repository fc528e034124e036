"""ServiceNow incidents from episodes: the client, the intent ledger and the worker."""
