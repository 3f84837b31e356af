"""Accounts of a cluster with the rights that a test gives them, and those of the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from flux.fleet import Fleet

PAGE = Path(__file__).parents[2] / "docs" / "flux.md"


def documented() -> dict[str, Any]:
    """Return the ClusterRole of the docs."""
    match = re.search(
        r"<!-- rbac -->\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match
    role: dict[str, Any] = yaml.safe_load(match[1])
    return role


class Account:
    """A service account in a fleet's namespace, and its kubeconfig."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._name = f"waiter-{fleet.namespace}"

    def may(self, rules: list[dict[str, Any]], *, everywhere: bool = True) -> str:
        """Give the account these rights; return the path of its kubeconfig."""
        token = self.token(rules, everywhere=everywhere)
        config = json.loads(self._fleet.kubectl("config", "view", "--raw", "--output", "json"))
        config["users"] = [{"name": self._name, "user": {"token": token}}]
        config["contexts"][0]["context"].update(user=self._name, namespace=self._fleet.namespace)
        path = self._fleet.shop.root / "waiter.kubeconfig"
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    def token(self, rules: list[dict[str, Any]], *, everywhere: bool = True) -> str:
        """Give the account these rights; return a token of it."""
        fleet, name = self._fleet, self._name
        kind = "ClusterRole" if everywhere else "Role"
        group = "rbac.authorization.k8s.io"
        fleet.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {
                "apiVersion": f"{group}/v1",
                "kind": kind,
                "metadata": {"name": name},
                "rules": rules,
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": kind, "name": name},
                "subjects": [
                    {"kind": "ServiceAccount", "name": name, "namespace": fleet.namespace}
                ],
            },
        )
        return fleet.kubectl("create", "token", name).strip()

    def remove(self) -> None:
        """Take back what stands outside the namespace."""
        for kind in ("clusterrolebinding", "clusterrole"):
            self._fleet.kubectl("delete", kind, self._name, "--ignore-not-found")
