"""Where the project's own files are, seen from the installed package."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DBT_PROJECT = PROJECT_ROOT / "dbt_project"
SANDBOX_HOME = PROJECT_ROOT / ".fleetpulse"
ENV_FILE = PROJECT_ROOT / ".env"
