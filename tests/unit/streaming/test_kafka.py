"""Which of Kafka's errors are waited out, and which need a person."""

import confluent_kafka as ck
import pytest

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
