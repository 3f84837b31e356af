"""A cluster with Flux for each test that wants one; without KUBECONFIG all are skipped."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from flux.account import Account
from flux.fleet import CART, Fleet, deployment, image
from flux.recorder import Recorder
from integration.shop import Shop, program
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """The kubeconfig of a cluster in which Flux runs."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        pytest.skip("KUBECONFIG is not set: it names a cluster with Flux (kind, flux install)")
    program("kubectl", "kubectl")
    done = subprocess.run(
        ["kubectl", "get", "crd", "kustomizations.kustomize.toolkit.fluxcd.io"],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"the cluster of KUBECONFIG has no Flux, or is away: {done.stderr.strip()}")
    return path


@pytest.fixture
def open_fleet(
    kubeconfig: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[dict[str, str]], Fleet]]:
    """Open a repository and a namespace; with GITOPS_RECORD what the cluster says is recorded."""
    with ExitStack() as stack:

        def open_one(files: dict[str, str]) -> Fleet:
            fleet = _open(stack, kubeconfig, tmp_path, files)
            folder = os.environ.get("GITOPS_RECORD")
            if folder:
                stack.enter_context(Recorder(fleet, folder, request.node.name))
            return fleet

        yield open_one


@pytest.fixture
def fleet(open_fleet: Callable[[dict[str, str]], Fleet]) -> Fleet:
    """A cart that runs 3.8, applied by Flux without health checks, so that it begins at once.

    Flux ends a health check only every five seconds, a failed one after half a minute: tests that
    want them say `check_health`.
    """
    return open_fleet({CART: deployment("cart", image("3.8"))}).follow(wait=False).ready()


@pytest.fixture(scope="session")
def still_fleet(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The same for all tests that change nothing in it."""
    with ExitStack() as stack:
        files = {CART: deployment("cart", image("3.8"))}
        yield _open(stack, kubeconfig, tmp_path_factory.mktemp("still"), files).follow().ready()


def _open(stack: ExitStack, kubeconfig: str, folder: Path, files: dict[str, str]) -> Fleet:
    namespace = f"gitops-test-{uuid4().hex[:8]}"
    shop = Shop(folder / namespace).open(files)
    host = os.environ.get("GITOPS_TEST_HOST", "127.0.0.1")
    # The path tells fleets apart: a port is used again before all that is left of the fleet before
    # has gone.
    server = stack.enter_context(GitHttpServer(folder, host=host))
    fleet = Fleet(shop, f"{server.url}/{namespace}/manifests.git", namespace, kubeconfig)
    fleet.kubectl("create", "namespace", namespace)
    stack.callback(fleet.remove)
    return fleet


@pytest.fixture
def account(fleet: Fleet) -> Iterator[Account]:
    """An account in the fleet's namespace, without rights."""
    made = Account(fleet)
    yield made
    made.remove()


@pytest.fixture
def still_account(still_fleet: Fleet) -> Iterator[Account]:
    """An account in the fleet that stays as it is."""
    made = Account(still_fleet)
    yield made
    made.remove()
