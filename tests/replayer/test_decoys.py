"""Values that are equal by chance or by custom are no ties: what a target answers elsewhere does not change them."""

from __future__ import annotations

import pytest

from tests.replayer.linked import answer, replayed, step


@pytest.mark.parametrize(
    ("recorded", "other", "line"),
    [
        ({"karma": 20}, {"karma": 21}, "GET /list?limit=20"),
        ({"unread": 50, "name": "x"}, {"unread": 51, "name": "x"}, "GET /list?page_size=50"),
        ({"attempts": 3}, {"attempts": 4}, "GET /products/3"),
        ({"active": 1, "x": 0}, {"active": 0, "x": 1}, "GET /list?page=1"),
        ({"total": 100_000}, {"total": 100_001}, "GET /list?max_price=100000"),
        ({"created": 1_790_000_000}, {"created": 1_790_000_777}, "GET /log?until=1790000000"),
        ({"created": 1_790_000_000_123}, {"created": 1_790_000_000_777}, "GET /log?until=1790000000123"),
        ({"today": 20_261_126}, {"today": 20_261_127}, "GET /log?day=20261126"),
        ({"today": "2026-11-26"}, {"today": "2026-11-27"}, "GET /log?day=2026-11-26"),
        ({"today": "26.11.2026"}, {"today": "27.11.2026"}, "GET /log?day=26.11.2026"),
        ({"opens": "08:30:00"}, {"opens": "09:00:00"}, "GET /slots?at=08%3A30%3A00"),
        ({"sum": "1,299.00"}, {"sum": "1,399.00"}, "GET /list?from=1,299.00"),
        ({"sum": "1.299,00 €"}, {"sum": "1.399,00 €"}, "GET /list?from=1.299,00%20%E2%82%AC"),
        ({"sum": "EUR 1299.00"}, {"sum": "EUR 1399.00"}, "GET /list?from=EUR%201299.00"),
        ({"state": "waiting_for_payment"}, {"state": "paid"}, "GET /orders?status=waiting_for_payment"),
        ({"zone": "America/Argentina/Buenos_Aires"}, {"zone": "Europe/Paris"}, "GET /now?tz=America/Argentina/Buenos_Aires"),
        ({"lang": "de-DE"}, {"lang": "en-US"}, "GET /list?hl=de-DE"),
        ({"ok": True, "n": "true"}, {"ok": False, "n": "false"}, "GET /list?all=true"),
        ({"currency": "EUR"}, {"currency": "USD"}, "GET /list?in=EUR"),
        ({"charset": "iso-8859-1"}, {"charset": "utf-8"}, "GET /list?enc=iso-8859-1"),
        ({"best": "iPhone 15 Pro"}, {"best": "Galaxy S24 Ultra"}, "GET /search?q=iPhone+15+Pro"),
        ({"size": "1920x1080"}, {"size": "1280x720"}, "GET /picture?res=1920x1080"),
        ({"server": "192.168.10.12"}, {"server": "192.168.10.13"}, "GET /ping?host=192.168.10.12"),
        ({"v": "2024.10.1"}, {"v": "2024.10.2"}, "GET /docs?since=2024.10.1"),
        ({"type": "application/octet-stream"}, {"type": "text/plain"}, "GET /files?mime=application/octet-stream"),
    ],
)  # fmt: skip
def test_a_value_that_is_equal_by_custom_stays(recorded, other, line):
    """Page sizes, amounts, dates, times, states, languages: no name says that they are one, so the target gets what the client meant."""
    steps = [step("GET /home", answer(recorded)), step(line, answer())]
    sent = replayed(steps, [answer(other), answer()])[1]
    assert (sent.request.target, sent.notes) == (steps[1].request.target, [])
