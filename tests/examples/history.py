"""Makes the purchase history of the example: python tests/examples/history.py > history.txt."""

from __future__ import annotations

import datetime
import random

HEADER = "# date | shop | brand | product | category | price | discount in percent"
START = datetime.date(2023, 1, 4)
DAYS = 1040
# Bought again about every so many days: what, price at the beginning, rise in price a time.
HABITS = [
    ("Apple", "iPhone", "phone", 410, 879, 40),
    ("Apple", "AirPods", "audio", 330, 229, 15),
    ("Apple", "Watch", "watch", 520, 429, 20),
    ("Apple", "MacBook Air", "computer", 900, 1199, 100),
    ("Apple", "iCloud storage", "service", 91, 9, 0),
    ("Apple", "USB-C cable", "accessory", 150, 25, 0),
    ("Apple", "phone case", "accessory", 240, 55, 0),
    ("Sony", "headphones", "audio", 700, 299, 20),
    ("Samsung", "monitor", "computer", 800, 389, 0),
    ("Logitech", "keyboard", "accessory", 450, 89, 5),
    ("Anker", "charger", "accessory", 190, 39, 0),
    ("Kindle", "e-book", "book", 24, 11, 0),
    ("Penguin", "paperback", "book", 38, 14, 0),
    ("Bialetti", "coffee maker", "household", 600, 35, 2),
    ("Lavazza", "coffee beans", "grocery", 17, 16, 0),
    ("Decathlon", "running shoes", "sport", 230, 79, 4),
]


def lines() -> list[str]:
    """The history, the same on every machine."""
    chance = random.Random(20230104)
    bought: list[tuple[datetime.date, str]] = []
    for brand, product, category, interval, price, rise in HABITS:
        day, asked = chance.random() * interval, float(price)
        while day < DAYS:
            date = START + datetime.timedelta(days=int(day))
            festive = date.month in (11, 12)
            discount = int(chance.random() * 4) * 5 if festive else 10 * (chance.random() < 0.15)
            shop = "online" if chance.random() < 0.7 else "store"
            paid = asked * (100 - discount) / 100
            bought.append(
                (date, f"{date} | {shop} | {brand} | {product} | {category} | {paid:.2f} | {discount}")
            )
            day += interval * (0.8 + 0.4 * chance.random())
            asked += rise
    return [HEADER, *(line for _, line in sorted(bought))]


if __name__ == "__main__":
    print("\n".join(lines()))
