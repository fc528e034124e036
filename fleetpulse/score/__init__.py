"""What was found, compared with what is true.

`compare` is pure; `found` reads the platform's side, `sandbox.fleet.truth` the other. The
command and the demo's end use the same.
"""
