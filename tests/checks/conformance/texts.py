"""Text: regular expressions, lengths, Unicode, broken encodings, formats."""

import polars as pl

from tests.checks.conformance.case import CONTRACT, Case, column, values

DEFECTS = pl.DataFrame({"v": ["caf\ufffd", "fine"], "_defect": ["encoding", None]})

CASES = [
    Case(
        name="`str_matches` is anchored at the start",
        columns=column(str, str_matches="b"),
        data=values(["ab"]),
        truth=(0,),
    ),
    Case(
        name="`str_matches` with alternatives",
        columns=column(str, str_matches="a|b"),
        data=values(["ax", "bx", "xb"]),
        truth=(2,),
    ),
    Case(
        name="`str_contains` is not anchored",
        columns=column(str, str_contains="b"),
        data=values(["abc", "c"]),
        truth=(1,),
    ),
    Case(
        name="`$` before a final line break",
        columns=column(str, str_matches="a$"),
        data=values(["a", "a\n"]),
        truth=(1,),
    ),
    Case(
        name="`str_startswith` is no pattern",
        columns=column(str, str_startswith="."),
        data=values([".a", "a"]),
        truth=(1,),
    ),
    Case(
        name="`str_endswith` is no pattern", columns=column(str, str_endswith="."), data=values(["a.", "a"]), truth=(1,)
    ),
    Case(
        name="a pattern that does not compile", columns=column(str, str_matches="("), data=values(["a"]), truth=CONTRACT
    ),
    Case(
        name="a pattern with look-ahead", columns=column(str, str_contains="(?=a)"), data=values(["a"]), truth=CONTRACT
    ),
    Case(name="a text check on numbers", columns=column(int, str_length=(1, 2)), data=values([1]), truth=CONTRACT),
    Case(
        name="length counts characters, not bytes",
        columns=column(str, str_length=(2, 2)),
        data=values(["äö", "日本", "ä"]),
        truth=(2,),
    ),
    Case(
        name="length of a combined character",
        columns=column(str, str_length=(1, 1)),
        data=values(["\u00e9", "e\u0301"]),
        truth=(1,),
    ),
    Case(name="an empty text is not null", columns=column(str), data=values(["", "a"]), truth=()),
    Case(name="a NUL within text", columns=column(str, eq="a\0b"), data=values(["a\0b", "a"]), truth=(1,)),
    Case(
        name="two spellings of one letter are two texts",
        columns=column(str, isin=["\u00e9"]),
        data=values(["\u00e9", "e\u0301"]),
        truth=(1,),
    ),
    Case(
        name="a byte order mark is part of the text",
        columns=column(str, eq="a"),
        data=values(["\ufeffa", "a"]),
        truth=(0,),
    ),
    Case(name="a record in another encoding", columns=column(str), data=DEFECTS, truth=(0,)),
    Case(name="a record in another encoding and a check", columns=column(str, eq="fine"), data=DEFECTS, truth=(0,)),
    Case(
        name="case differs",
        columns=column(str, isin=["email"]),
        data=values(["email", "Email", "email "]),
        truth=(1, 2),
    ),
    Case(
        name="blank text",
        columns=column(str, not_empty=True),
        data=values(["a", " \t", "\u00a0"]),
        truth=(1, 2),
    ),
    Case(
        name="an IBAN with two digits swapped",
        columns=column(str, format="iban"),
        data=values(["DE89370400440532013000", "DE89370400440532010300"]),
        truth=(1,),
    ),
    Case(name="an e-mail address", columns=column(str, format="email"), data=values(["a@b.org", "a@b"]), truth=(1,)),
    Case(
        name="a register's number, by python-stdnum",
        columns=column(str, format="stdnum:eu.vat"),
        data=values(["DE136695976", "DE136695977", "\0", "9" * 10_000]),
        truth=(1, 2, 3),
    ),
    Case(
        name="a phone number that no country has",
        columns=column(str, format="phone:DE"),
        data=values(["030 901820", "+999 1234567", "030"]),
        truth=(1, 2),
    ),
    Case(
        name="a currency's decimals",
        columns=column(str, format="money"),
        data=values(["1.50 EUR", "1.50 JPY"]),
        truth=(1,),
    ),
    Case(
        name="a date that does not exist", columns=column(str, format="date"), data=values(["2026-02-29"]), truth=(0,)
    ),
    Case(
        name="a normal form is proposed, not applied",
        columns=column(str, normal="spaces"),
        data=values([" a  b "]),
        truth=(),
        clean=[" a  b "],
    ),
]
