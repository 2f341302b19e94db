"""A made-up day in the shop: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from .order import AddItem, Cancel, Deliver, Open, Pay, Place, RemoveItem, Ship
from .plan import Answer, Moment, Send, Story

PRICES = {
    "apron": "19.90",
    "biscuits": "3.45",
    "coffee beans": "11.80",
    "filter papers": "2.20",
    "green tea": "6.90",
    "honey": "5.75",
    "kettle": "39.00",
    "milk jug": "14.50",
    "mug": "8.95",
    "oolong tea": "9.40",
    "sugar": "1.35",
    "tea pot": "27.00",
    "tea strainer": "4.10",
    "thermometer": "12.60",
    "tray": "21.30",
}
NAMES = ("Ada", "Bela", "Chidi", "Dora", "Emre", "Fatou", "Goran", "Hana", "Ines", "Jun", "Kofi", "Lena", "Mira")
REASONS = ("ordered twice", "found it cheaper", "takes too long", "changed my mind")

LAST_PICKUP = time(17, 30)
"""Until then the carrier takes parcels along."""


def make_day(orders: int, seed: int, day: date) -> list[Story]:
    """Return the stories of a day's orders.

    Args:
        orders: How many.
        seed: The same seed gives the same day.
        day: Which day it is.
    """
    chance = random.Random(seed)
    width = max(5, len(str(orders)))
    opened = sorted(chance.triangular(7, 21, 11.5) for _ in range(orders))
    midnight = datetime.combine(day, time(), UTC)
    begins = [midnight + timedelta(hours=hour) for hour in opened]
    return [_Visit(chance, f"order-{number:0{width}}", begin).live() for number, begin in enumerate(begins, 1)]


class _Visit:
    """Makes up one order's day, and keeps the books of what must come of it."""

    def __init__(self, chance: random.Random, id: str, begin: datetime) -> None:
        self._chance = chance
        self._id = id
        self._now = begin
        self._basket: dict[str, tuple[int, Decimal]] = {}
        self._moments: list[Moment] = []
        self._state = "Basket"

    def live(self) -> Story:
        self._open()
        self._shop()
        if self._state == "Basket" and not self._happens(0.06):
            self._place()
        if self._state == "Placed" and not self._happens(0.04):
            self._pay()
        if self._state == "Paid":
            self._ship()
        if self._state == "Shipped" and self._happens(0.25):
            self._deliver()
        return Story(self._id, tuple(self._moments), self._state)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        customer = f"{self._chance.choice(NAMES)} {self._chance.randrange(1000, 10000)}"
        self._send(Open(customer=customer), key="open", twice=0.05)

    def _shop(self) -> None:
        if self._happens(0.03):
            self._refused(Send(Place(), "web"))
        for _ in range(self._chance.choices((1, 2, 3, 4, 6), (20, 35, 25, 15, 5))[0]):
            self._choose()
        if self._happens(0.05):
            self._change_mind()
        if self._happens(0.03):
            self._cancel("web")

    def _choose(self) -> None:
        roll = self._chance.random()
        item = self._item()
        if roll < 0.02:
            self._refused(Send({"type": "AddItem", "payload": {"article": item.article, "unit_price": "?"}}, "app"))
        if roll < 0.08:
            # Clicked twice: both clicks have seen the same version, so that only one of them counts.
            self._at_once([Send(item, "web", behind=0)] * 2, "accepted", "conflict")
            self._count(item)
        elif roll < 0.16:
            # Two people share a basket: nobody says which version was seen, and both articles are in it.
            other = self._item()
            self._at_once([Send(item, "web"), Send(other, "app")], "accepted", "accepted")
            self._count(item, other)
        else:
            self._at_once([Send(item, "web")], "accepted")
            self._count(item)

    def _change_mind(self) -> None:
        article = self._chance.choice(sorted(PRICES))
        if article in self._basket and len(self._basket) > 1:
            self._at_once([Send(RemoveItem(article=article), "web")], "accepted")
            del self._basket[article]
        elif article not in self._basket:
            self._refused(Send(RemoveItem(article=article), "web"))

    def _place(self) -> None:
        self._send(Place(), key="place", twice=0.05)
        self._state = "Placed"
        if self._happens(0.03):
            self._cancel("phone")

    def _pay(self) -> None:
        total = sum((quantity * price for quantity, price in self._basket.values()), Decimal(0))
        payment = f"pay-{self._chance.getrandbits(40):010x}"
        if self._happens(0.04):
            self._refused(Send(Pay(payment=payment, amount=total - 1), "payments"))
        # The provider reports until it gets an answer, so that some reports come twice.
        self._send(Pay(payment=payment, amount=total), key=payment, twice=0.12, channel="payments")
        self._state = "Paid"
        if self._happens(0.02):
            self._cancel("phone")

    def _ship(self) -> None:
        self._wait(45, 240)
        if self._now.time() > LAST_PICKUP or self._happens(0.1):
            return
        ship = Ship(parcel=f"P{self._chance.randrange(10**8):08}")
        if self._happens(0.04):
            # The warehouse works from a list that was printed before the payment came in.
            self._at_once([Send(ship, "warehouse", behind=1)], "conflict")
        self._at_once([Send(ship, "warehouse", behind=0)], "accepted")
        self._state = "Shipped"
        if self._happens(0.04):
            self._refused(Send(Cancel(reason=self._chance.choice(REASONS)), "phone"))

    def _deliver(self) -> None:
        self._wait(30, 120)
        self._send(Deliver(), key="delivered", twice=0.08, channel="carrier")
        self._state = "Delivered"

    def _cancel(self, channel: str) -> None:
        self._at_once([Send(Cancel(reason=self._chance.choice(REASONS)), channel)], "accepted")
        self._state = "Cancelled"

    # --- parts -----------------------------------------------------------------------------------------------------

    def _send(self, command: Open | Place | Pay | Deliver, *, key: str, twice: float, channel: str = "web") -> None:
        """Send a command, sometimes twice at once: the second is answered with the first one's result."""
        send = Send(command, channel, key=key)
        if self._happens(twice):
            self._at_once([send, send], "accepted", "replayed")
        else:
            self._at_once([send], "accepted")

    def _refused(self, send: Send) -> None:
        self._at_once([send], "refused")

    def _at_once(self, sends: Sequence[Send], *answers: Answer) -> None:
        self._moments.append(Moment.of(self._now, sends, *answers))
        self._wait(0.1, 4)

    def _wait(self, least: float, most: float) -> None:
        self._now += timedelta(minutes=self._chance.uniform(least, most))

    def _happens(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _item(self) -> AddItem:
        article, quantity = self._chance.choice(tuple(PRICES)), self._chance.choice((1, 1, 1, 2, 3))
        return AddItem(article=article, unit_price=Decimal(PRICES[article]), quantity=quantity)

    def _count(self, *items: AddItem) -> None:
        for item in items:
            quantity, _ = self._basket.get(item.article, (0, item.unit_price))
            self._basket[item.article] = (quantity + item.quantity, item.unit_price)
