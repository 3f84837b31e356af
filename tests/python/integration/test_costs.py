"""What runs cost, counted: requests, git processes, time to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.shop import FILES, Shop
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from integration.conftest import Workshop

TOML = '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'


def test_a_deploy_over_http_takes_nine_requests_whatever_the_number_of_services(
    workshop: Workshop,
) -> None:
    many = {
        f"apps/s{number}/deployment.yaml": FILES["apps/cart/deployment.yaml"].replace(
            "cart", f"s{number}"
        )
        for number in range(300)
    }
    shop = workshop.shop("many", lambda shop: shop.open({**FILES, **many}))
    shop.commit({".gitops-rollback.toml": TOML})
    shop.deploy("1.4.2")
    with GitHttpServer(shop.root) as server:
        shop.deploy("1.5.0", repository=f"{server.url}/manifests.git")
        requests, received = list(server.traffic.requests), server.traffic.sent
    assert len(requests) == 9, requests
    assert received < 60_000, "trees and three files, not all files"


def test_a_plan_over_http_takes_seven_requests_where_the_state_file_explains_all(
    released: Shop,
) -> None:
    released.commit({".gitops-rollback.toml": TOML})
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        released.ok("plan", "--service", "cart", "--strategy", "git", repository=url)
        assert len(server.traffic.requests) == 7, server.traffic.requests


def test_a_deploy_starts_twelve_git_processes_at_most(released: Shop) -> None:
    run = released.deploy("1.6.0", environment={"GITOPS_VERBOSE": "1"})
    calls = [line for line in run.stderr.splitlines() if line.startswith("git ")]
    assert 5 <= len(calls) <= 12, calls
