"""The cost of a micro-batch, by the size of the fleet and of the history: `make bench-insights`."""
