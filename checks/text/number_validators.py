"""Validators of other libraries by name, as parsers: python-stdnum's for numbers with check digits, phonenumbers' for phones.

They are Python and slow, so each judges every different text once; what raises from within one is a text that is not valid.
"""

import pkgutil
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType

import polars as pl

from assay.errors import AssayError, nearest
from assay.optional import require

Parser = Callable[[pl.Expr], pl.Expr]
#: The canonical spelling of a text, or None where it is not valid.
Spelling = Callable[[str], str | None]

#: A longer text is not valid: no number is so long, and some validators take very long for it.
LONGEST = 256
#: Digits of other scripts, which Python reads as numbers and no register writes.
_OTHER_DIGITS = r"[\p{N}&&[^0-9]]"
#: Of a batch in blocks, so many texts are remembered from block to block.
_REMEMBERED = 1 << 16
#: Of python-stdnum what is no validator but helps to write one.
_HELPERS = ("exceptions", "numdb", "util")
#: The parameter of `phone` for numbers of any country, each with its country code.
INTERNATIONAL = "international"
_WRITTEN = r"^\+?[ ().\-/]{0,2}[0-9](?:[ ().\-/]{0,3}[0-9]){2,16}$"


def stdnum(parameter: str, where: str) -> Parser:
    """A number as a module of python-stdnum knows it ("isbn", "de.idnr", "eu.vat"); canonical: that module's compact form.

    Separators that the module ignores are allowed, digits of other scripts are not. What a country calls its own way has the
    common name, too ("nl.vat" is "nl.btw").
    """
    require("stdnum", f"{where}: a format 'stdnum:…'")
    validate = _validator(parameter)
    if validate is None:
        hint = nearest(parameter, _stdnum_names()) or " Write one as in 'stdnum:isbn' or 'stdnum:eu.vat'."
        raise AssayError(f"{where}: python-stdnum has no validator {parameter!r}.{hint}")
    return _on_different(validate)


def phone(region: str, where: str) -> Parser:
    """A phone number that its country's numbering plan has; canonical: "+" and the digits.

    region: of a number without a country code, as ISO 3166-1 alpha-2; or `INTERNATIONAL`: every number has one.
    """
    require("phonenumbers", f"{where}: a format 'phone:…'")
    import phonenumbers

    known = [INTERNATIONAL, *sorted(phonenumbers.SUPPORTED_REGIONS)]
    if region not in known:
        hint = nearest(region.upper(), known) or " Write a country as in 'phone:DE'."
        raise AssayError(f"{where}: the format 'phone' has no region {region!r}.{hint}")
    default = None if region == INTERNATIONAL else region

    def spelling(text: str) -> str | None:
        number = phonenumbers.parse(text, default)
        if not phonenumbers.is_valid_number(number):
            return None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    parse = _on_different(spelling)
    # The library also takes letters for digits, an extension, and text around a number.
    return lambda text: parse(pl.when(text.str.contains(_WRITTEN)).then(text))


def _on_different(spelling: Spelling) -> Parser:
    """A parser that asks for each different text of a batch once."""

    @lru_cache(maxsize=_REMEMBERED)
    def asked(text: str) -> str | None:
        try:
            return spelling(text)
        except (
            Exception
        ):  # a validator may raise anything on a text that it was not made for; the text is then not valid
            return None

    def spellings(texts: pl.Series) -> pl.Series:
        usual = (texts.str.len_chars() <= LONGEST) & ~texts.str.contains(_OTHER_DIGITS)
        different = texts.filter(usual).unique()
        answers = pl.Series([asked(text) for text in different], dtype=pl.String)
        return texts.replace_strict(different, answers, default=None, return_dtype=pl.String)

    return lambda text: text.map_batches(spellings, return_dtype=pl.String, is_elementwise=True)


def _validator(name: str) -> Spelling | None:
    """The function of python-stdnum that validates such a number."""
    parts = name.split(".")
    if not all(part.isidentifier() and not part.startswith("_") for part in parts) or name in _HELPERS:
        return None
    *folders, last = parts
    try:
        folder = import_module(".".join(["stdnum", *folders]))
        module = getattr(folder, last, None) or import_module(f"{folder.__name__}.{last}")
    except ImportError:
        return None
    validate = getattr(module, "validate", None)
    if not isinstance(module, ModuleType) or not callable(validate):
        return None

    def spelling(text: str) -> str | None:
        return str(validate(text))

    return spelling


def _stdnum_names() -> list[str]:
    """What can be named; nothing is imported."""
    found = PathFinder.find_spec("stdnum")
    folders = list(found.submodule_search_locations or ()) if found else []
    names: list[str] = []
    for module in pkgutil.iter_modules(folders):
        if not module.ispkg:
            names.append(module.name)
            continue
        inner = pkgutil.iter_modules([f"{folder}/{module.name}" for folder in folders])
        names += [f"{module.name}.{item.name}" for item in inner]
    return sorted(set(names) - set(_HELPERS))
