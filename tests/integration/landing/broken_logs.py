"""What becomes of a log when a broker that lay behind is elected, or its disk is an older one."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.landing.scene import Scene


@contextmanager
def older_log_afterwards(scene: Scene, topic: str, partition: int, folder: Path) -> Iterator[None]:
    """Puts a partition's log back as it is now, in the place of what comes within."""
    log = scene.kafka_folder / f"{topic}-{partition}"
    copy = folder / log.name
    shutil.copytree(log, copy)
    for index in copy.glob("*index"):
        index.unlink()  # of a log that is in use; the broker makes them anew
    yield
    scene.stop_server("kafka", signal.SIGTERM)  # killed, it would keep its leader epoch
    shutil.rmtree(log)
    shutil.copytree(copy, log)
    scene.start_servers()
