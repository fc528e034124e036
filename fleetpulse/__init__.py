"""The command line, the composition root and the settings tree of Fleetpulse."""
