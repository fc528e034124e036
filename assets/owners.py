"""Who answers for what."""

PLATFORM = ["team:data-platform"]
OPERATIONS = ["team:it-operations"]
