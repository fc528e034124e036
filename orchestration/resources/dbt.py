"""dbt in this process, from the manifest that was parsed beforehand.

dagster-dbt's own resource starts `dbt --version` and dbt itself as processes, which parse again:
seconds for each batch. Here a run reads the parsed project and hands dbt's events to dagster-dbt.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster_dbt import DagsterDbtTranslator
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from orchestration.errors import DbtError, ManifestMissingError, NothingTestedError

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MANIFEST = PROJECT / "target" / "manifest.json"
PARSED = PROJECT / "target" / "partial_parse.msgpack"

Manifest = Mapping[str, Any]
Events = Iterator[
    dg.Output[Any]
    | dg.AssetMaterialization
    | dg.AssetObservation
    | dg.AssetCheckResult
    | dg.AssetCheckEvaluation
]


def read_manifest(path: Path = MANIFEST) -> Manifest:
    """Returns what dbt knows of its models, as `fleetpulse dbt parse` has left it.

    Raises:
        ManifestMissingError: It has not been parsed.
    """
    try:
        return cast(Manifest, json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise ManifestMissingError(f"{path} does not exist: run `fleetpulse dbt parse`") from None


def run_arguments(selector: str, models: Iterable[str] | None) -> list[str]:
    """Returns dbt's arguments to run all models of a selector, or only some."""
    chosen = ["--selector", selector] if models is None else ["--select", *sorted(models)]
    return ["run", *chosen]


def test_arguments(tests: Iterable[str]) -> list[str]:
    """Returns dbt's arguments to run data tests, and no others that hang on the same models."""
    return ["test", "--indirect-selection", "empty", "--select", *sorted(tests)]


def where_arguments(target: str, folder: Path) -> list[str]:
    """Returns dbt's arguments that say where it finds the project and leaves its files."""
    return [
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", target),
        *("--target-path", str(folder), "--log-path", str(folder), "--no-write-json"),
        *("--log-level-file", "none", "--no-use-colors"),
    ]


def invoke(
    arguments: Sequence[str], schema: str | None = None
) -> tuple[str | None, list[dict[str, Any]]]:
    """Runs dbt in this process; returns what went wrong, or None, and its messages.

    Args:
        arguments: dbt's.
        schema: Where all models are built, and landing and batches are read, instead of where
            they are in production.
    """
    # Only who runs dbt pays for importing it: 1.5 s.
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest as ParsedManifest
    from dbt.parser.manifest import extended_mashumuro_decoder
    from dbt_common.events.functions import msg_to_dict

    messages: list[dict[str, Any]] = []
    parsed = ParsedManifest.from_msgpack(PARSED.read_bytes(), decoder=extended_mashumuro_decoder)
    if schema is not None:
        _move(parsed, schema)
    # The `graph` of macros is not stored.
    parsed.build_flat_graph()  # type: ignore[no-untyped-call]
    runner = dbtRunner(parsed, callbacks=[lambda event: messages.append(msg_to_dict(event))])
    result = runner.invoke([*arguments])
    if result.success:
        return None, messages
    if result.exception is not None and not isinstance(result.exception, Exception):
        raise result.exception  # the run was ended from outside
    errors = [m["info"]["msg"] for m in messages if m["info"]["level"] == "error"]
    return "\n".join(errors) or str(result.exception), messages


def _move(parsed: Any, schema: str) -> None:
    """Moves a parsed project to another schema; reference data and tickets stay where they are."""
    moved = [each for each in parsed.nodes.values() if each.resource_type == "model"]
    moved += [
        each for each in parsed.sources.values() if each.source_name in ("landing", "control")
    ]
    for each in moved:
        each.schema = schema
        each.relation_name = None  # it is told by the schema, when it is asked for


class Dbt:
    """Runs models and tests of the project's dbt assets."""

    def __init__(self, target: str) -> None:
        self._target = target

    def events(
        self,
        context: dg.AssetExecutionContext,
        manifest: Manifest,
        translator: DagsterDbtTranslator,
        selector: str,
    ) -> Events:
        """Runs what was selected of a definition of dbt assets: its models, then its tests.

        Args:
            context: The run.
            manifest: What the assets were defined from.
            translator: How they were named.
            selector: dbt's selector of all their models.

        Yields:
            What dagster-dbt makes of dbt's events.

        Raises:
            DbtError: A model or a command failed. A failed test is a result, not an error.
            NothingTestedError: Tests were selected and none ran.
        """
        invocation = _Invocation(context, manifest, translator, self._target)
        if models := context.selected_asset_keys:
            whole = models == context.assets_def.node_keys_by_output_name.values()
            names = None if whole else _model_names(manifest, translator, models)
            yield from invocation.run(run_arguments(selector, names))
        if checks := context.selected_asset_check_keys:
            yield from invocation.test(test_arguments(key.name for key in checks))


class _Invocation:
    def __init__(
        self,
        context: dg.AssetExecutionContext,
        manifest: Manifest,
        translator: DagsterDbtTranslator,
        target: str,
    ) -> None:
        self._context = context
        self._manifest = manifest
        self._translator = translator
        self._target = target
        storage = Path(context.instance.storage_directory())
        self._folder = storage / context.run.run_id / "dbt"

    def run(self, arguments: Sequence[str]) -> Events:
        problem, messages = self._invoke(arguments)
        yield from self._converted(messages)
        if problem is not None:
            raise DbtError(problem)
        shutil.rmtree(self._folder)

    def test(self, arguments: Sequence[str]) -> Events:
        problem, messages = self._invoke(arguments)
        results = list(self._converted(messages))
        yield from results
        if not results:
            raise NothingTestedError(problem or f"no test ran by `dbt {' '.join(arguments)}`")
        shutil.rmtree(self._folder)

    def _invoke(self, arguments: Sequence[str]) -> tuple[str | None, list[dict[str, Any]]]:
        return invoke([*arguments, *where_arguments(self._target, self._folder)])

    def _converted(self, messages: Sequence[dict[str, Any]]) -> Events:
        for message in messages:
            event = DbtCoreCliEventMessage(raw_event=message, event_history_metadata={})
            yield from event.to_default_asset_events(
                manifest=self._manifest,
                dagster_dbt_translator=self._translator,
                context=self._context,
            )


def _model_names(
    manifest: Manifest, translator: DagsterDbtTranslator, keys: Iterable[dg.AssetKey]
) -> list[str]:
    names = {
        translator.get_asset_key(node): node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    return [names[key] for key in keys]
