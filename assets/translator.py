"""How dbt's models look in Dagster."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from dagster_dbt import DagsterDbtTranslator

from assets.owners import PLATFORM

Properties = Mapping[str, Any]


class Translator(DagsterDbtTranslator):
    """Groups models by their folder; keys are schema and name, unless dbt's meta says otherwise."""

    def get_group_name(self, dbt_resource_props: Properties) -> str:
        """Returns the first folder below `models`."""
        return PurePosixPath(dbt_resource_props["original_file_path"]).parts[1]

    def get_description(self, dbt_resource_props: Properties) -> str:
        """Returns the description alone: the SQL is one click away, and would fill the page."""
        return str(dbt_resource_props["description"])

    def get_owners(self, dbt_resource_props: Properties) -> list[str]:
        """Returns who answers for it."""
        return PLATFORM
