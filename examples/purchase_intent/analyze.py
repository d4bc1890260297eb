"""Analysis of a purchase history: python analyze.py history.txt [BRAND]."""

from __future__ import annotations

import datetime
import itertools
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, quantiles

FOLDER = Path(__file__).resolve().parent
RESAMPLES = 30_000
DURABLE = ("phone", "computer", "watch", "audio")


@dataclass(frozen=True)
class Purchase:
    """One line of the history."""

    date: datetime.date
    shop: str
    brand: str
    product: str
    category: str
    paid: float
    discount: int


def read(name: str) -> list[Purchase]:
    """The purchases in a file next to this script, oldest first."""
    path = (FOLDER / name).resolve()
    if path.parent != FOLDER or not path.is_file():
        raise SystemExit(
            f"{name}: there is no such history; there are {', '.join(p.name for p in FOLDER.glob('*.txt'))}"
        )
    purchases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            date, shop, brand, product, category, paid, discount = (part.strip() for part in line.split("|"))
            day = datetime.date.fromisoformat(date)
            purchases.append(Purchase(day, shop, brand, product, category, float(paid), int(discount)))
        except ValueError as error:
            raise SystemExit(f"{name}, line {number}: {error}") from None
    if not purchases:
        raise SystemExit(f"{name}: the history is empty")
    return sorted(purchases, key=lambda purchase: purchase.date)


def share(purchases: list[Purchase], brand: str) -> float:
    """The brand's part of the money."""
    total = sum(purchase.paid for purchase in purchases)
    return sum(purchase.paid for purchase in purchases if purchase.brand == brand) / total if total else 0.0


def share_between(purchases: list[Purchase], brand: str) -> tuple[float, float]:
    """The limits between which the share lies in 90 of 100 resampled histories (a bootstrap)."""
    chance = random.Random(1)
    paid = [(purchase.paid, purchase.paid * (purchase.brand == brand)) for purchase in purchases]
    shares = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(paid, k=len(paid))
        shares.append(sum(own for _, own in drawn) / sum(any_brand for any_brand, _ in drawn))
    cuts = quantiles(shares, n=20)
    return cuts[0], cuts[-1]


def by_half_year(purchases: list[Purchase]) -> dict[str, float]:
    """The money spent in each half-year."""
    spent: dict[str, float] = defaultdict(float)
    for purchase in purchases:
        spent[f"{purchase.date.year}/{1 if purchase.date.month <= 6 else 2}"] += purchase.paid
    return dict(spent)


def due(purchases: list[Purchase], today: datetime.date) -> list[tuple[str, int, int]]:
    """Products bought at least twice: their name, the median interval, and the days since the last."""
    dates: dict[str, list[datetime.date]] = defaultdict(list)
    for purchase in purchases:
        if purchase.category in DURABLE:
            dates[purchase.product].append(purchase.date)
    known = []
    for product, days in dates.items():
        if len(days) > 1:
            interval = median((after - before).days for before, after in itertools.pairwise(days))
            known.append((product, round(interval), (today - days[-1]).days))
    return sorted(known, key=lambda item: item[1] - item[2])


def report(purchases: list[Purchase], brand: str = "Apple") -> str:
    """The analysis as text, a dozen lines."""
    own = [purchase for purchase in purchases if purchase.brand == brand]
    if not own:
        raise SystemExit(f"{brand}: nothing of this brand was bought")
    first, today = purchases[0].date, purchases[-1].date
    low, high = share_between(purchases, brand)
    spent = Counter(dict.fromkeys((purchase.brand for purchase in purchases), 0.0))
    for purchase in purchases:
        spent[purchase.brand] += purchase.paid
    categories = Counter(purchase.category for purchase in own)
    online = fmean(purchase.shop == "online" for purchase in purchases)
    cheaper = fmean(purchase.discount > 0 for purchase in own)
    dearest = max(own, key=lambda purchase: purchase.paid)
    last = own[-1]
    halves = ", ".join(f"{half} {money:.0f}" for half, money in by_half_year(own).items())
    lines = [
        f"Purchase history: {len(purchases)} purchases from {first} to {today}",
        f"Spent: {spent.total():.0f} in total, {median(p.paid for p in purchases):.0f} a purchase (median)",
        "Brands by money: " + ", ".join(f"{name} {money:.0f}" for name, money in spent.most_common(5)),
        f"{brand}: {len(own)} purchases, {share(purchases, brand):.0%} of the money "
        f"(90% interval {low:.0%}-{high:.0%})",
        f"{brand} by half-year: {halves}",
        f"{brand} by category: " + ", ".join(f"{name} {count}" for name, count in categories.most_common()),
        f"Dearest: {dearest.product} for {dearest.paid:.0f} on {dearest.date}",
        f"Last {brand} purchase: {last.product}, {(today - last.date).days} days ago",
        f"Bought online: {online:.0%}; {brand} bought at a discount: {cheaper:.0%}",
    ]
    for product, interval, since in due(own, today):
        when = (
            f"due in {interval - since} days" if since < interval else f"overdue by {since - interval} days"
        )
        lines.append(f"{product}: bought every {interval} days, {when}")
    return "\n".join(lines)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit("usage: python analyze.py history.txt [BRAND]")
    print(report(read(sys.argv[1]), *sys.argv[2:]))
