"""How long to wait after a lost race for the branch, so that a crowd gets through soon. Pure.

Of the attempts that overlap, the first to arrive wins, and all others were for nothing. So the
measure of a pause is how long an attempt takes, here and now: on a busy machine, or with a server
far away, everybody waits longer. It doubles while a crowd has to spread, and is halved again for
those who have lost often, so that who came first is not overtaken for ever.
"""

from __future__ import annotations

_DOUBLED = 3  # how often, before it is halved


def longest_pause(lost: int, seconds: float) -> float:
    """Return the longest pause after `lost` races, the last of which took so many seconds.

    The pause itself is to be drawn, evenly, between nothing and this.
    """
    doubled = min(lost - 1, _DOUBLED)
    halved = min(max(0, lost - 1 - _DOUBLED), _DOUBLED)
    return seconds * 2.0 ** (doubled - halved)
