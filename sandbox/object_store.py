"""s3proxy: an S3 endpoint over a folder."""

import signal
from pathlib import Path

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.credentials import Credentials
from sandbox.files import write_private
from sandbox.jars import Jar, fetch
from sandbox.java import java
from sandbox.ports import HOST, Ports, answers
from sandbox.process import Command, plain_environment
from sandbox.server import NotReadyError, Report

# By itself and not in jgo.toml: as a dependency it would bring 149 more jars than it needs.
S3PROXY = Jar(
    "org.gaul",
    "s3proxy",
    "4.1.0",
    "a4d025969aaf796616ed4b1e2491d87d455ce84bb28cb9db086b2e6aaa68b48d",
    "jar-with-dependencies",
)
BUCKET = "fleetpulse-lake"
REGION = "us-east-1"
ACCESS_KEY = "s3_access_key"
SECRET_KEY = "s3_secret_key"  # noqa: S105 (the name of a credential, not one)

SETTINGS = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={access_key}
s3proxy.credential={secret_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={data}
"""


class ObjectStore:
    """The S3 endpoint, with its objects in `<home>/s3/data`."""

    name = "s3"
    ports = ("s3",)
    stop_signal = signal.SIGTERM
    abandon_signal = signal.SIGKILL

    def __init__(self, home: Path, ports: Ports, credentials: Credentials) -> None:
        self._folder = home / "s3"
        self._settings = self._folder / "s3proxy.properties"
        self._ports = ports
        self._credentials = credentials
        self._jar: Path | None = None

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self._ports['s3']}"

    def prepare(self, report: Report) -> None:
        """Fetches the jar; writes the settings, with the keys in them.

        Raises:
            JarError: The jar cannot be had, or is not the pinned one.
        """
        (self._jar,) = fetch([S3PROXY], lambda done, total: report(f"fetching jar {done}/{total}"))
        data = self._folder / "data"
        for folder in (data, self._folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        write_private(
            self._settings,
            SETTINGS.format(
                host=HOST,
                port=self._ports["s3"],
                access_key=self._credentials[ACCESS_KEY],
                secret_key=self._credentials[SECRET_KEY],
                data=data,
            ),
        )

    def command(self) -> Command:
        """Returns what to run."""
        return Command(
            java(
                self._folder / "tmp",
                "-Xmx192m",
                "-XX:+UseSerialGC",
                "-jar",
                str(self._jar),
                "--properties",
                str(self._settings),
            ),
            plain_environment(self._folder),
            self._folder,
        )

    def probe(self) -> None:
        """Lists the buckets with our keys.

        Raises:
            NotReadyError: No answer, or a refusal.
        """
        if not answers(self._ports["s3"]):
            raise NotReadyError(f"nobody listens on {self.address}")
        try:
            self._client().list_buckets()
        except (BotoCoreError, ClientError) as error:
            raise NotReadyError(str(error)) from error

    def provision(self) -> None:
        """Creates the lake's bucket where it is missing."""
        client = self._client()
        if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=BUCKET)

    def _client(self) -> BaseClient:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id=self._credentials[ACCESS_KEY],
            aws_secret_access_key=self._credentials[SECRET_KEY],
            config=Config(
                connect_timeout=2,
                read_timeout=10,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                proxies={},
            ),
        )
