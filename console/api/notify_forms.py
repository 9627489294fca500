"""What is said when a verdict changes: as an event of a webhook, and as a message of Slack. Pure; foreign text is bounded and harmless."""

from __future__ import annotations

from typing import Any

import orjson

from console.api.notify_book import Message
from console.escapes import short, slack, visible
from differ.result import iso

TYPE = "verdict.changed"
HEADER_MAX = 150
"""Characters that Slack takes in a header."""
NAME_MAX, REASON_MAX, TEXT_MAX = 100, 500, 2_000
ICONS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


def event(message: Message, url: str) -> bytes:
    """The body for a webhook: type, time and data, as Standard Webhooks advise. ``url`` is the run's page; empty where nobody knows it."""
    seen = message.seen
    data = {
        "service": seen.service,
        "branch": visible(seen.branch) or None,
        "run": seen.run,
        "verdict": seen.verdict,
        "previous": message.before or None,
        "reason": visible(short(message.reason, REASON_MAX)),
        "findings": message.findings,
        "url": url or None,
    }
    return orjson.dumps({"type": TYPE, "timestamp": iso(seen.ended_ns), "data": data})


def slack_message(message: Message, url: str) -> bytes:
    """The body for Slack. What others wrote is plain text, in which nothing is a link, a mention or an emoji."""
    seen = message.seen
    was = f" (was {message.before})" if message.before else ""
    branch = short(seen.branch, NAME_MAX) or "no branch named"
    title = f"{ICONS.get(seen.verdict, '')} {seen.service}: {seen.verdict}{was}"
    counts = " · ".join(f"{number:,} {severity}" for severity, number in message.findings.items())
    about = " · ".join(filter(None, [f"branch {branch}", counts, f"run {seen.run}"]))
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title, HEADER_MAX)}]
    if message.reason:
        blocks.append({"type": "section", "text": _plain(message.reason, REASON_MAX)})
    blocks.append({"type": "context", "elements": [_plain(about, TEXT_MAX)]})
    if url:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{slack(url)}|Open the run>"}})
    said = slack(short(f"{title}: {branch}: {message.reason}", REASON_MAX))
    return orjson.dumps(
        # What is said without blocks, in a notification, is no mark-up either.
        {"text": said, "mrkdwn": False, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
    )


def _plain(text: str, limit: int) -> dict[str, Any]:
    # Slack decodes these three characters in plain text, too, and counts them as they are sent.
    told = slack(short(text, limit))
    while len(told) > limit:
        text = text[: len(text) // 2]
        told = slack(short(text + "…", limit))
    return {"type": "plain_text", "text": told, "emoji": False}
