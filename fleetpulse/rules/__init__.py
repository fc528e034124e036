"""The detection rules: what their files must say, and the model that unites them.

dbt resolves `ref` while it parses, so no model can ask for "all rules": the union is made of the
files in `models/rules`, by whatever is about to let dbt parse.
"""

from fleetpulse.rules.files import RulesError, read_rules
from fleetpulse.rules.union import UNION, unite

__all__ = ["UNION", "RulesError", "read_rules", "unite"]
