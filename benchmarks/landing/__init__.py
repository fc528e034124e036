"""Landing beside the connectors that it replaces: `make bench-landing`."""
