"""The bit grammar: truth values, and that every way to write a set means the same set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.config import parse_bits
from hapdask.errors import ParameterError

ALL = 0xFFFF


@pytest.mark.parametrize(
    ("written", "bits"),
    [
        (0, 0),
        (12, 12),
        ("4,8", 12),
        ("4+8", 12),
        (" 4 + 8 ", 12),
        ("(4+8)", 12),
        ("12", 12),
        ("16+64+256", 336),
        ("2,8,1024", 1034),
        (65535, 65535),
        ("65535", 65535),
        (-(4 + 8 + 1), ALL & ~12),
        ("-13", ALL & ~12),
        (-1, ALL),
        ("~4,8", ALL & ~12),
        ("~(4+8)", ALL & ~12),
        ("~4096", ALL & ~4096),
        ("~0", None),
        (None, None),
        ("None", None),
        ("INDEF", None),
        ("", None),
        ("  ", None),
    ],
)
def test_what_each_notation_means(written, bits):
    assert parse_bits(written) == bits


@given(st.sets(st.sampled_from([1 << n for n in range(16)]), min_size=1))
def test_all_notations_of_a_set_agree(flags):
    total = sum(flags)
    assert parse_bits(total) == total
    assert parse_bits(str(total)) == total
    assert parse_bits("+".join(map(str, flags))) == total
    assert parse_bits(",".join(map(str, flags))) == total
    assert parse_bits(f"~({'+'.join(map(str, flags))})") == ALL & ~total
    assert parse_bits(-total - 1) == ALL & ~total


@pytest.mark.parametrize(
    "written",
    [
        "4,8+16",
        "4+",
        "~",
        "~~4",
        "4 or 8",
        "(4",
        "()",
        "3+4",
        "12,16",
        65536,
        -65537,
        "65536",
        "131072+1",
        True,
        4.0,
        [4, 8],
        "0x10",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(written):
    with pytest.raises(ParameterError, match="DQ"):
        parse_bits(written)
