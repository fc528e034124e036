"""An independent evaluator of windows, rules and episodes: plain, slow, and obviously right.

It reads the same definitions as the dbt project and shares no code with it. Times are integer
microseconds since 1970.
"""
