"""What a machine sells: slots, coins, and the counters since boot."""

import random
from dataclasses import dataclass, field

from streaming.contracts import Slot

_CAPACITY = 12
_PRICES = (150, 180, 200, 250, 320)
_TUBE_CAPACITY = 60
_FAILED_SHARE = 0.02
_FINE_BETWEEN_FAILURES = 16
"""More than a quarter of an hour sells: two failures in one might be what rule 7 is to find."""


@dataclass(slots=True)
class Stock:
    """Slots by number, coin tubes by denomination, the cash box, and the vend counters."""

    slots: list[Slot]
    coin_tubes: dict[str, int] = field(default_factory=dict)
    cashbox_pct: float = 0.0
    vends_ok: int = 0
    vends_failed: int = 0
    _fine_since_failure: int = _FINE_BETWEEN_FAILURES

    @classmethod
    def filled(cls, rng: random.Random) -> "Stock":
        """Returns a machine as it is some days after a refill."""
        return cls(
            slots=[
                Slot(
                    slot=f"{row}{column}",
                    qty=rng.randint(3, _CAPACITY),
                    capacity=_CAPACITY,
                    price_minor=rng.choice(_PRICES),
                )
                for row in "AB"
                for column in range(1, 4)
            ],
            coin_tubes={coin: rng.randint(15, 45) for coin in ("10", "20", "50", "100")},
            cashbox_pct=rng.uniform(5, 50),
        )

    def vend(self, rng: random.Random) -> None:
        """Sells one item, or fails to."""
        failed = rng.random() < _FAILED_SHARE
        if failed and self._fine_since_failure >= _FINE_BETWEEN_FAILURES:
            self._fine_since_failure = 0
            self.vends_failed += 1
            return
        number = rng.randrange(len(self.slots))
        if self.slots[number].qty:
            self._hand_out(number, rng)

    def sell(self, rng: random.Random, *, failed: bool) -> None:
        """Sells one item, or fails to, as planned; somebody refills in time."""
        if failed:
            self.vends_failed += 1
            return
        if self.needs_refill():
            self.refill()
        self._hand_out(rng.randrange(len(self.slots)), rng)

    def _hand_out(self, number: int, rng: random.Random) -> None:
        slot = self.slots[number]
        self.slots[number] = Slot(
            slot=slot.slot, qty=slot.qty - 1, capacity=slot.capacity, price_minor=slot.price_minor
        )
        self.vends_ok += 1
        self._fine_since_failure += 1
        coin = rng.choice(tuple(self.coin_tubes))
        change = rng.choice((-1, 1))
        self.coin_tubes[coin] = min(_TUBE_CAPACITY, max(0, self.coin_tubes[coin] + change))
        self.cashbox_pct = min(100.0, self.cashbox_pct + 0.1)

    def needs_refill(self) -> bool:
        """Says whether somebody ought to come by."""
        return min(slot.qty for slot in self.slots) == 0

    def refill(self) -> None:
        """Fills all slots and empties the cash box."""
        self.slots = [
            Slot(slot=s.slot, qty=s.capacity, capacity=s.capacity, price_minor=s.price_minor)
            for s in self.slots
        ]
        self.coin_tubes = dict.fromkeys(self.coin_tubes, 30)
        self.cashbox_pct = 2.0

    def reboot(self) -> None:
        """Loses the counters, as a boot does."""
        self.vends_ok = self.vends_failed = 0
