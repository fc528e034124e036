"""Quix Streams' file sink as a contender: Kafka to Parquet files in S3, nothing decoded.

It runs in an environment of its own; its arguments come as JSON on the command line.
"""

import json
import sys

from quixstreams import Application
from quixstreams.sinks.community.file.formats import ParquetFormat
from quixstreams.sinks.community.file.s3 import S3FileSink


def main() -> None:
    """Archives a number of records, and ends."""
    given = json.loads(sys.argv[1])
    application = Application(
        broker_address=given["bootstrap_servers"],
        consumer_group=given["group_id"],
        auto_offset_reset="earliest",
        commit_every=100_000,
        commit_interval=300,
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
        loglevel="WARNING",
    )
    sink = S3FileSink(
        bucket=given["bucket"],
        directory=given["directory"],
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
        format=ParquetFormat(compression="zstd"),
    )
    topic = application.topic(given["topic"], value_deserializer="bytes", key_deserializer="bytes")
    frame = application.dataframe(topic)
    frame.apply(lambda payload: {"payload": payload}).sink(sink)
    application.run(count=given["records"], timeout=60)


if __name__ == "__main__":
    main()
