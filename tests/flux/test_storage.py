"""Storage on a real cluster: what is predicted is what its controllers do.

`KUBECONFIG` names the cluster; any will do whose PersistentVolume controller runs. The cases are
`tests/python/unit/golden/binding`; with GITOPS_RECORD_BINDINGS=1 what the cluster did is kept
there, for tests without one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml

from flux.alone import alone
from gitops_rollback.storage.review import read_objects, review, review_objects
from gitops_rollback.storage.structure import is_checked
from unit import test_storage_volumes as table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/python/unit/golden/binding"
RECORDED = CASES / "recorded.json"
DATA = ROOT.parent / "shared/data/manifests"
WRITTEN = "gitops-storage"  # the namespace in the cases
REFUSED = (
    *("misplaced-field", "misspelt-field", "unknown-field", "wrong-type", "missing", "bad-value"),
    *("bad-quantity", "no-source", "two-sources", "mount-without-volume", "mounted-twice"),
)
PATIENCE = 60.0  # seconds
SETTLED = 2.0  # seconds in which nothing changes

# Volumes of no class, and the default class, are every claim's: those cases run one after another.
CLASSLESS = ("default-class", "empty-class", "empty-class-no-volume", "no-class")

pytestmark = pytest.mark.skipif(
    not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None,
    reason="needs a cluster: set KUBECONFIG, and have kubectl",
)


def kubectl(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", *arguments, "-o", "json"))["items"]
    return found


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of our own, which goes in its own time when the test is over."""
    name = f"{WRITTEN}-{uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "purpose=test")
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def applied(namespace: str) -> Iterator[Any]:
    """Apply manifests one object after another, and delete them in the end."""
    texts: list[str] = []

    def apply(text: str) -> None:
        text = text.replace(WRITTEN, namespace)
        texts.append(text)
        for document in text.split("\n---\n"):
            arguments = () if f"namespace: {namespace}" in document else ("-n", namespace)
            kubectl("apply", *arguments, "-f", "-", stdin=document)

    yield apply
    for text in texts:
        kubectl("delete", "-n", namespace, "--ignore-not-found", "--wait=false", "-f", "-",
                stdin="\n---\n".join(
                    part.replace(f", namespace: {namespace}", "") for part in text.split("\n---\n")
                ))  # fmt: skip
        # A StatefulSet's own claims stay behind, and hold their volumes.
        kubectl("delete", "pods,pvc", "--all", "-n", namespace, "--wait=false")
    # The next test of these volumes must not find them: they go when their claims have gone.
    gone = {name for text in texts for name in volumes_of(text)}
    until(lambda: not gone & {one["metadata"]["name"] for one in objects("pv")})


def volumes_of(text: str) -> set[str]:
    found = [one for one in yaml.safe_load_all(text) if one]
    return {one["metadata"]["name"] for one in found if one["kind"] == "PersistentVolume"}


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.25)


@pytest.fixture
def case_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nobody else has the volumes of a case; each bears the case's name, if it has a class."""
    case = request.node.callspec.params["case"].stem
    with alone(os.environ["KUBECONFIG"], "no class" if case in CLASSLESS else case):
        yield


def pod_of(namespace: str, name: str) -> str:
    """Return what tells a pod from another one of its name; empty if there is none."""
    found = [one["metadata"] for one in objects("pods", "-n", namespace)]
    return next((f"{one['uid']}" for one in found if one["name"] == name), "")


def has_default_class() -> bool:
    key = "storageclass.kubernetes.io/is-default-class"
    classes = objects("storageclasses")
    return any(c["metadata"].get("annotations", {}).get(key) == "true" for c in classes)


def facts(namespace: str) -> dict[str, dict[str, str]]:
    """What became of each claim: its phase, its volume, and the newest event."""
    events: dict[str, dict[str, Any]] = {}
    for event in objects("events", "-n", namespace):
        if event["involvedObject"]["kind"] == "PersistentVolumeClaim":
            events[event["involvedObject"]["name"]] = event
    found = {}
    for claim in objects("pvc", "-n", namespace):
        name = claim["metadata"]["name"]
        fact = {"phase": claim["status"].get("phase", "")}
        if fact["phase"] == "Bound":
            fact["volume"] = claim["spec"]["volumeName"]
        elif name in events:
            fact |= {"reason": events[name]["reason"], "message": events[name]["message"]}
        found[name] = fact
    return found


def settle(
    namespace: str, is_due: Callable[[dict[str, dict[str, str]]], bool]
) -> dict[str, dict[str, str]]:
    """Wait until what is due is there and nothing changes any more; return what is there.

    The controller looks at a claim again only every 15 s, where its volume came to it later.
    """
    end, since = time.monotonic() + PATIENCE, time.monotonic()
    last = facts(namespace)
    while time.monotonic() < end and not (time.monotonic() - since > SETTLED and is_due(last)):
        time.sleep(0.25)
        now = facts(namespace)
        if now != last:
            last, since = now, time.monotonic()
    return last


def predicted(text: str) -> dict[str, tuple[str, set[str]]]:
    bindings = review({"case.yaml": text.encode()}).bindings
    return {b.claim.name: (b.state, {v.name for v in b.volumes}) for b in bindings}


def agrees(state: str, volumes: set[str], fact: dict[str, str]) -> bool:
    if fact["phase"] == "Bound":
        return state == "bound" and fact["volume"] in volumes
    is_made = fact.get("reason") == "ExternalProvisioning"
    return state == "provisioned" if is_made else state in ("pending", "unknown")


@pytest.mark.usefixtures("case_alone")
@pytest.mark.parametrize("case", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_controller_does_what_was_predicted(
    case: Path,
    applied: Any,  # noqa: ANN401
    namespace: str,
) -> None:
    text = case.read_text(encoding="utf-8")
    if case.stem in ("no-class", "default-class") and has_default_class():
        pytest.skip("the cluster has a default class, which counts for every claim without one")
    applied(text)
    expected = predicted(text)

    def is_due(found: dict[str, dict[str, str]]) -> bool:
        return expected.keys() == found.keys() and all(
            agrees(state, volumes, found[name]) for name, (state, volumes) in expected.items()
        )

    found = settle(namespace, is_due)
    _record(case.stem, found)
    assert expected.keys() == found.keys()
    for name, (state, volumes) in expected.items():
        assert agrees(state, volumes, found[name]), (name, state, volumes, found[name])


def test_the_example_binds_and_its_pod_runs(
    applied: Any,  # noqa: ANN401
    namespace: str,
) -> None:
    applied((ROOT / "examples/storage/storage.yaml").read_text(encoding="utf-8"))
    kubectl("wait", "-n", namespace, "--timeout=30s", "pvc/pvc-example",
            "--for=jsonpath={.status.phase}=Bound")  # fmt: skip
    kubectl("wait", "-n", namespace, "--timeout=60s", "pod/pod-storage",
            "--for=jsonpath={.status.phase}=Running")  # fmt: skip
    assert facts(namespace)["pvc-example"]["volume"] == "pv-example"


def test_the_home_of_jenkins_is_bound_and_outlives_its_pod(
    applied: Any,  # noqa: ANN401
    namespace: str,
) -> None:
    node = next(one for one in objects("nodes") if not one["spec"].get("taints"))["metadata"]
    node = node["labels"]["kubernetes.io/hostname"]
    text = kubectl("kustomize", str(ROOT / "examples/jenkins-home")).replace("worker-1", node)
    text = text.replace("terminationGracePeriodSeconds: 120", "terminationGracePeriodSeconds: 0")
    applied(text.replace("namespace: jenkins\n", f"namespace: {WRITTEN}\n"))
    ready = ("wait", "-n", namespace, "--timeout=60s", "pod/jenkins-0", "--for=condition=Ready")
    kubectl("rollout", "status", "-n", namespace, "--timeout=60s", "statefulset/jenkins")
    before = facts(namespace)["jenkins-home"]
    assert before == {"phase": "Bound", "volume": "jenkins-home"}
    first = pod_of(namespace, "jenkins-0")
    kubectl("delete", "pod", "-n", namespace, "jenkins-0", "--wait=false")
    until(lambda: pod_of(namespace, "jenkins-0") not in (first, ""))
    kubectl("rollout", "status", "-n", namespace, "--timeout=60s", "statefulset/jenkins")
    kubectl(*ready)
    assert facts(namespace)["jenkins-home"] == before


@pytest.mark.usefixtures("case_alone")
@pytest.mark.parametrize("case", [CASES / "smallest-that-fits.yaml"], ids=lambda path: path.stem)
def test_a_claim_does_not_shrink_which_is_why_a_rollback_never_touches_it(
    case: Path,
    applied: Any,  # noqa: ANN401
    namespace: str,
) -> None:
    text = case.read_text(encoding="utf-8")
    applied(text)
    until(lambda: facts(namespace)["data"]["phase"] == "Bound")
    claim = text.replace(WRITTEN, namespace).split("---\n")[-1].replace("6Gi", "5Gi")
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"],
        input=claim,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "spec.resources.requests.storage: Forbidden: field can not be less than" in done.stderr


def test_the_api_server_takes_and_refuses_what_was_predicted(namespace: str) -> None:
    refused = {name: table.volume(**fields) for name, (fields, _said) in table.REFUSED.items()}
    refused |= {name: one for name, (one, _said) in table.OBJECTS_REFUSED.items()}
    taken = {name: table.volume(**fields) for name, fields in table.TAKEN.items()}
    taken |= table.OBJECTS_TAKEN
    assert answered(namespace, refused) == set()
    assert answered(namespace, taken) == set(taken)


def answered(namespace: str, found: dict[str, dict[str, Any]]) -> set[str]:
    """Return which objects the API server takes; all are asked for at once."""
    names = {f"gitops-{number}": name for number, name in enumerate(found)}
    own = [
        {**one, "metadata": {**one["metadata"], "name": name}}
        for name, one in zip(names, found.values(), strict=True)
    ]
    done = subprocess.run(
        [
            *("kubectl", "apply", "-n", namespace, "--server-side", "--dry-run=server"),
            # As Flux does: kubectl alone would ask for what may be left out.
            *("--validate=ignore", "--filename=-", "--output=name"),
        ],
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": own}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert [name for name in names if not re.search(rf"{name}\b", said)] == [], said
    return {names[line.rpartition("/")[2]] for line in done.stdout.splitlines()}


def test_what_is_called_an_error_is_what_the_api_server_refuses(namespace: str) -> None:
    if not DATA.is_dir():
        pytest.skip(f"there are no real manifests in {DATA}")
    files = {p.relative_to(DATA).as_posix(): p.read_bytes() for p in sorted(DATA.rglob("*.y*ml"))}
    items = [item for item in read_objects(files).items if is_checked(item)]
    for item in items:
        found = review_objects([item]).findings
        errors = [f for f in found if f.severity == "error" and f.code in REFUSED]
        if not errors:
            continue
        value = json.loads(json.dumps(item.value))
        value["metadata"].pop("namespace", None)
        done = subprocess.run(
            [
                "kubectl",
                "apply",
                "-n",
                namespace,
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
            ],
            input=json.dumps(value),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0, (item.path, [f.message for f in errors])


def _record(case: str, found: dict[str, dict[str, str]]) -> None:
    if not os.environ.get("GITOPS_RECORD_BINDINGS"):
        return
    version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    cases = {**recorded.get("cases", {}), case: found}
    document = {"kubernetes": version, "cases": dict(sorted(cases.items()))}
    RECORDED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
