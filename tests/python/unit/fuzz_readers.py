"""Every reader of bytes from outside, with sound examples of what it reads."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.clock import Deadline, instant
from gitops_rollback.decide.plan import parse_plan
from gitops_rollback.effective.charts import Charts
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.templates import Templates
from gitops_rollback.errors import BugError, GitopsRollbackError, RepositoryError
from gitops_rollback.forges.pulls import connect
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.jobs import config_xml
from gitops_rollback.jobs.wanted import Job, Scm, deploy_parameters
from gitops_rollback.ledger.holds import parse_held
from gitops_rollback.ledger.message import read_trailers
from gitops_rollback.ledger.records import parse_record
from gitops_rollback.ledger.state import parse_state
from gitops_rollback.manifest.edit import prove
from gitops_rollback.manifest.patterns import UnreadablePatternError
from gitops_rollback.model import Build
from gitops_rollback.outlet import escaped
from gitops_rollback.policies import apply_filter, find_policies
from gitops_rollback.policies.semver_range import UnreadableRangeError, takes_version
from gitops_rollback.query.search import search
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint, find_login
from gitops_rollback.repo.messages import (
    explain_fetch,
    explain_local,
    explain_push,
    is_moved,
    is_there_already,
)
from gitops_rollback.repo.objects import (
    head_in,
    read_batch,
    read_changes,
    read_heads,
    read_log,
    read_tree,
)
from gitops_rollback.repo.process import GitFailedError
from gitops_rollback.repo.rejections import broken_rules
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.raw import items, mapping
from gitops_rollback.rollout.target import Relation
from gitops_rollback.rollout.track import Track
from gitops_rollback.rollout.workloads import read_pod, read_workload
from gitops_rollback.services.config import Environment, parse_config
from gitops_rollback.services.inventory import read_manifests
from gitops_rollback.storage.review import review
from gitops_rollback.stores.jenkins import JenkinsStore
from integration.shop import CART
from integration.test_hold import POLICY
from integration.test_overlays import LAYOUTS
from servers.any_answer import AnyAnswer
from unit.recordings import FOLDER, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOLDEN = Path(__file__).parents[1] / "integration" / "golden"

D = "sha256:" + "a" * 64
IMAGE = f"docker.io/acme/cart:1.4.2@{D}"


@dataclass(frozen=True)
class Reader:
    """What reads bytes from outside, with sound examples; `refuses` is how it says no."""

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...] = ()


def blocks(file: str, heading: str) -> tuple[bytes, ...]:
    """Return texts that a golden file has under a heading."""
    found: list[bytes] = []
    lines = (GOLDEN / f"{file}.txt").read_text(encoding="utf-8").splitlines()
    while lines:
        if lines.pop(0).startswith(f"--- {heading}"):
            taken = []
            while lines and lines[0].startswith("  "):
                taken.append(lines.pop(0)[2:])
            found.append("\n".join(taken).encode())
    assert found, f"{file} has no {heading}"
    return tuple(found[:4])


STATES = blocks("rollback-to-the-previous-image", "file .gitops-rollback/default/cart.json")
RECORDS = tuple(
    block
    for block in blocks("rollback-to-the-previous-image", "file home/state")
    if b'"recordedAt"' in block
)
PLANS = blocks("rollback-to-the-previous-image", "result")[:1]
MESSAGES = blocks("rollback-to-the-previous-image", "commit")
HELD = (
    json.dumps(
        {"schemaVersion": 2, "id": "a" * 12, "service": "cart", "environment": "default",
         "from": IMAGE, "to": IMAGE, "by": "jane", "reason": "x", "at": "2026-01-31T02:03:04Z",
         "bad": [{"image": IMAGE, "at": "2026-01-31T02:03:04Z"}],
         "fields": [{"path": "a.yaml", "document": 0, "pointer": "/spec", "kind": "Deployment",
                     "namespace": "", "name": "cart", "container": "server", "image": IMAGE,
                     "value": "acme/cart:1.4.2"}]}
    ).encode(),
)  # fmt: skip
CONFIG = b"""\
[defaults]
manifests = ["apps/{service}/*.yaml"]
image = "docker.io/acme/{service}"
pin = "digest"
[environments.staging]
path = "clusters/staging"
branch = "main"
flux = ["clusters/staging/flux-system/*.yaml"]
[services.cart]
containers = ["server"]
query = "tags[?older && starts_with(name, 'v')]"
kinds = { Job = "/spec/template/spec" }
fields = ["/spec/runner/image"]
[sets]
checkout = ["cart", "payment"]
[registries."docker.io"]
hub-url = "https://hub.docker.com"
"""
DOCKER_CONFIG = json.dumps(
    {"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpzM2NyZXQ="}, "reg.example": {}},
     "credHelpers": {"other.example": "none-such"}, "credsStore": ""}
).encode()  # fmt: skip
HUB = json.dumps(
    {"count": 1, "next": None, "results": [
        {"name": "1.4.2", "digest": D, "full_size": 5, "content_type": "image",
         "media_type": "application/vnd.oci.image.index.v1+json", "tag_status": "active",
         "last_updated": "2026-01-31T02:03:04Z", "tag_last_pushed": "2026-01-31T02:03:04Z",
         "images": [{"architecture": "amd64", "os": "linux", "digest": D, "size": 5,
                     "status": "active", "variant": None}]}]}
).encode()  # fmt: skip
OCI = (
    json.dumps({"name": "acme/cart", "tags": ["1.4.1", "1.4.2", "latest"]}).encode(),
    json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "config": {"digest": D, "mediaType": "application/vnd.oci.image.config.v1+json"},
         "layers": [], "manifests": [{"digest": D, "platform": {"os": "linux"}}]}
    ).encode(),
    b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no","detail":{}}]}',
    b'{"token":"t","access_token":"t","expires_in":60}',
)  # fmt: skip
BUILDS = json.dumps(
    {"allBuilds": [{"number": 41, "result": "SUCCESS", "building": False, "timestamp": 1,
                    "artifacts": [{"relativePath": "gitops-rollback/default/cart/record.json"}]}]}
).encode()  # fmt: skip
PULLS = (
    b'[{"number":1,"html_url":"https://h/p/1","state":"open","merged_at":null,"head":{"ref":"b"}}]',
    b'{"id":1,"iid":1,"web_url":"https://h/p/1","state":"opened","merged_at":null}',
    b'{"message":"Validation Failed","errors":[{"message":"A pull request already exists"}]}',
)
POD = (
    json.dumps(
        {"metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"},
                      "ownerReferences": [{"kind": "ReplicaSet", "name": "cart", "uid": "u"}]},
         "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "cart"}},
                  "containers": [{"name": "server", "image": IMAGE}],
                  "template": {"spec": {"containers": [{"name": "server", "image": IMAGE}]}}},
         "status": {"phase": "Running", "observedGeneration": 2, "replicas": 2,
                    "conditions": [{"type": "Ready", "status": "True", "reason": "x"}],
                    "containerStatuses": [{"name": "server", "imageID": IMAGE, "restartCount": 1,
                                           "state": {"waiting": {"reason": "ErrImagePull"}}}]}}
    ).encode(),
)  # fmt: skip
TREE = b"100644 blob " + b"a" * 40 + b"\tapps/cart.yaml\0" + b"120000 blob " + b"b" * 40 + b"\tl\0"
LOG = (
    b"\0" + b"a" * 40 + b"\x1f2026-01-31T02:03:04Z\x1fjane\x1fgrafted\x1fmessage\x1f\0"
    b":100644 100644 " + b"a" * 40 + b" " + b"b" * 40 + b" M\0apps/cart.yaml\0"
)
LAYOUT_FILES = [files for files, _path in LAYOUTS.values()]


def _manifests(data: bytes) -> object:
    """Read a manifest beside others of each layout, and prove that its fields can be edited."""
    seen = []
    for name in ("kustomization.yaml", "values.yaml", "a.yaml"):
        found = read_manifests({name: data, "b.yaml": CART.encode()})
        seen.append(found)
        for file in found.files.values():
            find_policies(file)
            for field in found.fields.get(file.path, ()) if file.path == name else ():
                prove(file, field)
    return seen


def _docker_config(data: bytes) -> object:
    folder = Path(os.environ["GITOPS_FUZZ_FOLDER"])
    (folder / "config.json").write_bytes(data)
    environment = {"DOCKER_CONFIG": str(folder), "PATH": "/nonexistent", "HOME": str(folder)}
    names = ("docker.io", "reg.example", "other.example")
    logins = [find_login([name], environment, 1)[0] for name in names]
    return [login and login.secrets for login in logins]


def _all(*questions: Callable[[], object]) -> list[object]:
    """Ask several questions; each may be refused."""
    answers: list[object] = []
    for ask in questions:
        try:
            answers.append(ask())
        except GitopsRollbackError as error:
            check(error)
    return answers


def check(error: GitopsRollbackError) -> None:
    """An error is one for people, with words and a hint."""
    assert not isinstance(error, BugError)
    assert error.message
    assert error.hint


def text(data: bytes) -> str:
    return data.decode(errors="replace")


def _hub(data: bytes) -> object:
    with AnyAnswer(data) as url:
        endpoint = RegistryEndpoint("docker.io", url, url, trusted=True)
        registries = Registry(endpoint, {}, patience=3)
        image = parse_image(IMAGE)
        return _all(lambda: registries.tags(image), lambda: registries.digest_of(image))


def _oci(data: bytes) -> object:
    with AnyAnswer(data) as url:
        host = url.removeprefix("http://")
        registries = Registry(RegistryEndpoint(host), {}, patience=3)
        image = parse_image(f"{host}/acme/cart:1.4.2")
        return _all(
            lambda: registries.digest_of(image),
            lambda: registries.tags(image),
            lambda: registries.contents(image),
            lambda: registries.created(image),
            lambda: registries.label(image, "org.opencontainers.image.revision"),
        )


def _jenkins(data: bytes) -> object:
    with AnyAnswer(data) as url:
        store = JenkinsStore(url, {}, Deadline(5), job="shop/cart", jobs={})
        build = Build("shop/cart", 41)
        return _all(
            lambda: list(store.newest("default", "cart")),
            lambda: store.find("default", "cart", build, D),
        )


def _forge(data: bytes) -> object:
    with AnyAnswer(data) as url:
        environment = {"GITHUB_TOKEN": "x" * 20, "GITLAB_TOKEN": "x" * 20}
        found = []
        for kind in ("github", "gitlab"):
            client = connect(f"{url}/acme/m.git", environment, Deadline(5), kind=kind, api=url)
            found += _all(
                partial(client.find, "branch", "main"),
                partial(client.create, "branch", "main", "title", "body"),
                partial(client.read, 1),
            )
        return found


def _rollout(data: bytes) -> object:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None  # the client of the cluster reads the JSON
    if not isinstance(document, dict):
        return None
    return [
        read_pod(document),
        *(read_workload(document, k) for k in ("Deployment", "StatefulSet", "DaemonSet")),
    ]


def _git(data: bytes) -> object:
    """Read what git says, in each of the forms in which it says something."""
    for read in (read_tree, read_batch, read_log, read_changes):
        with suppress(RepositoryError):  # it is no answer of that form
            read(data)
    return [read_heads(data), head_in(text(data), "0"), escaped(text(data))]


def _query(data: bytes) -> object:
    tags = [{"name": f"1.{n}", "digest": D, "older": n < 2, "size": n} for n in range(4)]
    return search(text(data), {"tags": tags, "current": {"name": "1.3"}})


def _patterns(data: bytes) -> object:
    pattern, _, tag = text(data).partition("\n")
    return apply_filter(pattern, "$1", tag[:128])


SEPARATOR = b"\x1e"  # between the files of one example, each with its path on a line of its own
COMPONENTS = {
    "clusters/production/flux.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
  components: [../components/tags]
  targetNamespace: shop
  patches:
  - target: {kind: Deployment, name: cart}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/image, value: "acme/cart:1.4.2"}
  postBuild:
    substitute: {TAG: "1.4.2"}
    substituteFrom: [{kind: ConfigMap, name: versions, optional: true}]
""",
    "apps/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namePrefix: a-
namespace: shop
resources: [cart.yaml, ../base]
components: [../components/tags]
patches:
- path: image.yaml
  target: {kind: Deployment, labelSelector: app=cart, annotationSelector: "a in (b)"}
patchesStrategicMerge: [image.yaml]
patchesJson6902:
- target: {version: v1, kind: Deployment, name: cart}
  patch: '[{"op":"test","path":"/kind","value":"Deployment"},{"op":"remove","path":"/x~1y/-"}]'
replacements:
- source: {kind: ConfigMap, name: versions, fieldPath: data.tag, options: {delimiter: ":"}}
  targets:
  - select: {kind: Deployment}
    fieldPaths: ["spec.template.spec.containers.[name=server].image"]
    options: {delimiter: ":", index: 1, create: true}
configMapGenerator: [{name: versions, literals: [tag=1.4.2], behavior: merge}]
vars: [{name: TAG, objref: {kind: ConfigMap, name: versions}, fieldref: {fieldpath: data.tag}}]
images: [{name: acme/cart, newName: acme/cart, newTag: "1.4.2", digest: "", tagSuffix: -a}]
labels: [{pairs: {a: b}, includeSelectors: true}]
configurations: [config.yaml]
transformers: [t.yaml]
helmCharts: [{name: cart, releaseName: cart, valuesInline: {image: {tag: x}}}]
""",
    "apps/image.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec: {template: {spec: {"
        "$patch: merge, containers: [{name: server, image: 'acme/cart:1.4.1'}]}}}\n"
    ),
    "apps/cart.yaml": CART.replace("acme/cart:1.4.1", "acme/cart:${TAG:=1.4.1}"),
    "base/kustomization.yml": "resources: [../apps]\n",
    "components/tags/kustomization.yaml": (
        "kind: Component\nimages: [{name: acme/cart, newTag: 1.4.1}]\n"
    ),
    "apps/config.yaml": "images: [{path: spec/image, kind: Runner}]\n",
}
CHART = {
    "flux.yaml": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./, sourceRef: {kind: GitRepository, name: flux-system}}
""",
    "release.yaml": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart, namespace: shop}
spec:
  chart:
    spec:
      chart: ./charts/cart
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
      valuesFiles: [charts/cart/values.yaml, charts/cart/production.yaml]
      reconcileStrategy: Revision
  valuesFrom:
  - {kind: ConfigMap, name: cart-values, valuesKey: values.yaml}
  - {kind: ConfigMap, name: cart-values, valuesKey: tag, targetPath: "web.image[0].tag"}
  values:
    image: &image {repository: acme/cart, tag: 1.4.2}
    web: {image: *image, global: {registry: docker.io}}
  postRenderers:
  - kustomize:
      images: [{name: acme/cart, newTag: 1.4.2}]
      patches: [{target: {kind: Deployment}, patch: "- {op: remove, path: /spec}"}]
""",
    "charts/cart/Chart.yaml": "apiVersion: v2\nname: cart\ndependencies: [{name: x}]\n",
    "charts/cart/values.yaml": "image: {repository: acme/cart, tag: 1.4.1}\nglobal: {}\n",
    "charts/cart/production.yaml": "image: {tag: 1.4.2}\n",
    "charts/cart/templates/deployment.yaml": (
        "metadata:\n  labels:\n    v: {{ .Values.image.tag | quote }}\nspec:\n"
        '  image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'
    ),
    "values-map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart-values, namespace: shop}\n"
        "data:\n  tag: 1.4.2\n  values.yaml: |\n    image: {tag: 1.4.2}\n"
    ),
}
FETCH_WORDS = (
    b"remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found\n",
    (
        b"remote: GitLab: You are not allowed to push code to protected branches.\n"
        b"To https://h/x.git\n!\trefs/heads/a:refs/heads/main\t[remote rejected] (pre-receive hook"
        b" declined)\nDone\nerror: failed to push some refs to 'https://h/x.git'\n"
    ),
    b"fatal: unable to access 'https://h/x.git/': Could not resolve host: h\n",
    b"fatal: detected dubious ownership in repository at '/srv/m.git'\n",
    b"@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
    b"error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists\n",
    b"remote: error: GH006: Protected branch update failed for refs/heads/main.\n",
)
JOB_XML = (
    (
        b"<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition plugin=\"workflow-job@1\">"
        b"<description>d</description><properties><hudson.model.ParametersDefinitionProperty>"
        b"<parameterDefinitions><hudson.model.StringParameterDefinition><name>SERVICE</name>"
        b"<defaultValue>&lt;x&gt;</defaultValue></hudson.model.StringParameterDefinition>"
        b"</parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties>"
        b'<definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"><scm/>'
        b"</definition></flow-definition>"
    ),
)
RECORDINGS = tuple(
    (FOLDER / f"{name}.json").read_bytes()
    for name in ("image-pull", "helm-values", "ready", "by-hand", "overtaken", "daemon-set")
)


def packed(files: Mapping[str, str]) -> bytes:
    """Return several files as one example."""
    return SEPARATOR.join(f"{path}\n{text}".encode() for path, text in files.items())


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of an example, under the paths that changes have left them."""
    parts = (part.partition(b"\n") for part in data.split(SEPARATOR))
    return {path.decode(errors="surrogateescape")[:200]: text for path, _end, text in parts}


def _effect(data: bytes) -> object:
    """Tell what takes effect, in the whole repository and in a part of it."""
    files = unpacked(data)
    manifests = read_manifests(files)
    environments = (Environment("default"), Environment("production", "overlays/production"),
                    Environment("apps", "apps", flux=("clusters/production/*.yaml",)))  # fmt: skip
    found = [manifests.effective({"Job": "/spec/template/spec"}, one) for one in environments]
    for file in manifests.files.values():
        for field in manifests.fields.get(file.path, ()):
            prove(file, field)
    return [found, Templates(Charts(Raw(files))).no_digest("charts/cart", "image")]


def _git_words(data: bytes) -> object:
    url = "https://git.example/acme/m.git"
    failures = [
        GitFailedError(command, 1, data, data) for command in ("fetch", "push", "commit-tree")
    ]
    errors = [
        *(explain_fetch(failure, url) for failure in failures),
        *(explain_local(failure) for failure in failures),
        explain_push(failures[1], url, "main"),
        explain_push(failures[1], url, "main", is_proposal=True),
    ]
    for error in errors:
        check(error)
        assert len(error.message) < 3000, "it is cut"
    return [is_moved(failures[1]), broken_rules(text(data)), is_there_already(data)]


def _job_xml(data: bytes) -> object:
    root = config_xml.parse(data, "shop/cart")
    scm = Scm("https://git.example/cart.git", "main")
    fixed = {"GITOPS_SERVICE": "cart"}
    job = Job("shop/cart", "deploy", "d", scm, "Jenkinsfile", fixed, deploy_parameters())
    before = config_xml.lines(root)
    config_xml.put(root, job)
    after = config_xml.parse(config_xml.render(root), "shop/cart")
    assert config_xml.lines(after) == config_xml.lines(root)
    return config_xml.difference(before, config_xml.lines(root), "shop/cart")


def _flux(data: bytes) -> object:
    """Judge what a cluster tells step by step, however odd the objects in it are."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None  # the client of the cluster reads the JSON
    commits, steps = (
        mapping({"x": document}, "x").get("commits"),
        items({"x": document}, "x", "steps"),
    )
    known = RECORDED[sum(data) % len(RECORDED)]
    target = target_of(known)
    objects = Objects(known["url"])
    said = [commits]
    for step in steps:
        kind = step.get("kind")
        query = Query(kind if isinstance(kind, str) else "Deployment", "shop")
        whole, deleted = step.get("whole") is True, step.get("deleted") is True
        objects.take(Change(query, tuple(items(step, "objects")), whole, deleted))
        view = objects.view(target, dict.fromkeys(_commits(known), Relation.HOLDS), "token")
        if view is not None:
            standing = judge(target, view)
            said.append(standing)
            Track(target, "").take(standing, 1.0)
    return said


def _commits(recording: Mapping[str, Any]) -> list[str]:
    return [one["commit"] for one in recording["commits"]]


RECORDED = tuple(json.loads(one) for one in RECORDINGS)


READERS = (
    Reader("state file", lambda data: parse_state(data, "default", "cart"), STATES),
    Reader("file of a hold", lambda data: parse_held(data, ".held/a.json"), HELD),
    Reader("record", lambda data: parse_record(data, "a record"), RECORDS),
    Reader("plan", lambda data: parse_plan(data, "plan.json"), PLANS),
    Reader("commit message", lambda data: read_trailers(text(data), "cart", "default"), MESSAGES),
    Reader("configuration", parse_config, (CONFIG,)),
    Reader("manifest, kustomization, values", _manifests,
           (*(one.encode() for files in LAYOUT_FILES for one in files.values()), POLICY.encode())),
    Reader("kustomization and Flux's objects", _effect,
           (packed(COMPONENTS), *(packed(files) for files in LAYOUT_FILES))),
    Reader("Helm charts and values", _effect, (packed(CHART),)),
    Reader("storage objects", lambda data: review({"a.yaml": data}), (CART.encode(),)),
    Reader("Docker's config.json", _docker_config, (DOCKER_CONFIG,)),
    Reader("Docker Hub's answers", _hub, (HUB,)),
    Reader("a registry's answers", _oci, OCI),
    Reader("Jenkins' answers", _jenkins, (BUILDS,)),
    Reader("GitHub's and GitLab's answers", _forge, PULLS),
    Reader("a cluster's objects", _rollout, POD),
    Reader("Flux's and a cluster's answers", _flux, RECORDINGS),
    Reader("Jenkins' jobs", _job_xml, JOB_XML),
    Reader("git's and a hook's words", _git_words, FETCH_WORDS),
    Reader("git's answers", _git,
           (b"ref: refs/heads/main\tHEAD\n" + b"a" * 40 + b"\tHEAD\n", TREE, LOG,
            b"%s blob 4\nname\n" % (b"a" * 40))),
    Reader("query", _query, (b"tags[?older && starts_with(name, '1')].name | [0]",
                             b"reverse(sort_by(tags[?matches(name, '^1')], &name))")),
    Reader("tag filter", _patterns, (b"^v?(?P<v>[0-9.]+)-[a-f0-9]{7}$\nv1.4.2-abcdef0",),
           (UnreadablePatternError,)),
    Reader("version range", lambda data: takes_version(text(data), "1.4.2"),
           (b">=1.4 <2 || ~1.2.3 || ^0.1 - 3 !=1.5.0",), (UnreadableRangeError,)),
    Reader("image reference", lambda data: parse_image(text(data)), (IMAGE.encode(),),
           (InvalidImageError,)),
    Reader("time", lambda data: instant(text(data), "2026-01-31T02:03:04Z"),
           (b"2h", b"2026-01-31T02:03:04+01:00"), (ValueError,)),
)  # fmt: skip
