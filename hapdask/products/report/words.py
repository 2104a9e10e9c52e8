"""Figures as people read them: bytes, durations, counts, dates.  Imports nothing heavy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MJD0 = datetime(1858, 11, 17, tzinfo=UTC)


def size_text(count: float) -> str:
    """Show a number of bytes.

    Examples
    --------
    >>> size_text(123), size_text(1_234_567), size_text(5.6e10)
    ('123 B', '1.2 MB', '56 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.{0 if unit == 'B' or count >= 9.95 else 1}f} {unit}"
        count /= 1000.0
    return f"{count:.{0 if count >= 9.95 else 1}f} TB"


def time_text(seconds: float) -> str:
    """Show a duration.

    Examples
    --------
    >>> time_text(0.043), time_text(4.25), time_text(83), time_text(7384)
    ('43 ms', '4.2 s', '1:23 min', '2:03 h')
    """
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def count_text(count: int, noun: str) -> str:
    r"""Count things.

    Examples
    --------
    >>> count_text(1, "tile"), count_text(12345, "tile")
    ('1 tile', '12\u202f345 tiles')
    """
    shown = f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{shown} {noun}" if count == 1 else f"{shown} {noun}s"


def number_text(value: float, digits: int = 4) -> str:
    """Show a number with some digits and no exponent where it can be helped."""
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def date_text(mjd: float) -> str:
    """Show a date, to the minute.

    Examples
    --------
    >>> date_text(58849.5), date_text(1e9)
    ('2020-01-01 12:00', 'MJD 1000000000.00')
    """
    try:
        return (_MJD0 + timedelta(days=mjd)).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return f"MJD {mjd:.2f}"
