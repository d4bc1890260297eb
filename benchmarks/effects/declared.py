"""What the published systems' methods touch, as we read their code: a default for each class, and what says less.

A name is a part of one system's state, as in ``{self}/fuel``; a method that isn't here
touches the whole system. Where a method shows or makes something whose number is not known
before, as the next order's, the part is the list of all of them (``orders``), beside the
single ones (``order/{order_id}``). A random number is drawn from a state too (``random``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmorch import function, stateful

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE: Mapping[str, Any] = {"effects": "none"}


def reads(*parts: str, writes: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Parts of the system that a method reads, and those that it writes."""
    return {
        "reads": [f"{{self}}/{part}" for part in parts],
        "writes": [f"{{self}}/{part}" for part in writes],
    }


_FILE = reads("folder", "name/{file_name}", "text/{file_name}")

# Every path is relative to the current folder, so whatever changes that orders all. ``name``
# is whether and as what something is there, ``text`` what is in it, and ``order`` in which
# order new things come in a listing.
_FILE_SYSTEM = {
    "pwd": reads("folder"),
    "ls": reads("folder", "name/*"),
    "cd": reads("name/{folder}", writes=("folder",)),
    "mkdir": reads("folder", writes=("name/{dir_name}", "order")),
    "touch": reads("folder", writes=("name/{file_name}", "text/{file_name}", "order")),
    "echo": reads("folder", "name/{file_name}", writes=("text/{file_name}",)),
    "cat": _FILE,
    "wc": _FILE,
    "sort": _FILE,
    "grep": _FILE,
    "tail": _FILE,
    "diff": reads(
        "folder", "name/{file_name1}", "text/{file_name1}", "name/{file_name2}", "text/{file_name2}"
    ),
    "find": reads("folder", "name/*"),
    "du": reads("folder", "name/*", "text/*"),
    "mv": reads(
        "folder",
        writes=("name/{source}", "text/{source}", "name/{destination}", "text/{destination}", "order"),
    ),
    "cp": reads(
        "folder",
        "name/{source}",
        "text/{source}",
        writes=("name/{destination}", "text/{destination}", "order"),
    ),
    "rm": reads("folder", writes=("name/{file_name}", "text/{file_name}")),
    "rmdir": reads("folder", writes=("name/{dir_name}",)),
}

# ``logarithm`` and ``square_root`` set the precision of the library that they compute with.
_MATH = dict.fromkeys(
    (
        "absolute_value",
        "add",
        "divide",
        "imperial_si_conversion",
        "max_value",
        "mean",
        "min_value",
        "multiply",
        "percentage",
        "power",
        "round_number",
        "si_unit_conversion",
        "standard_deviation",
        "subtract",
        "sum_values",
    ),
    NONE,
)

_MESSAGES = {
    "list_users": reads("users"),
    "get_user_id": reads("users"),
    "message_login": reads("users", writes=("login",)),
    "message_get_login_status": reads("login"),
    "send_message": reads("login", "users", writes=("inbox", "random")),
    "delete_message": reads("login", writes=("inbox",)),
    "view_messages_sent": reads("login", "inbox"),
    "add_contact": reads(writes=("users",)),
    "search_messages": reads("login", "inbox"),
    "get_message_stats": reads("login", "inbox"),
}

_TICKETS = {
    "create_ticket": reads("login", writes=("tickets",)),
    "get_ticket": reads("tickets", "ticket/{ticket_id}"),
    "close_ticket": reads("tickets", writes=("ticket/{ticket_id}",)),
    "resolve_ticket": reads("tickets", writes=("ticket/{ticket_id}",)),
    "edit_ticket": reads("tickets", writes=("ticket/{ticket_id}",)),
    "ticket_login": reads(writes=("login",)),
    "ticket_get_login_status": reads("login"),
    "logout": reads(writes=("login",)),
    "get_user_tickets": reads("login", "tickets", "ticket/*"),
}

# No method changes a stock or the market.
_TRADING = {
    "get_current_time": NONE,
    "get_symbol_by_name": NONE,
    "get_available_stocks": NONE,
    "get_stock_info": NONE,
    "filter_stocks_by_price": NONE,
    "notify_price_change": NONE,
    "get_order_details": reads("orders", "order/{order_id}"),
    "cancel_order": reads("orders", writes=("order/{order_id}",)),
    "place_order": reads("login", "balance", writes=("orders",)),
    "get_order_history": reads("login", "orders"),
    "withdraw_funds": reads("login", writes=("balance", "transactions", "random")),
    "fund_account": reads("login", writes=("balance", "transactions", "random")),
    "get_account_info": reads("login", "balance"),
    "trading_login": reads(writes=("login",)),
    "trading_logout": reads(writes=("login",)),
    "trading_get_login_status": reads("login"),
    "add_to_watchlist": reads(writes=("watchlist",)),
    "remove_stock_from_watchlist": reads("login", writes=("watchlist",)),
    "get_watchlist": reads("login", "watchlist"),
    "get_transaction_history": reads("login", "transactions"),
}

# The cost of a flight is looked up in a table that never changes. A cancelled booking pays
# back to a card that only the booking knows.
_TRAVEL = {
    "authenticate_travel": reads(writes=("login", "random")),
    "travel_get_login_status": reads("login"),
    "get_budget_fiscal_year": NONE,
    "register_credit_card": reads("login", "card/*", writes=("cards", "random")),
    "get_flight_cost": NONE,
    "get_credit_card_balance": reads("login", "cards", "card/{card_id}"),
    "book_flight": reads("login", "cards", "budget", writes=("card/{card_id}", "bookings", "random")),
    "retrieve_invoice": reads("login", "bookings"),
    "get_booking_history": reads("login", "bookings"),
    "list_all_airports": NONE,
    "cancel_booking": reads("login", "cards", writes=("bookings", "card/*")),
    "compute_exchange_rate": NONE,
    "verify_traveler_information": reads("login"),
    "set_budget_limit": reads("login", writes=("budget",)),
    "get_nearest_airport_by_city": NONE,
    "purchase_insurance": reads("login", "cards", "budget", "bookings", writes=("card/{card_id}", "random")),
    "contact_customer_support": reads("bookings"),
    "get_all_credit_cards": reads("cards", "card/*"),
}

_TWITTER = {
    "authenticate_twitter": reads(writes=("login",)),
    "posting_get_login_status": reads("login"),
    "post_tweet": reads("login", writes=("tweets",)),
    "retweet": reads("login", "tweets", writes=("retweets",)),
    "comment": reads("login", "tweets", writes=("comments",)),
    "mention": reads("tweets", writes=("tweet/{tweet_id}",)),
    "follow_user": reads("login", writes=("following",)),
    "list_all_following": reads("login", "following"),
    "unfollow_user": reads("login", writes=("following",)),
    "get_tweet": reads("tweets", "tweet/{tweet_id}"),
    "get_user_tweets": reads("tweets", "tweet/*"),
    "search_tweets": reads("tweets", "tweet/*"),
    "get_tweet_comments": reads("tweets", "comments"),
    "get_user_stats": reads("tweets", "following", "retweets"),
}

# ``displayCarStatus`` shows one part, by names that are ours here too. No method changes a tire.
_VEHICLE = {
    "startEngine": reads("doors", "brakePedal", "fuel", writes=("engine",)),
    "fillFuelTank": reads(writes=("fuel",)),
    "lockDoors": reads(writes=("doors",)),
    "adjustClimateControl": reads(writes=("climate",)),
    "get_outside_temperature_from_google": reads(writes=("random",)),
    "get_outside_temperature_from_weather_com": NONE,
    "setHeadlights": reads(writes=("headlights",)),
    "displayCarStatus": reads("{option}"),
    "activateParkingBrake": reads(writes=("parkingBrake",)),
    "pressBrakePedal": reads(writes=("brakePedal",)),
    "releaseBrakePedal": reads(writes=("brakePedal",)),
    "setCruiseControl": reads("engine", writes=("cruise",)),
    "get_current_speed": reads(writes=("random",)),
    "display_log": NONE,
    "estimate_drive_feasibility_by_mileage": reads("fuel"),
    "liter_to_gallon": NONE,
    "gallon_to_liter": NONE,
    "estimate_distance": NONE,
    "get_zipcode_based_on_city": NONE,
    "set_navigation": reads(writes=("destination",)),
    "check_tire_pressure": NONE,
    "find_nearest_tire_shop": NONE,
}

DECLARED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "GorillaFileSystem": _FILE_SYSTEM,
    "MathAPI": _MATH,
    "MessageAPI": _MESSAGES,
    "TicketAPI": _TICKETS,
    "TradingBot": _TRADING,
    "TravelAPI": _TRAVEL,
    "TwitterAPI": _TWITTER,
    "VehicleControlAPI": _VEHICLE,
}


def declare(system: type[Any]) -> None:
    """Declare a system's effects on its class, from outside; a class of our own has said them itself."""
    said = DECLARED.get(system.__name__)
    if said is None:
        return
    stateful(system)
    for name, effects in said.items():
        if name in vars(system):  # another version of the package may have others
            function(**effects)(getattr(system, name))
