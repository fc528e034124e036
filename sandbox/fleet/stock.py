"""What a machine sells: slots, coins, and the counters since boot."""

import random
from dataclasses import dataclass, field

from streaming.contracts import Slot

_CAPACITY = 12
_PRICES = (150, 180, 200, 250, 320)
_TUBE_CAPACITY = 60
_FAILED_SHARE = 0.02


@dataclass(slots=True)
class Stock:
    """Slots by number, coin tubes by denomination, the cash box, and the vend counters."""

    slots: list[Slot]
    coin_tubes: dict[str, int] = field(default_factory=dict)
    cashbox_pct: float = 0.0
    vends_ok: int = 0
    vends_failed: int = 0

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
        if rng.random() < _FAILED_SHARE:
            self.vends_failed += 1
            return
        number = rng.randrange(len(self.slots))
        slot = self.slots[number]
        if slot.qty == 0:
            return
        self.slots[number] = Slot(
            slot=slot.slot, qty=slot.qty - 1, capacity=slot.capacity, price_minor=slot.price_minor
        )
        self.vends_ok += 1
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
