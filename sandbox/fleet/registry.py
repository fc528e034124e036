"""The fleet's registry: models, sites and machines, as they follow from the seed."""

from dataclasses import dataclass
from datetime import timedelta
from math import pi, sin
from zoneinfo import ZoneInfo

from sandbox.fleet.config import FleetConfig
from sandbox.fleet.instants import HOUR, MINUTE, SECOND, to_datetime
from sandbox.fleet.randomness import generator
from sandbox.fleet.script import Script

DEVICES_PER_SITE = 10
BEAT_INTERVAL = MINUTE
SECOND_BEAT = 10 * SECOND
"""A machine that comes up beats at once, again after this, and from then on every interval."""

NEVER_REGISTERED = "VM-999999"
"""A machine that sends and that no registry knows."""


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of machine. `set_point_c` is None where nothing cools; `band_c` is the hysteresis."""

    name: str
    max_cabinet_c: float | None
    set_point_c: float | None
    band_c: float
    above_ambient_c: float = 0.0


MODELS = (
    Model("COLD-300", max_cabinet_c=8.0, set_point_c=4.0, band_c=1.0),
    Model("FRESH-100", max_cabinet_c=5.0, set_point_c=2.0, band_c=0.7),
    Model("SNACK-200", max_cabinet_c=35.0, set_point_c=None, band_c=0.0, above_ambient_c=1.5),
    Model("COFFEE-50", max_cabinet_c=None, set_point_c=None, band_c=0.0, above_ambient_c=9.0),
)
# Seven in ten cool: the scenes of cabinets need twelve of those in the smallest fleet.
_MODEL_CYCLE = (0, 1, 0, 2, 1, 0, 3, 1, 0, 2)

_PLACES = (
    ("Berlin", "Europe/Berlin", "EUR"),
    ("Lisboa", "Europe/Lisbon", "EUR"),
    ("London", "Europe/London", "GBP"),
    ("Chicago", "America/Chicago", "USD"),
    ("Tokyo", "Asia/Tokyo", "JPY"),
    ("Sydney", "Australia/Sydney", "AUD"),
)
_VENUES = ("Central Station", "Airport", "University", "Hospital", "Harbour", "Exhibition Hall")
_OPENING_HOURS = ((6, 22), (5, 23), (7, 20), (0, 24))


@dataclass(frozen=True, slots=True)
class Site:
    """A place with its own clock, hours and gateway."""

    site_id: str
    name: str
    timezone: str
    utc_offset: int
    opens: int
    closes: int
    gateway: str
    gateway_skew: int
    ambient_c: float
    currency: str

    def hour(self, instant: int) -> float:
        """Returns the local time of day in hours."""
        return (instant + self.utc_offset) % (24 * HOUR) / HOUR

    def ambient(self, instant: int) -> float:
        """Returns the temperature around the machines; it is warmest at three in the afternoon."""
        return self.ambient_c + 2.5 * sin(2 * pi * (self.hour(instant) - 9) / 24)

    def is_open(self, instant: int) -> bool:
        """Says whether people are about."""
        return self.opens <= self.hour(instant) < self.closes


@dataclass(frozen=True, slots=True)
class Device:
    """A machine in the registry.

    Attributes:
        commissioned: When it is registered and switched on; its beats keep step with this instant.
        decommissioned: When it leaves the registry; None while it stays.
        skew: How far its clock is ahead of true time, ms.
        sample_offset: How long after a boot it takes its first sample, ms.
        script: Its part in the schedule; None lets it live an ordinary life.
    """

    device_id: str
    site: Site
    model: Model
    commissioned: int
    skew: int
    sample_offset: int
    fw: str
    decommissioned: int | None = None
    script: Script | None = None


def build_sites(config: FleetConfig) -> list[Site]:
    """Returns the sites, about one for ten machines."""
    rng = generator(config.seed, "sites")
    sites = []
    for number in range(1, max(1, config.devices // DEVICES_PER_SITE) + 1):
        place, timezone, currency = rng.choice(_PLACES)
        opens, closes = rng.choice(_OPENING_HOURS)
        offset = to_datetime(config.begin_ms).astimezone(ZoneInfo(timezone)).utcoffset()
        sites.append(
            Site(
                site_id=f"SITE-{number:04d}",
                name=f"{place} {rng.choice(_VENUES)} {number}",
                timezone=timezone,
                utc_offset=(offset or timedelta(0)) // timedelta(milliseconds=1),
                opens=opens,
                closes=closes,
                gateway=f"GW-{number:04d}",
                gateway_skew=rng.randint(-400, 400),
                ambient_c=22 + rng.uniform(-1.5, 1.5),
                currency=currency,
            )
        )
    return sites


def build_devices(config: FleetConfig, sites: list[Site]) -> list[Device]:
    """Returns the machines, spread evenly over the sites.

    They are commissioned within the first minute of history: rule 2 counts from commissioning, so
    an older machine of which no beat is on record would rightly have been missing all that time.
    """
    rng = generator(config.seed, "devices")
    return [
        Device(
            device_id=f"VM-{number:06d}",
            site=sites[number % len(sites)],
            model=MODELS[_MODEL_CYCLE[number // len(sites) % len(_MODEL_CYCLE)]],
            commissioned=config.begin_ms + rng.randrange(MINUTE),
            skew=rng.randint(-1_500, 1_500),
            sample_offset=rng.randrange(15 * SECOND, 55 * SECOND),
            fw=rng.choice(("3.8.2", "4.0.1", "4.1.0")),
        )
        for number in range(config.devices)
    ]
