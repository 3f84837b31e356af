"""Shops to begin with. All stand in one folder, one after the other: records know their place."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART, FILES, Shop

if TYPE_CHECKING:
    from collections.abc import Callable


class Workshop:
    """Makes a shop in a fresh folder; what was made once for a name is copied afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place = folder / "shop"
        self._makers: dict[str, str] = {}

    def shop(self, name: str, make: Callable[[Shop], Shop]) -> Shop:
        """Return a shop as `make` leaves it."""
        maker = f"{make.__module__}.{make.__qualname__}"
        assert self._makers.setdefault(name, maker) == maker, f"two different shops named {name}"
        kept = self.folder / name
        end_what_runs_in(self._place)
        shutil.rmtree(self._place, ignore_errors=True)
        if not kept.exists():
            make(Shop(self._place))
            shutil.copytree(self._place, kept, symlinks=True)
            return Shop(self._place)
        shutil.copytree(kept, self._place, symlinks=True)
        return Shop(self._place)


def end_what_runs_in(place: Path) -> None:
    """End the processes that an earlier test left in a folder.

    A server's hook goes on when the client is gone: it must not write into the next test's shop.
    """
    inside = f"{place}/"
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if f"{(folder / 'cwd').readlink()}/".startswith(inside):
                os.kill(int(folder.name), signal.SIGKILL)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def shop(workshop: Workshop) -> Shop:
    """A shop in which nothing was deployed yet."""
    return workshop.shop("new", lambda shop: shop.open(FILES))


@pytest.fixture
def released(workshop: Workshop) -> Shop:
    """A shop in which the cart was deployed twice: 1.4.2, and 1.5.0, which is bad."""
    return workshop.shop("released", lambda shop: shop.open(FILES).release_two())


@pytest.fixture
def held(workshop: Workshop) -> Shop:
    """A shop in which the cart was rolled back from 1.5.0 to 1.4.2 by jane."""

    def make(shop: Shop) -> Shop:
        shop.open(FILES).release_two().roll_back()
        return shop

    return workshop.shop("held", make)


@pytest.fixture
def built(workshop: Workshop) -> Shop:
    """A shop in which the builds 7 and 8 of a Jenkins job have deployed 1.4.2 and 1.5.0."""

    def make(shop: Shop) -> Shop:
        shop.open(FILES)
        for number, tag in ((7, "1.4.2"), (8, "1.5.0")):
            shop.deploy(tag, environment={"JOB_NAME": "shop/cart", "BUILD_NUMBER": str(number)})
        return shop

    return workshop.shop("built", make)


@pytest.fixture
def two_thousand(workshop: Workshop) -> Shop:
    """A shop beside whose services stand two thousand others."""

    def make(shop: Shop) -> Shop:
        many = {f"apps/s{n}/deployment.yaml": CART.replace("cart", f"s{n}") for n in range(2000)}
        toml = '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'
        return shop.open({**FILES, **many, ".gitops-rollback.toml": toml})

    return workshop.shop("two thousand", make)
