"""The files of a run: the registry as CSV for `fleetpulse reference load`, and the truth."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from sandbox.fleet.instants import rfc3339
from sandbox.fleet.plan import Plan
from sandbox.fleet.registry import MODELS
from sandbox.fleet.truth import dump

TRUTH_FILE = "truth.jsonl"

Row = Mapping[str, object]


def write_files(plan: Plan, folder: Path) -> list[Path]:
    """Writes the files and returns their paths, the truth last.

    Each appears whole or not at all: who waits for the truth finds all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "sites.csv": _csv(_sites(plan)),
        "model_limits.csv": _csv(_limits()),
        "devices.csv": _csv(_devices(plan)),
        "maintenance.csv": _csv(_maintenance(plan)),
        TRUTH_FILE: dump(plan.truth),
    }
    return [_put(folder / name, text) for name, text in texts.items()]


def _csv(rows: list[Row]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _put(path: Path, text: str) -> Path:
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8", newline="")
    return aside.replace(path)


def _sites(plan: Plan) -> list[Row]:
    return [
        {
            "site_id": site.site_id,
            "name": site.name,
            "timezone": site.timezone,
            "business_hours": f"Mo-Su {site.opens:02d}:00-{site.closes:02d}:00",
            "gateway": site.gateway,
        }
        for site in plan.sites
    ]


def _limits() -> list[Row]:
    return [{"model": model.name, "max_cabinet_c": model.max_cabinet_c} for model in MODELS]


def _devices(plan: Plan) -> list[Row]:
    return [
        {
            "device_id": device.device_id,
            "site_id": device.site.site_id,
            "model": device.model.name,
            "commissioned_at": rfc3339(device.commissioned),
            "decommissioned_at": device.decommissioned and rfc3339(device.decommissioned),
            "cmdb_ci": f"{device.model.name} {device.device_id}",
            "assignment_group": f"Field Service {device.site.timezone.split('/')[0]}",
        }
        for device in plan.devices
    ]


def _maintenance(plan: Plan) -> list[Row]:
    return [
        {
            "scope": work.scope,
            "subject": work.subject,
            "mode": work.mode,
            "from": rfc3339(work.start),
            "until": rfc3339(work.end),
            "recurrence": None,
        }
        for work in plan.maintenance
    ]
