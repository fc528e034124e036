"""Which of Kafka's errors are waited out, and which need a person."""

from concurrent.futures import Future
from unittest.mock import create_autospec

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo

from streaming import kafka
from streaming.errors import FatalError, OutageError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ck.KafkaError._TRANSPORT, OutageError),
        (ck.KafkaError._DESTROY_BROKER, OutageError),  # a question was on its way as it restarted
        (ck.KafkaError.NOT_LEADER_FOR_PARTITION, OutageError),
        (ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, FatalError),
        (ck.KafkaError._AUTHENTICATION, FatalError),
    ],
)
def test_what_passes_by_itself_is_an_outage(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="asking"):
        kafka.raise_typed(ck.KafkaError(code), "asking")


def test_an_end_without_a_value_is_an_outage_and_no_cut_log() -> None:
    unknown: Future[ListOffsetsResultInfo] = Future()
    unknown.set_result(ListOffsetsResultInfo(ck.OFFSET_INVALID, -1, -1))
    admin = create_autospec(AdminClient, instance=True)
    admin.list_offsets.return_value = {ck.TopicPartition("alerts.raw", 0): unknown}
    with pytest.raises(OutageError, match=r"alerts.raw\[0\]"):
        kafka.high_watermarks(admin, [("alerts.raw", 0)])
