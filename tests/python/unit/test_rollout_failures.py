"""What Flux, the API server, the kubelet and the scheduler say, as one sentence and a hint."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.late import replace
from gitops_rollback.rollout.appliers import Reconciler, read_reconciler, read_source
from gitops_rollback.rollout.apply_failures import (
    apply_failure,
    source_failure,
    suspended,
    unhealthy_objects,
)
from gitops_rollback.rollout.pod_failures import (
    node_failure,
    pod_failure,
    uncreated_failure,
    unready_failure,
    unstarted_failure,
)
from gitops_rollback.rollout.standing import FOREVER, Failure, Whose, told_first
from gitops_rollback.rollout.target import Place, Target
from gitops_rollback.rollout.workloads import Pod, PodsOf, read_pod, read_workload

TARGET = Target(
    "cart",
    "production",
    parse_image("acme/cart:1.5.0@sha256:" + "2" * 64),
    "c" * 40,
    "main",
    (Place("apps/cart.yaml", "Deployment", "cart"),),
)


def kustomization(reason: str, message: str) -> Reconciler:
    return read_reconciler(
        {
            "metadata": {"name": "apps", "namespace": "flux-system", "generation": 1},
            "status": {
                "observedGeneration": 1,
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": reason, "message": message}
                ],
            },
        },
        "Kustomization",
    )


# Messages of kustomize-controller v1.7.3 and v1.9.5, and of older ones that are still about.
APPLY = [
    (
        (
            "PersistentVolumeClaim/default/data dry-run failed (Invalid): PersistentVolumeClaim "
            '"data" is invalid: spec.resources.requests.storage: Forbidden: field can not be less '
            "than status.capacity\n"
        ),
        ("invalid", "PersistentVolumeClaim/default/data", "spec.resources.requests.storage"),
        "cannot shrink",
    ),
    (
        (
            "Deployment/default/x dry-run failed: failed to create typed patch object (default/x; "
            "apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got "
            "string\n"
        ),
        ("invalid", "Deployment/default/x", "spec.replicas"),
        "mend the manifest",
    ),
    (
        (
            'Deployment/default/x dry-run failed (Invalid): Deployment.apps "x" is invalid: '
            'spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable\n'
        ),
        ("invalid", "Deployment/default/x", "spec.selector"),
        "put the field back as it was",
    ),
    (
        (
            'PersistentVolumeClaim/default/x dry-run failed (Forbidden): PersistentVolumeClaim "x" '
            "is invalid: spec: Forbidden: spec is immutable after creation except resources"
        ),
        ("invalid", "PersistentVolumeClaim/default/x", "spec"),
        "make another claim, and copy the data",
    ),
    (
        (
            'StatefulSet/default/x dry-run failed (Invalid): StatefulSet.apps "x" is invalid: spec:'
            " Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' "
            "are forbidden"
        ),
        ("invalid", "StatefulSet/default/x", "spec"),
        "kubectl --namespace default delete statefulset x --cascade=orphan",
    ),
    (
        'Nope/default/x dry-run failed: no matches for kind "Nope" in version "example.com/v1"\n',
        ("unknown-kind", "Nope/default/x", "kind"),
        "CustomResourceDefinition",
    ),
    (
        (
            "OCIRepository/default/x dry-run failed: failed to create typed patch object "
            "(default/x; source.toolkit.fluxcd.io/v1, Kind=OCIRepository): .spec.nosuch: field not "
            "declared in schema\n"
        ),
        ("invalid", "OCIRepository/default/x", "spec.nosuch"),
        "remove the field",
    ),
    (
        'ConfigMap/nosuchns/x not found: namespaces "nosuchns" not found\n',
        ("namespace", "ConfigMap/nosuchns/x", "metadata.namespace"),
        "create the namespace",
    ),
    (
        (
            "Deployment/default/x dry-run failed: failed to convert new object (default/x; "
            "apps/v1, Kind=Deployment) to proper version: unable to convert unstructured object to "
            "apps/v1, Kind=Deployment: quantities must match the regular expression "
            "'^([+-]?[0-9.]+)'\n"
        ),
        ("invalid", "Deployment/default/x", ""),
        "mend the manifest",
    ),
    (
        (
            'Deployment/default/x dry-run failed, reason: Invalid, error: Deployment.apps "x" is '
            "invalid: [spec.template.spec.containers[0].name: Required value, spec.x: Required]"
        ),
        ("invalid", "Deployment/default/x", "spec.template.spec.containers[0].name"),
        "mend the manifest",
    ),
    (
        (
            'Deployment/default/x dry-run failed (Invalid): Deployment.apps "x" is invalid: spec.'
            "template.spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -1: must be "
            "greater than or equal to 0"
        ),
        (
            "invalid",
            "Deployment/default/x",
            "spec.template.spec.containers[0].livenessProbe.timeoutSeconds",
        ),
        "mend the manifest",
    ),
    (
        (
            'Deployment/default/x dry-run failed (Invalid): Deployment.apps "x" is invalid: spec.'
            "strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` "
            "is 0"
        ),
        ("invalid", "Deployment/default/x", "spec.strategy.rollingUpdate.maxUnavailable"),
        "mend the manifest",
    ),
    (
        (
            'Proxy/default/x dry-run failed (Invalid): Proxy.example.com "x" is invalid: '
            'spec.timeout: Invalid value: "soon": must be a duration'
        ),
        ("invalid", "Proxy/default/x", "spec.timeout"),
        "mend the manifest",
    ),
    (
        'Pod/default/x dry-run failed (Forbidden): pods "x" is forbidden: exceeded quota: few',
        ("invalid", "Pod/default/x", ""),
        "more quota",
    ),
    (  # what is called as a passing fault is
        (
            "Proxy/default/unavailable dry-run failed: failed to create typed patch object "
            "(default/unavailable; example.com/v1, Kind=Proxy): .spec.timeout: field not declared "
            "in schema"
        ),
        ("invalid", "Proxy/default/unavailable", "spec.timeout"),
        "remove the field",
    ),
]


@pytest.mark.parametrize(("field", "by_image"), [("template", True), ("completions", False)])
def test_a_job_cannot_get_another_image_and_the_one_before_mends_that(
    field: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    of_job = replace(TARGET, places=(*TARGET.places, Place("apps/job.yaml", "Job", "migrate")))
    said = (
        f'Job/shop/migrate dry-run failed (Invalid): Job.batch "migrate" is invalid: spec.{field}: '
        f"Invalid value: {{{'x' * 700}}}: field is immutable"
    )
    failure = apply_failure(of_job, kustomization("ReconciliationFailed", said))
    assert (failure.code, failure.whose, failure.by_image) == ("invalid", Whose.OURS, by_image)
    assert failure.message == f"Job/shop/migrate: spec.{field}: field is immutable"
    assert ("to go back: gitops-rollback rollback" in failure.hint) == by_image
    assert "delete Job/shop/migrate" in failure.hint


@pytest.mark.parametrize(("message", "named", "hint"), APPLY, ids=[case[1][0] for case in APPLY])
def test_what_the_api_server_refuses_is_named_with_object_and_field(
    message: str, named: tuple[str, str, str], hint: str
) -> None:
    failure = apply_failure(TARGET, kustomization("ReconciliationFailed", message))
    assert (failure.code, failure.object, failure.field) == named
    assert hint in failure.hint
    assert failure.whose is Whose.OTHER
    assert not failure.by_image
    assert failure.patience == 0
    assert "\n" not in failure.sentence
    assert "what ran before goes on running; Flux tries again by itself" in failure.sentence


def test_an_object_of_the_service_is_ours_and_only_its_image_field_is_the_images_fault() -> None:
    said = 'Deployment/shop/cart dry-run failed (Invalid): Deployment.apps "cart" is invalid: '
    image = "spec.template.spec.containers[0].image: Required value"
    failure = apply_failure(TARGET, kustomization("ReconciliationFailed", said + image))
    assert (failure.whose, failure.by_image) == (Whose.OURS, True)
    port = "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 99999"
    failure = apply_failure(TARGET, kustomization("ReconciliationFailed", said + port))
    assert (failure.whose, failure.by_image) == (Whose.OURS, False)


@pytest.mark.parametrize("path", ["apps/cart.yaml", "apps/web/bad.yaml"])
def test_a_file_that_is_no_yaml_is_named_as_the_repository_names_it(path: str) -> None:
    said = (
        f"failed to decode Kubernetes YAML from /tmp/flux/kustomization-350353545/{path}: "
        "MalformedYAMLError: yaml: line 1: did not find expected ',' or ']' <nil>"
    )
    failure = apply_failure(TARGET, kustomization("BuildFailed", said))
    assert failure.code == "build"
    assert failure.object == path
    assert "/tmp/flux" not in failure.sentence
    assert "<nil>" not in failure.sentence
    assert failure.whose is (Whose.OURS if path == "apps/cart.yaml" else Whose.OTHER)


def test_a_build_that_fails_without_a_file_is_still_named() -> None:
    failure = apply_failure(TARGET, kustomization("BuildFailed", "kustomize build failed: loop"))
    assert failure.message.endswith("kustomize build failed: loop")


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        ("DependencyNotReady", "dependency 'flux-system/infra' is not ready", "dependency"),
        ("ReconciliationFailed", "failed calling webhook: connection refused", "apply"),
        ("ArtifactFailed", "Source artifact not found, retrying in 30s", "apply"),
        (
            "ReconciliationFailed",
            (
                "Deployment/shop/cart dry-run failed (InternalError): Internal error occurred: "
                'failed calling webhook "verify.example": failed to call webhook: tls: failed to '
                "verify certificate: x509: certificate has expired"
            ),
            "apply",
        ),
    ],
)
def test_what_can_pass_is_waited_for_to_the_end(reason: str, message: str, code: str) -> None:
    failure = apply_failure(TARGET, kustomization(reason, message))
    assert (failure.code, failure.patience, failure.whose) == (code, FOREVER, Whose.CLUSTER)


def test_a_right_that_flux_lacks_is_the_clusters_affair_and_not_by_an_image_of_that_name() -> None:
    target = replace(TARGET, image=parse_image("registry.example/cart:1.5.0"))
    said = (
        'Deployment/shop/cart dry-run failed (Forbidden): deployments.apps "cart" is forbidden: '
        'User "system:serviceaccount:shop:few" cannot patch resource "deployments" in API group '
        '"apps" in the namespace "shop"'
    )
    failure = apply_failure(target, kustomization("ReconciliationFailed", said))
    assert (failure.code, failure.whose, failure.by_image) == ("apply", Whose.CLUSTER, False)
    assert "give system:serviceaccount:shop:few" in failure.hint
    assert 'the right to patch resource "deployments"' in failure.hint


def test_a_namespace_that_comes_to_its_end_is_no_fault_of_the_manifest() -> None:
    said = (
        'Deployment/shop/cart dry-run failed (Forbidden): deployments.apps "cart" is forbidden: '
        "unable to create new content in namespace shop because it is being terminated"
    )
    failure = apply_failure(TARGET, kustomization("ReconciliationFailed", said))
    assert (failure.code, failure.by_image) == ("namespace", False)
    assert "what keeps the namespace from its end" in failure.hint


def test_a_key_that_is_missing_is_asked_for_and_not_the_manifest() -> None:
    said = "decryption failed for 'db': cannot get sops data key"
    failure = apply_failure(TARGET, kustomization("BuildFailed", said))
    assert (failure.code, failure.by_image) == ("build", False)
    assert "has the key (spec.decryption)" in failure.hint


def test_what_nobody_knows_is_told_as_it_was_said() -> None:
    failure = apply_failure(TARGET, kustomization("Unheard", "something new"))
    assert "Unheard: something new" in failure.message
    assert failure.patience == 0


def test_a_health_check_names_its_objects() -> None:
    said = (
        "health check failed after 30.03s: timeout waiting for: [Deployment/default/web status: "
        "'InProgress', StatefulSet/default/db status: 'Failed']"
    )
    assert unhealthy_objects(said) == ("Deployment/default/web", "StatefulSet/default/db")


@pytest.mark.parametrize(
    ("said", "patience"),
    [
        ("failed to checkout and determine revision: authentication required", 10.0),
        ("failed to checkout and determine revision: dial tcp: i/o timeout", FOREVER),
        ("signature verification of commit '1' failed: the signature is empty", 10.0),
    ],
)
def test_a_source_that_cannot_fetch_is_given_up_only_where_access_is_denied(
    said: str, patience: float
) -> None:
    source = read_source(
        {
            "metadata": {"name": "fleet", "namespace": "flux-system"},
            "spec": {"url": "https://github.com/acme/fleet"},
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": said}]},
        }
    )
    failure = source_failure(source)
    assert failure.patience == patience
    assert "https://github.com/acme/fleet" in failure.message
    assert ("spec.verify" in failure.hint) == said.startswith("signature")


@pytest.mark.parametrize(
    ("kind", "command"),
    [("Kustomization", "flux resume kustomization"), ("HelmRelease", "flux resume helmrelease")],
)
def test_what_is_suspended_is_told_with_the_command_that_resumes_it(
    kind: str, command: str
) -> None:
    found = {"metadata": {"name": "apps", "namespace": "shop"}, "spec": {"suspend": True}}
    assert suspended(read_reconciler(found, kind)).hint == f"{command} apps --namespace shop"


# Pods

WORKLOAD = read_workload(
    {
        "metadata": {"name": "cart", "namespace": "shop", "generation": 2},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "cart"}}},
        "status": {"observedGeneration": 2},
    },
    "Deployment",
)


def pod(tag: str = "1.5.0", *, ready: bool = False, **status: Any) -> dict[str, Any]:  # noqa: ANN401
    digest = ("2" if tag == "1.5.0" else "1") * 64
    image = f"acme/cart:{tag}@sha256:{digest}"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": f"cart-{tag}", "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {"containers": [{"name": "server", "image": image}]},
        "status": {"conditions": conditions, "containerStatuses": [{"name": "server"}], **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "server", "state": state, **more}])


OLD = read_pod(pod("1.4.2", ready=True))
ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
MOUNT = 'failed to create containerd task: error mounting "/var/lib/x" to rootfs: not a directory'
NOT_STARTED = {"terminated": {"exitCode": 128, "reason": "StartError", "message": MOUNT}}
PODS = [
    (waiting("ImagePullBackOff", 'Back-off pulling image "acme/cart:1.5.0"'), "pull", 15.0, True),
    (waiting("ErrImagePull", "manifest for acme/cart:1.5.0 not found"), "pull", 0.0, True),
    *(
        (waiting("ErrImagePull", f"failed to resolve acme/cart:1.5.0: {said}"), "registry", 15.0,
         False)
        for said in (
            "unauthorized: authentication required",
            "failed to fetch oauth token: unexpected status: 401 Unauthorized",
            "unexpected status from HEAD request to https://r.acme/v2/: 403 Forbidden",
            "pull access denied, repository does not exist or may require authorization",
            "denied: requested access to the resource is denied",
        )
    ),
    (waiting("InvalidImageName", "couldn't parse image"), "pull", 0.0, True),
    (waiting("CrashLoopBackOff", restartCount=1), "crash", 15.0, True),
    (waiting("CrashLoopBackOff", restartCount=3, lastState=ENDED), "crash", 0.0, True),
    (waiting("CreateContainerConfigError", 'secret "db" not found'), "container", 15.0, False),
    (waiting("RunContainerError", 'exec: "serve": executable file not found'), "container", 15.0,
     True),
    *(
        (waiting(reason, said), "container", 15.0, True)
        for reason, said in (
            ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            ("CreateContainerConfigError",
             "container has runAsNonRoot and image has non-numeric user (node), cannot verify"),
            ("CreateContainerError", "failed to generate spec: no command specified"),
            ("CreateContainerError", "unable to find user app: no matching entries in passwd file"),
        )
    ),
    (waiting("CreateContainerConfigError", "container's runAsUser breaks non-root policy"),
     "container", 15.0, False),
    (waiting("RunContainerError", "error mounting the volume: not a directory"), "container", 15.0,
     False),
    (waiting("CrashLoopBackOff", lastState=NOT_STARTED), "container", 15.0, False),
    (waiting("ImageInspectError", "the runtime does not know"), "container", 15.0, False),
    (waiting("SignatureValidationFailed", "no signature by a key"), "policy", 0.0, True),
    (waiting("RegistryUnavailable", "it does not answer"), "registry", FOREVER, False),
    (pod(containerStatuses=[{"name": "server", "restartCount": 1, "state": ENDED}]), "crash", 15.0,
     True),
    *(
        (waiting("ErrImagePull", f"failed to resolve acme/cart:1.5.0: {said}"), "registry", FOREVER,
         False)
        for said in (
            "dial tcp 10.0.0.1:443: i/o timeout",
            "dial tcp: lookup registry.acme: no such host",
            "unexpected status from HEAD request to https://r.acme/v2/: 503 Service Unavailable",
            "429 Too Many Requests: toomanyrequests: You have reached your pull rate limit",
            "tls: failed to verify certificate: x509: certificate has expired",
            'failed to do request: Head "https://r.acme/v2/cart/manifests/1.5.0": EOF',
            "write /var/lib/containerd/ingest: no space left on device",
            "pull QPS exceeded",
        )
    ),
    *(  # names of images that are words of such messages
        (waiting("ErrImagePull", f"docker.io/acme/{name}:1.5.0: not found"), "pull", 0.0, True)
        for name in ("eof", "x509-tool", "denied")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("found", "code", "patience", "by_image"), PODS)
def test_a_pod_that_does_not_run_says_why(
    found: dict[str, Any],
    code: str,
    patience: float,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.code, failure.patience, failure.by_image) == (code, patience, by_image)
    assert failure.object == "Pod/shop/cart-1.5.0"
    assert failure.field == "server"
    assert "1 old pod still serves" in failure.sentence
    assert "Kubernetes tries again by itself" in failure.sentence
    assert ("rollback --service cart --environment production" in failure.hint) == by_image


def test_of_what_fails_in_one_pod_that_is_told_which_another_image_mends() -> None:
    found = waiting("ErrImagePull", "acme/cart:1.5.0: not found")
    crash = {"waiting": {"reason": "CrashLoopBackOff"}}
    found["spec"]["containers"].insert(0, {"name": "proxy", "image": "acme/proxy:1"})
    found["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": crash})
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.code, failure.field, failure.by_image) == ("pull", "server", True)


def test_a_container_that_is_still_to_be_made_is_told_when_time_is_up() -> None:
    found = read_pod(waiting("ContainerCreating"))
    assert pod_failure(PodsOf(TARGET, WORKLOAD, (found, OLD))) is None
    failure = unstarted_failure(PodsOf(TARGET, WORKLOAD, (found, OLD)))
    assert failure is not None
    assert (failure.code, failure.patience, failure.by_image) == ("container", FOREVER, False)
    assert "container server is not started yet (ContainerCreating)" in failure.message
    assert unstarted_failure(PodsOf(TARGET, WORKLOAD, (OLD,))) is None


@pytest.mark.parametrize(
    ("kind", "found", "lacks"),
    [
        ("StatefulSet", (OLD,), True),
        ("StatefulSet", (), True),
        ("StatefulSet", (read_pod(pod()),), False),  # the next one comes once it is ready
        ("StatefulSet", (OLD, OLD), False),
        ("Deployment", (OLD,), False),  # it has a condition for that
    ],
)
def test_pods_that_are_not_made_though_those_that_are_there_are_ready_are_told(
    kind: str,
    found: tuple[Pod, ...],
    lacks: bool,  # noqa: FBT001 - of a table
) -> None:
    spec = {"replicas": 2, "minReadySeconds": 7}
    wanted: dict[str, Any] = {"metadata": {"name": "cart"}, "spec": spec}
    failure = uncreated_failure(PodsOf(TARGET, read_workload(wanted, kind), found))
    assert (failure is not None) == lacks
    if failure is not None:
        assert (failure.code, failure.patience, failure.by_image) == ("create", 22.0, False)
        assert f"it has {len(found)} of 2, and makes no more" in failure.message
    wanted["metadata"] = {"name": "cart", "generation": 2}  # of which it has seen none yet
    assert uncreated_failure(PodsOf(TARGET, read_workload(wanted, kind), found)) is None


def test_a_container_that_was_killed_for_its_memory_says_so() -> None:
    found = read_pod(waiting("CrashLoopBackOff", restartCount=4, lastState=ENDED))
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (found,)))
    assert failure is not None
    assert "crashes: 4 restarts, exit code 137 (OOMKilled)" in failure.message
    assert "no old pod serves any more" in failure.sentence


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("Evicted", "was evicted: it was low on memory"),
        ("OutOfcpu", "was not kept by its node (OutOfcpu): it was low on memory"),
    ],
)
def test_a_pod_that_its_node_turns_out_is_told_when_no_other_one_is_there(
    why: str, said: str
) -> None:
    gone = read_pod(pod(phase="Failed", reason=why, message="it was low on memory"))
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (gone, OLD)))
    assert failure is not None
    assert (failure.code, failure.by_image, failure.patience) == ("evicted", False, FOREVER)
    assert said in failure.message


def on_node(tag: str = "1.5.0", **status: Any) -> dict[str, Any]:  # noqa: ANN401 - of a pod
    found = pod(tag, **status)
    found["spec"]["nodeName"] = "west-1"
    return found


def left(tag: str) -> dict[str, Any]:
    found = on_node(tag)
    found["metadata"]["deletionTimestamp"] = "2026-01-31T02:03:04Z"
    return found


WELL = [{"name": "server", "ready": True, "state": {"running": {}}}]
GATED = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
         "message": "the readiness gate shop.acme/served does not exist"}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "code", "said", "hint"),
    [
        (on_node(containerStatuses=[]), "node", "is not begun with", "kubectl get node west-1"),
        (on_node(containerStatuses=WELL), "node", "is not ready, though", "get node west-1"),
        (on_node(containerStatuses=WELL, conditions=[GATED]), "probe",
         "though its containers are: the readiness gate", "readinessGates"),
        (left("1.4.2"), "node", "is being deleted, and is still there", "cart-1.4.2 --force"),
    ],
)  # fmt: skip
def test_what_only_a_node_or_a_gate_keeps_from_being_ready_is_by_no_image(
    found: dict[str, Any], code: str, said: str, hint: str
) -> None:
    """A deadline that passes meanwhile must not roll an image back that is not to blame."""
    failure = node_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.code, failure.by_image, failure.patience) == (code, False, FOREVER)
    assert "on the node west-1" in failure.message
    assert said in failure.message
    assert hint in failure.hint
    assert node_failure(PodsOf(TARGET, WORKLOAD, (OLD, read_pod(left("1.5.0"))))) is None


@pytest.mark.parametrize(("image", "by_image"), [("acme/cart:1.5.0", True), ("acme/tool:1", False)])
def test_a_container_before_the_others_is_named_with_what_is_wrong_with_it(
    image: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    found = waiting("PodInitializing")
    found["spec"]["initContainers"] = [{"name": "first", "image": image}]
    first = {"name": "first", "state": {"running": {}}}
    found["status"]["initContainerStatuses"] = [first]
    failure = unready_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.field, failure.by_image) == ("first", by_image)
    assert "has not come to its end, and the others wait for it" in failure.message
    first["state"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.code, failure.field, failure.by_image) == ("crash", "first", by_image)


def test_a_pod_of_the_old_image_is_never_to_blame() -> None:
    assert pod_failure(PodsOf(TARGET, WORKLOAD, (OLD,))) is None
    broken = waiting("CrashLoopBackOff", restartCount=9)
    broken["spec"]["containers"][0]["image"] = "acme/cart:1.4.2@sha256:" + "1" * 64
    assert pod_failure(PodsOf(TARGET, WORKLOAD, (read_pod(broken),))) is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", "unschedulable"),
        ("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "claim"),
        ("0/3 nodes are available: 3 node(s) had volume node affinity conflict.", "claim"),
        ("0/1 nodes are available: 1 node(s) exceed max volume count.", "claim"),
        (
            "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
            "claim",
        ),
        (
            "0/3 nodes: 1 node(s) had volume node affinity conflict, 2 Insufficient cpu.",
            "unschedulable",
        ),
    ],
)
def test_a_pod_without_a_node_is_not_the_images_fault(message: str, code: str) -> None:
    found = pod()
    found["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    )
    failure = pod_failure(PodsOf(TARGET, WORKLOAD, (read_pod(found), OLD)))
    assert failure is not None
    assert (failure.code, failure.by_image, failure.patience) == (code, False, FOREVER)


def test_a_quota_keeps_a_workload_from_creating_pods() -> None:
    said = 'pods "cart-1" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2'
    found = {
        "metadata": {"name": "cart", "namespace": "shop"},
        "status": {
            "conditions": [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                 "message": said}
            ]
        },
    }  # fmt: skip
    failure = pod_failure(PodsOf(TARGET, read_workload(found, "Deployment"), (OLD,)))
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("quota", Whose.CLUSTER, False)


def test_a_pod_that_runs_and_is_not_ready_has_a_probe_to_look_at() -> None:
    running = {"name": "server", "ready": False, "state": {"running": {}}}
    failure = unready_failure(
        PodsOf(TARGET, WORKLOAD, (read_pod(pod(containerStatuses=[running])), OLD))
    )
    assert failure is not None
    assert (failure.code, failure.patience) == ("probe", FOREVER)
    assert unready_failure(PodsOf(TARGET, WORKLOAD, (OLD,))) is None
    well = {**running, "ready": True}
    sidecar = {**running, "name": "proxy"}
    both = pod(containerStatuses=[sidecar, well])
    both["spec"]["containers"].insert(0, {"name": "proxy", "image": "acme/proxy:1"})
    failure = unready_failure(PodsOf(TARGET, WORKLOAD, (read_pod(both), OLD)))
    assert failure is not None
    assert (failure.field, failure.by_image) == ("proxy", False)
    both["status"]["containerStatuses"][1]["ready"] = False
    failure = unready_failure(PodsOf(TARGET, WORKLOAD, (read_pod(both), OLD)))
    assert failure is not None
    assert (failure.field, failure.by_image) == ("server", True)


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"status": []},
        {"status": {"conditions": [1, {"type": 2}]}},
        {"spec": {"containers": "x"}, "metadata": {"labels": {"a": 1}}},
    ],
)
def test_objects_that_are_half_there_or_nonsense_are_read_as_empty(junk: dict[str, Any]) -> None:
    assert read_pod(junk).containers == ()
    assert read_workload(junk, "Deployment").updated == 0
    assert read_reconciler(junk, "Kustomization").attempted == ""
    assert read_source(junk).commit == ""


def test_of_several_failures_the_one_that_another_image_mends_is_told_first() -> None:
    claim = Failure("claim", "the claim is pending", "look", Whose.OURS)
    quota = Failure("quota", "the quota is used up", "look", Whose.OURS)
    pull = Failure("pull", "the image cannot be pulled", "look", Whose.OURS, by_image=True)
    assert told_first([claim, quota]) is claim
    assert told_first([claim, pull, quota]) is pull
