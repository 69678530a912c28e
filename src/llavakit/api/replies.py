"""What servers say: replies, faults, and how long to wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2


@dataclass(frozen=True)
class Said:
    """What came of a request.

    Attributes:
        text: the reply; "" where there is none
        reason: why there is none, else ""
        usage: tokens, as the server counts them
        answered_by: the model's name, as the server tells it
        finish: why the reply ends where it does: "stop"; "length", where it was cut off; …
    """

    text: str
    reason: str = ""
    usage: Mapping[str, int] | None = None
    answered_by: str | None = None
    finish: str | None = None


def read_completion(whole: Any) -> Said | None:
    """What a chat model's answer says, if it is one's; a refusal to answer is an empty text."""
    try:
        choice = whole["choices"][0]
        text = choice["message"]["content"] or ""
        finish = choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError):
        return None
    if not isinstance(text, str):
        return None
    counts = whole.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    used = {name: _whole(counts.get(name)) for name in ("prompt_tokens", "completion_tokens")}
    return Said(text, "", used, _name(whole.get("model")), _name(finish))


def read_error(held: Any) -> dict[str, str]:
    """OpenAI's error object, in whose form most servers tell theirs; "" for what it does not tell."""
    if isinstance(held, dict):
        held = held.get("error", held)
    told = held if isinstance(held, dict) else {"message": held or ""}
    found = {name: str(told.get(name) or "") for name in ("message", "code", "param")}
    found["message"] = " ".join(found["message"].split())[:200]
    return found


def reply_of(response: httpx2.Response) -> Said | None:
    try:
        return read_completion(response.json())
    except (ValueError, RecursionError):
        return None


def error_of(response: httpx2.Response) -> dict[str, str]:
    """As `read_error`; of what is no JSON the beginning."""
    try:
        found = read_error(response.json())
    except (ValueError, RecursionError):
        found = read_error(response.text)
    found["message"] = found["message"] or response.reason_phrase
    return found


def retry_after(response: httpx2.Response) -> float:
    """Seconds (RFC 9110, section 10.2.3: a number or a date); 0 where nothing is said."""
    told = response.headers.get("Retry-After", "").strip()
    if told.replace(".", "", 1).isdecimal():
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None
