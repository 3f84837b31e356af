"""How long it took to decide, fetch, edit and push is in every result, also of what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.shop import FILES, Shop, image

if TYPE_CHECKING:
    from integration.conftest import Workshop

BOTH = ("--service", "cart", "--service", "payment")
WHY = ("--reason", "slow")
DEPLOY = ("deploy", "--service", "cart", "--image", image("1.6.0"))
PHASES = {"total", "fetch", "decide", "edit", "push"}


@pytest.fixture
def both(workshop: Workshop) -> Shop:
    """A shop with two services that were deployed twice."""

    def make(shop: Shop) -> Shop:
        shop.open(FILES).release_two()
        for tag in ("2.1.0", "2.2.0"):
            shop.deploy(tag, name="payment")
        return shop

    return workshop.shop("both released", make)


@pytest.mark.parametrize(
    ("line", "code", "pushes"),
    [
        (DEPLOY, 0, True),
        ((*DEPLOY, "--dry-run"), 0, False),
        (("deploy", "--service", "cart", "--image", image("1.5.0")), 0, False),
        ((*DEPLOY, "--from", "acme/cart:1.4.2"), 5, False),
        (("deploy", "--service", "cart", "--image", "acme/other:1"), 1, False),
        (("deploy", "--service", "cart", "--image", "acme/cart:untold"), 6, False),
        (("plan", "--service", "cart"), 0, False),
        (("plan", *BOTH), 0, False),
        (("rollback", "--service", "cart", *WHY), 0, True),
        (("rollback", *BOTH, *WHY), 0, True),
        (("rollback", *BOTH, *WHY, "--dry-run"), 0, False),
        (("rollback", "--service", "ledger", *WHY), 4, False),
        (("plan", "--service", "ledger"), 4, False),
        (("rollback", "--service", "cart", *WHY, "--to", "1.5.0"), 0, False),
        (("rollback", "--service", "nobody", *WHY), 1, False),
        (("release", *BOTH, *WHY), 0, False),
        (("rollback", "--service", "cart", *WHY, "--branch", "gone"), 1, False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_it_is_in_the_result(both: Shop, line: tuple[str, ...], code: int, *, pushes: bool) -> None:
    run = both.run(*line)
    assert run.code == code, run.stderr
    seconds = run.result["seconds"]
    assert set(seconds) == PHASES
    assert seconds["total"] >= seconds["fetch"]
    assert (seconds["push"] > 0) == pushes
    assert seconds["total"] <= run.seconds


def test_it_is_in_the_result_of_a_refusal(held: Shop) -> None:
    for line in (DEPLOY, ("rollback", "--service", "cart", *WHY)):
        run = held.run(*line)
        assert run.code == 6
        seconds = run.result["seconds"]
        assert set(seconds) == PHASES
        assert seconds["total"] > 0
