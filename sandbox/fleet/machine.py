"""One vending machine: from its life, or its script, to its records as they arrive."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import count
from typing import Any, NamedTuple

from msgspec.structs import replace

from sandbox.fleet.cabinet import Cabinet
from sandbox.fleet.instants import MINUTE, SECOND, WINDOW, Span, to_datetime
from sandbox.fleet.life import Life
from sandbox.fleet.malformed import kind_of, malform
from sandbox.fleet.randomness import generator
from sandbox.fleet.records import Record, encode, uuid7
from sandbox.fleet.registry import BEAT_INTERVAL, SECOND_BEAT, Device
from sandbox.fleet.script import Cycling, Drift, PlannedAlert, Ramp, Script
from sandbox.fleet.stock import Stock
from sandbox.fleet.voltage import supply, voltage
from streaming.contracts import Alert, Envelope, Heartbeat, Telemetry

_SAMPLE_INTERVAL = MINUTE
_NETWORK_DELAY = (50, 800)
_SPOOL_DRAIN = 20
"""Milliseconds between two records that are sent from the spool."""

_DUPLICATES = 0.003
_NO_GATEWAY_CLOCK = 0.005
_CASHLESS_BLIP = 0.002
_VENDS_PER_MINUTE = {True: 0.3, False: 0.03}
_RECORDS_BETWEEN_MALFORMED = (45, 58)
_REFILL_SAMPLES = 2

_SPARSE = Span(1, 2 * MINUTE + 1)
_DIP = Span(105 * SECOND, 195 * SECOND)
_DIP_C = 0.3
_NOISE_C = 0.1

_SEVERITY = {"DOOR_FORCED": 2, "MOTOR_FAULT": 3, "TEMP_SENSOR": 3}
_DEFAULT_SEVERITY = 4


class _Beat(NamedTuple):
    at: int


class _Sample(NamedTuple):
    at: int


_Happening = _Beat | _Sample | PlannedAlert


def _at(happening: _Happening) -> int:
    return happening.at


class Machine:
    """Plays one device.

    Args:
        device: The machine. Without a script it lives an ordinary life.
        seed: The run's seed; each machine draws from generators of its own.
        rank: Its number among the machines that also send malformed records; None for others.
    """

    def __init__(self, device: Device, seed: int, rank: int | None = None) -> None:
        self._device = device
        self._rank = rank
        self._script = device.script or Script()
        self._life = Life(generator(seed, device.device_id, "life"), device)
        self._rng = rng = generator(seed, device.device_id)
        self._cabinet = Cabinet.settled(
            device.model, device.site.ambient_c, device.commissioned, rng
        )
        self._stock = Stock.filled(rng)
        self._supply = supply(seed, device.device_id, device.site.site_id, device.site.utc_offset)
        self._key = device.device_id.encode()
        self._ip = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(2, 255)}"
        self._booted = device.commissioned
        self._boot_id = ""
        self._seq = 0
        self._refill_left = 0
        self._sold = 0
        self._spool: list[Envelope] = []
        self._link_back = 0
        self._last_arrival = 0
        self._until_malformed = rng.randint(*_RECORDS_BETWEEN_MALFORMED)
        self._malformed = 0

    def records(self) -> Iterator[Record]:
        """Yields the machine's records in the order of their arrival, in general without end."""
        for up in self._life.power():
            self._boot(up.start)
            streams: tuple[Iterable[_Happening], ...] = (
                self._beats(up),
                self._samples(up),
                self._life.alerts(up),
            )
            for happening in merge(*streams, key=_at):
                if happening.at >= up.end:
                    break
                yield from self._happen(happening)

    def _boot(self, at: int) -> None:
        self._booted = at
        self._boot_id = uuid7(at, self._rng)
        self._seq = 0
        self._stock.reboot()

    def _beats(self, up: Span) -> Iterator[_Beat]:
        yield _Beat(up.start)
        at = up.start + SECOND_BEAT
        while at < up.end:
            if (hang := next((span for span in self._script.beatless if at in span), None)) is None:
                yield _Beat(at)
                at += BEAT_INTERVAL
            else:
                at += -(-(hang.end - at) // BEAT_INTERVAL) * BEAT_INTERVAL

    def _samples(self, up: Span) -> Iterator[_Sample]:
        for at in count(up.start + self._device.sample_offset, _SAMPLE_INTERVAL):
            yield _Sample(at)

    def _happen(self, happening: _Happening) -> Iterator[Record]:
        match happening:
            case _Beat(at):
                yield from self._send(at, self._heartbeat(at))
            case _Sample(at):
                ambient, door_open = self._live_on(at)
                into_window = (at + self._device.skew) % WINDOW
                sparse = any(at in span for span in self._script.sparse)
                if not sparse or into_window in _SPARSE:
                    yield from self._send(at, self._telemetry(at, ambient, door_open))
            case PlannedAlert(at=at):
                yield from self._send(at, self._alert(happening), happening.copies)

    def _envelope(self, at: int, event_type: str) -> dict[str, Any]:
        self._seq += 1
        device_clock = at + self._device.skew
        return {
            "event_id": uuid7(device_clock, self._rng),
            "schema_version": "1.0",
            "event_type": event_type,
            "device_id": self._device.device_id,
            "site_id": self._device.site.site_id,
            "seq": self._seq,
            "boot_id": self._boot_id,
            "event_ts": to_datetime(device_clock),
            "fw": self._device.fw,
            "model": self._device.model.name,
        }

    def _heartbeat(self, at: int) -> Heartbeat:
        return Heartbeat(
            **self._envelope(at, "heartbeat"),
            interval_s=BEAT_INTERVAL // SECOND,
            status="ok",
            uptime_s=(at - self._booted) // SECOND,
            ip=self._ip,
            rssi_dbm=self._rng.randint(-80, -55),
            spool_depth=len(self._spool),
            clock_offset_ms=self._device.skew,
        )

    def _alert(self, planned: PlannedAlert) -> Alert:
        envelope = self._envelope(planned.at, "alert")
        return Alert(
            **envelope,
            alert_id=f"AL-{envelope['event_id'][-12:]}",
            code=planned.code,
            component=planned.component,
            state="raised" if planned.raised else "cleared",
            severity=_SEVERITY.get(planned.code, _DEFAULT_SEVERITY),
            message=f"{planned.code} at {planned.component}",
            attrs={"retries": self._rng.randrange(4)},
        )

    def _live_on(self, at: int) -> tuple[float, bool]:
        """Brings the machine to the instant; returns the ambient temperature and the door."""
        site = self._device.site
        script = self._script
        ambient = site.ambient(at)
        door_open = self._door_open(at)
        forces: tuple[Drift | Ramp | Cycling, ...] = (
            *script.drifts,
            *script.ramps,
            *script.cyclings,
        )
        force = next((force for force in forces if at in force.span), None)
        self._cabinet.advance(at, ambient, door_open, force)
        if script.sales:
            while self._sold < len(script.sales) and script.sales[self._sold].at <= at:
                self._stock.sell(self._rng, failed=script.sales[self._sold].failed)
                self._sold += 1
        elif self._rng.random() < _VENDS_PER_MINUTE[site.is_open(at)] and not door_open:
            self._stock.vend(self._rng)
        return ambient, door_open

    def _telemetry(self, at: int, ambient: float, door_open: bool) -> Telemetry:
        rng, stock, cabinet = self._rng, self._stock, self._cabinet
        cools = self._device.model.set_point_c is not None
        running = cabinet.compressor_on
        volts = voltage(self._supply, at, self._script.disturbances)
        current = 2.4 + rng.uniform(-0.1, 0.1) if running else 0.0
        return Telemetry(
            **self._envelope(at, "telemetry"),
            cabinet_temp_c=self._reading(at),
            ambient_temp_c=round(ambient + rng.uniform(-_NOISE_C, _NOISE_C), 1),
            evaporator_temp_c=round(cabinet.temp_c - (9 if running else 1), 1) if cools else None,
            humidity_pct=round(45 + rng.uniform(-5, 5), 1),
            compressor_on=running if cools else None,
            compressor_current_a=round(current, 2) if cools else None,
            supply_voltage_v=volts,
            power_w=round(60 + volts * current, 1),
            door_open=door_open,
            rssi_dbm=rng.randint(-80, -55),
            vends_ok_total=stock.vends_ok,
            vends_failed_total=stock.vends_failed,
            cashbox_pct=round(stock.cashbox_pct, 1),
            coin_tubes=dict(stock.coin_tubes),
            cashless_online=self._cashless_online(at),
            slots=list(stock.slots),
            currency=self._device.site.currency,
        )

    def _reading(self, at: int) -> float | None:
        if self._script.sensorless:
            return None
        noise_c = 0 if self._script.exact else self._rng.uniform(-_NOISE_C, _NOISE_C)
        reading = round(self._cabinet.temp_c + noise_c, 1)
        limit = self._device.model.max_cabinet_c
        dips = any(at in span for span in self._script.dips)
        if limit is not None and dips and (at + self._device.skew) % WINDOW in _DIP:
            return min(reading, limit - _DIP_C)
        return reading

    def _cashless_online(self, at: int) -> bool:
        if down := self._script.cashless_down:
            return not any(at in span for span in down)
        return self._rng.random() >= _CASHLESS_BLIP

    def _door_open(self, at: int) -> bool:
        if any(at in span for span in self._script.doors):
            return at // MINUTE % 4 != 0
        if any(at in span for span in self._script.open_doors):
            return True
        if self._refill_left:
            self._refill_left -= 1
            if not self._refill_left:
                self._stock.refill()
            return True
        if self._device.script is None and self._stock.needs_refill():
            self._refill_left = _REFILL_SAMPLES if self._device.site.is_open(at) else 0
        return False

    def _send(self, at: int, event: Envelope, copies: int = 1) -> Iterator[Record]:
        if (loss := self._life.uplink_loss(at)) is not None:
            self._link_back = loss.end
            self._spool += [replace(event, spooled=True)] * copies
            return
        if self._spool:
            drained, self._spool = self._spool, []
            since = max(self._link_back, self._booted)
            for number, spooled in enumerate(drained):
                yield self._deliver(spooled, since + (number + 1) * _SPOOL_DRAIN)
        if self._rng.random() < _DUPLICATES:
            copies += 1
        record = self._deliver(event, at + self._rng.randint(*_NETWORK_DELAY))
        yield record
        for _ in range(copies - 1):
            yield self._after(record)
        if self._rank is not None:
            yield from self._malformed_beside(record, self._rank)

    def _deliver(self, event: Envelope, arrival: int) -> Record:
        arrival = self._last_arrival = max(arrival, self._last_arrival + 1)
        timestamp = arrival + self._device.site.gateway_skew
        if event.spooled or self._rng.random() >= _NO_GATEWAY_CLOCK:
            event = replace(event, gateway_ts=to_datetime(timestamp))
        return Record(arrival, event.topic, self._key, encode(event), timestamp)

    def _after(self, record: Record) -> Record:
        """Returns the record once more, a little later."""
        later = self._rng.randint(1, 200)
        self._last_arrival += later
        return record._replace(
            arrival=self._last_arrival,
            timestamp=self._last_arrival + self._device.site.gateway_skew,
        )

    def _malformed_beside(self, good: Record, rank: int) -> Iterator[Record]:
        self._until_malformed -= 1
        if self._until_malformed:
            return
        kind = kind_of(rank, self._malformed)
        yield malform(self._after(good), kind, self._rng)
        self._malformed += 1
        self._until_malformed = self._rng.randint(*_RECORDS_BETWEEN_MALFORMED)
