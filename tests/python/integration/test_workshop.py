"""The tests' own shops: one test's must not meet another's."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.conftest import Workshop
    from integration.shop import Shop


def test_what_a_test_left_running_in_its_shop_is_ended_before_the_next(
    workshop: Workshop, shop: Shop
) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=shop.bare) as left:
        try:
            again = workshop.shop("next", lambda shop: shop.open({}))
            assert left.wait(10) == -signal.SIGKILL
        finally:
            left.kill()
    assert again.bare == shop.bare
