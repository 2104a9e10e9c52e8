"""A record that tells of its new WCS: products quote the cards of records.

Not here: moving its chips (`ExposureRecord.corrected`), files.
"""

from __future__ import annotations

from dataclasses import replace

from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.headers.names import headerlet_name
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.solutions.cards import OF_A_FIT, fit_cards, linear_cards, relative_cards


def with_facts(record: ExposureRecord, facts: WcsFacts) -> ExposureRecord:
    """Let a record tell of the WCS that its chips have.

    Parameters
    ----------
    record : ExposureRecord
        Corrected, and not stripped.
    facts : WcsFacts

    Returns
    -------
    ExposureRecord
        With the WCSNAME, and with the cards on WCS and fit that a copy of its file would have.
    """
    hdrname = facts.hdrname or headerlet_name(record.url, facts.wcsname)
    chips = tuple(_told(chip, facts, hdrname) for chip in record.chips)
    return replace(record, wcsname=facts.wcsname, chips=chips)


def _told(chip: ChipRecord, facts: WcsFacts, hdrname: str) -> ChipRecord:
    cards = {key: value for key, value in chip.keywords if key not in OF_A_FIT}
    new = [*linear_cards(chip.distortion), *fit_cards(facts, hdrname)]
    if facts.geometry or facts.relative:
        new += relative_cards(facts, cards)
    return replace(
        chip, keywords=tuple((cards | {card.keyword: card.value for card in new}).items())
    )
