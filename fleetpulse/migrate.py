"""Numbered, forward-only migrations of the ODS: alembic keeps the count, SQL files do the work.

The typed views come after them: they follow the contracts, not a number.
"""

from pathlib import Path
from typing import cast

import psycopg
import sqlalchemy
import typer
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory

from fleetpulse import settings
from streaming import ods_views
from streaming.settings import OdsSettings

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def run_sql(name: str) -> None:
    """Runs a file of `migrations/sql/` in the migration's transaction, as it stands."""
    # Past SQLAlchemy and without parameters: a ':' or '%' in the file means itself.
    cursor = op.get_bind().connection.cursor()
    cursor.execute((MIGRATIONS / "sql" / name).read_text(encoding="utf-8"))


def head() -> str:
    """Returns the newest migration's number."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise LookupError(f"no migrations in {MIGRATIONS}")
    return revision


def upgrade(url: sqlalchemy.URL) -> None:
    """Brings the ODS to the newest migration, and its views to the contracts.

    Args:
        url: The ODS as the role that owns it, driver `postgresql+psycopg`.

    Raises:
        psycopg.Error: The database refused; the failed migration is rolled back.
        FatalError: A view has to change, and something else is built upon it.
    """
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            _upgrade(connection)
    except sqlalchemy.exc.DBAPIError as error:
        raise (error.orig or error) from error  # the driver's, as everywhere else


def _upgrade(connection: sqlalchemy.Connection) -> None:
    # Two processes that start together: the second waits, then finds nothing to do.
    connection.execute(sqlalchemy.text("select pg_advisory_lock(hashtext('fleetpulse.migrate'))"))
    connection.commit()
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
    # SQLAlchemy does not know which driver it wraps.
    ods_views.create(cast(psycopg.Connection, connection.connection.driver_connection))


def migrate() -> None:
    """Bring the ODS to the newest schema (as the role that owns it)."""
    ods = settings.require(settings.load().ods, "ods")
    upgrade(owner_url(ods))
    typer.echo(f"the ODS at {ods.host}:{ods.port}/{ods.database} is at {head()}")


def owner_url(ods: OdsSettings) -> sqlalchemy.URL:
    """Returns the ODS' URL as the role that owns it."""
    return sqlalchemy.make_url(ods.url("owner")).set(drivername="postgresql+psycopg")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / "versions"))
    config.set_main_option("path_separator", "os")
    return config
