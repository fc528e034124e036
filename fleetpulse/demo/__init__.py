"""`fleetpulse demo`: the whole platform on this machine, from an empty state, and what it found.

`command` reads the options, `play` is the course of a demo; `stage` starts and stops the programs,
`sight` looks at them from outside, `chaos` kills one, `score` compares what was found with what is
true, `report` says it.
"""
