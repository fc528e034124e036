"""The oracle itself, on the tables of Stream Analytics' documentation."""

from dataclasses import replace

from tests.oracle.events import Event
from tests.oracle.policies import Policies, system_times
from tests.oracle.windows import Window, session, sliding, tumbling

MINUTE = 60 * 1_000_000

TWELVE = [  # event time and arrival, minutes after 12:00; device
    (7, 7, "1"),
    (8, 8, "2"),
    (17, 11, "1"),
    (8, 13, "3"),
    (19, 16, "1"),
    (12, 17, "3"),
    (17, 18, "2"),
    (20, 19, "2"),
    (16, 21, "3"),
    (23, 22, "2"),
    (22, 24, "2"),
    (21, 27, "3"),
]
ADJUSTING = Policies(
    late_us=5 * MINUTE,
    late="adjust",
    out_of_order_us=2 * MINUTE,
    out_of_order="adjust",
    per_key=False,
    early=True,
)


def events(*times: int) -> list[Event]:
    return [event(number, "A", us, us) for number, us in enumerate(times, 1)]


def event(number: int, key: str, us: int, arrival_us: int) -> Event:
    return Event(number=number, key=key, us=us, arrival_us=arrival_us, value=None, state="raised")


def spans(windows: list[Window]) -> list[tuple[int, int, int]]:
    return [(window.start_us, window.end_us, len(window.events)) for window in windows]


def test_an_event_on_a_boundary_is_in_the_window_that_ends_there() -> None:
    assert spans(tumbling(events(-5, 0, 1, 5, 6), 5)) == [
        (-10, -5, 1),
        (-5, 0, 1),
        (0, 5, 2),
        (5, 10, 1),
    ]


def test_sliding_gives_a_row_at_each_entry_and_each_exit_that_leaves_something() -> None:
    ends = [(end, held) for _, end, held in spans(sliding(events(34, 38, 42), 5))]
    assert ends == [(34, 1), (38, 2), (39, 1), (42, 2), (43, 1)]


def test_a_session_ends_at_its_timeout_or_is_cut_at_a_multiple_of_its_maximum() -> None:
    tenths = events(13, 40, 125, 150, 190, 240, 260, 340)
    assert spans(session(tenths, 50, 100)) == [(13, 90, 2), (125, 300, 5), (340, 390, 1)]


def test_the_twelve_events_are_dropped_and_adjusted_as_documented() -> None:
    minutes = {1: 7, 2: 8, 4: 8, 5: 19, 6: 17, 7: 17, 8: 20, 9: 18, 10: 23, 11: 22, 12: 22}
    assert taken_at(ADJUSTING) == minutes
    assert taken_at(replace(ADJUSTING, early=False)) == minutes | {3: 17, 4: 15}


def taken_at(policies: Policies) -> dict[int, int]:
    log = [
        event(number, key, us * MINUTE, arrival_us * MINUTE)
        for number, (us, arrival_us, key) in enumerate(TWELVE, 1)
    ]
    return {each.number: us // MINUTE for each, us in system_times(log, policies)}
