"""When a busy host may be asked again, as it says itself. Pure but for the clock.

`Retry-After`: RFC 9110, 10.2.3. Docker Hub's own headers: the part "Rate limiting" of its API's
description (docs.docker.com/reference/api/hub/latest/).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a host wants to be asked again; None where it does not say.

    `Retry-After` is a number of seconds or a date, Hub's `X-Retry-After` a Unix time; where a limit
    is used up, `X-RateLimit-Reset` is the Unix time of the next one.
    """
    text = headers.get("Retry-After", "").strip()
    until = headers.get("X-Retry-After", "").strip()
    if not until and headers.get("X-RateLimit-Remaining", "").strip() == "0":
        until = headers.get("X-RateLimit-Reset", "").strip()
    try:
        if text.isdecimal():
            seconds = float(text)
        elif text:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        elif until:
            seconds = float(until) - time()
        else:
            return None
    except (ValueError, OverflowError):
        return None
    # Not at once, or a host that says 0 each time would be asked without end; NaN is no time.
    return min(max(1.0, seconds), 86400.0) if seconds == seconds else None  # noqa: PLR0124
