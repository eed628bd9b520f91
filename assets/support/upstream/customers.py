"""The customers table: people and companies, all invented. Some change later; some companies are entered twice."""

from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from random import Random

from assay.assets.support.upstream.calendar import FIRST_DAY, NUMBERS, day
from assay.assets.support.upstream.values import Planted

PEOPLE, COMPANIES, UPDATES, JOINING_LATER = 720, 72, 120, 40
PLANS = ("free", "plus", "business")
COUNTRIES = ("GB", "DE", "FR", "ES", "PT", "PL", "NO", "IE", "NL", "US")

_FIRST = """Ada Amir Bela Carla Chidi Dana Elif Emil Farah Felix Grace Hana Hugo Ines Ivan Jana Jonas Kaya Lars Leila Lina
Marco Mila Nadia Nils Olga Oscar Petra Rosa Samir Selma Tariq Tessa Viktor Yara Zoe"""
_LAST = """Abbott Almeida Bauer Brandt Castro Cohen Dubois Eriksen Farkas Fischer Garcia Haddad Hansen Ibrahim Jansen Kaya
Keller Kovacs Lindqvist Marino Moreau Novak Okafor Olsen Petrov Quinn Rossi Schmidt Silva Tanaka Varga Weber"""
_COMPANY = "ACME Harbour Summit Juniper Northwind Orchard Cobalt Lantern Meridian Willow Quarry Beacon"
_TRADE = ("", " Foods", " Logistics", " Textiles", " Studios", " Energy")
_FORMS = ("Ltd", "Inc", "GmbH", "LLC")


@dataclass(frozen=True, slots=True)
class Customer:
    """One version of a row of the table."""

    customer_id: str
    name: str
    email: str
    phone: str
    country: str
    plan: str
    signed_up_at: datetime
    updated_at: datetime


def versions() -> tuple[Customer, ...]:
    """Every version of every row, by (updated_at, customer_id)."""
    random = Random("assay/customers")
    people = [f"{first} {last}" for first, last in product(_FIRST.split(), _LAST.split())]
    companies = [
        f"{company}{trade} {_FORMS[n % len(_FORMS)]}"
        for n, (company, trade) in enumerate(product(_COMPANY.split(), _TRADE))
    ]
    names = random.sample(people, PEOPLE) + companies[:COMPANIES]
    random.shuffle(names)
    first = [_customer(number, name, random) for number, name in enumerate(names, start=1)]
    later = [
        replace(
            customer,
            plan=random.choice(PLANS),
            country=random.choice(COUNTRIES),
            phone=_phone(random),
            updated_at=_moment(day(random.choice(NUMBERS)), random),
        )
        # Only who was there before the first day, and no company: a variant must be younger than what it is a variant of.
        for customer in random.sample([c for c in first[JOINING_LATER:] if not _is_company(c)], UPDATES)
    ]
    return tuple(
        sorted(
            [*first, *later, *_variants(first, random)],
            key=lambda customer: (customer.updated_at, customer.customer_id),
        )
    )


def current(until: date) -> tuple[Customer, ...]:
    """The table as of the end of a day: each row's last version, by (updated_at, customer_id)."""
    rows = {customer.customer_id: customer for customer in versions() if customer.updated_at.date() <= until}
    return tuple(sorted(rows.values(), key=lambda customer: (customer.updated_at, customer.customer_id)))


def planted() -> tuple[Planted, ...]:
    """The rows that name a company once more, in other letters."""
    return tuple(
        Planted("customers", None, None, None, customer.customer_id, "name.canonical_unique", "name_variant")
        for customer in versions()
        if _is_variant(customer)
    )


class Regulars:
    """Who writes and pays: customers known before the day, some much more often than others, and nobody entered twice."""

    def __init__(self) -> None:
        first = {
            customer.customer_id: customer.signed_up_at.date() for customer in versions() if not _is_variant(customer)
        }
        ids = sorted(first)
        Random("assay/customers/regulars").shuffle(ids)
        self._joined = [(customer_id, first[customer_id], 1 / (rank + 20)) for rank, customer_id in enumerate(ids)]

    def choose(self, on: date, count: int, random: Random) -> list[str]:
        """`count` customer ids for one day."""
        candidates = [(customer_id, weight) for customer_id, joined, weight in self._joined if joined < on]
        ids, weights = zip(*candidates, strict=True)
        return random.choices(ids, weights, k=count)


def fields(customer: Customer) -> tuple[str | datetime, ...]:
    """The values of a row, in the table's order."""
    return astuple(customer)


def _customer(number: int, name: str, random: Random) -> Customer:
    during = number <= JOINING_LATER
    signed_up_at = _moment(
        day(random.choice(NUMBERS)) if during else FIRST_DAY - timedelta(days=random.randint(1, 900)), random
    )
    local = name.casefold().replace(" ", ".")
    return Customer(
        customer_id=f"C{number:05d}",
        name=name,
        email=f"{local}@example.{random.choice(('com', 'org'))}",
        phone=_phone(random),
        country=random.choice(COUNTRIES),
        plan=random.choice(PLANS),
        signed_up_at=signed_up_at,
        updated_at=signed_up_at,
    )


def _variants(customers: list[Customer], random: Random) -> list[Customer]:
    """Eight companies once more, under ids of their own: `Acme Ltd` as `acme ltd.`, in capitals, written out."""
    spellings = (lambda name: name.lower() + ".", str.upper, lambda name: name.replace(" ", ", ", 1), _written_out)
    companies = sorted((c for c in customers[JOINING_LATER:] if _is_company(c)), key=lambda customer: customer.name)
    originals = [company for company in companies if company.name.count(" ") == 1][:8]
    variants = []
    for number, original in enumerate(originals):
        joined = _moment(day(2 + 3 * number), random)
        name = spellings[number % len(spellings)](original.name)
        variants.append(
            replace(original, customer_id=f"C8{number:04d}", name=name, signed_up_at=joined, updated_at=joined)
        )
    return variants


def _written_out(name: str) -> str:
    return name.replace("Ltd", "Limited").replace("Inc", "INC.").replace("GmbH", "gmbh").replace("LLC", "llc")


def _is_company(customer: Customer) -> bool:
    return customer.name.endswith(_FORMS)


def _is_variant(customer: Customer) -> bool:
    return customer.customer_id.startswith("C8")


def _phone(random: Random) -> str:
    return f"+1-555-{random.randrange(1000):03d}-{random.randrange(10_000):04d}"


def _moment(on: date, random: Random) -> datetime:
    return datetime.combine(on, time(), UTC) + timedelta(seconds=random.randrange(86_400))
