"""Whatever stands in bytes from outside, it is read, or refused in words: never a traceback.

Each reader of outside bytes is given sound examples that are changed at random: bytes, words of its
language, values of JSON that are moved, nested, made huge or of another type. CI draws a few
hundred for each; `make test-long` draws GITOPS_FUZZ of them (docs/security.md has the table).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_rollback import alarm
from gitops_rollback.clock import Deadline, instant
from gitops_rollback.decide.plan_file import parse_plan
from gitops_rollback.errors import BugError, GitopsRollbackError
from gitops_rollback.forges.connect import connect
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.ledger.holds import parse_held
from gitops_rollback.ledger.message import read_trailers
from gitops_rollback.ledger.records import parse_record
from gitops_rollback.ledger.state import parse_state
from gitops_rollback.manifest.patterns import UnreadablePatternError
from gitops_rollback.manifest.prove import prove
from gitops_rollback.model import Build
from gitops_rollback.outlet import escaped
from gitops_rollback.policies.objects import find_policies
from gitops_rollback.policies.semver_range import UnreadableRangeError, takes_version
from gitops_rollback.policies.tag_filter import apply_filter
from gitops_rollback.query.search import search
from gitops_rollback.registries import Registries, RegistryEndpoint
from gitops_rollback.registries.docker_config import find_login
from gitops_rollback.repo.objects import LOG_FORMAT, read_batch, read_heads, read_logs, read_tree
from gitops_rollback.rollout.workloads import read_pod, read_workload
from gitops_rollback.services.config import parse_config
from gitops_rollback.services.inventory import read_manifests
from gitops_rollback.storage.review import review
from gitops_rollback.stores.jenkins import JenkinsStore
from integration.shop import CART
from integration.test_hold import POLICY
from integration.test_overlays import LAYOUTS
from servers.any_answer import AnyAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).parents[1] / "integration" / "golden"
LONG = int(os.environ.get("GITOPS_FUZZ", "0"))
EXAMPLES = LONG or 60
PATIENCE = 30  # seconds for one input: what takes longer has no end
D = "sha256:" + "a" * 64
IMAGE = f"docker.io/acme/cart:1.4.2@{D}"
# What languages of configuration, of servers and of terminals take for more than text.
WORDS = (
    *(b"\0", b"\n", b"\r\n", b"\x1b[31m", b"\xff\xfe", b"\xed\xb3\xa9", b"\xe2\x80\xae"),
    *(b"\xef\xbb\xbf", b"---\n", b"...\n", b"&a ", b"*a ", b"<<: *a\n", b"!!python/name:x "),
    *(b"!x ", b"? ", b"- - - ", b"|+\n", b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\u0000"),
    *(b"\\ud800", b",", b":", b"\t", b" " * 40, b"null", b"true", b"NaN", b"-Infinity", b"1e999"),
    *(b"-1", b"9" * 5000, b"0x1F", b"1_0", b"12:30:00", b"[" * 2000, b'{"a":' * 1500, b"../"),
    *(b"/etc/passwd", b"$(id)", b"${X}", b"{{ x }}", b"%s", b"@sha256:", b"x" * 70_000),
    *("ä€😀".encode(), b"2026-02-30T25:61:61Z", b"9999-12-31T23:59:59-23:59"),
    b'# {"$imagepolicy":',
)
ODD: tuple[Any, ...] = (
    *(None, "", "x", 0, -1, 1.5, True, [], {}, ["x"], [None], [[]], {"x": None}, [{"name": 1}]),
    *("\x1b[31m\nFORGED", "\u202e", "x" * 100_000, 10**400, -(10**30), float("inf"), "9" * 400),
    *(IMAGE, D, "2026-01-31T02:03:04Z", "../../x", "\ud800", {"": ""}, [[[[[[[]]]]]]]),
)
EDITS = st.lists(
    st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 1), st.sampled_from(WORDS)),
    min_size=1,
    max_size=5,
)


def edited(data: bytes, edits: list[tuple[int, float, float, bytes]]) -> bytes:
    """Return bytes after some edits: put in, cut out, doubled, moved, flipped, cut off."""
    for kind, at, until, word in edits:
        start, end = sorted((int(at * len(data)), int(until * len(data))))
        match kind:
            case 0:
                data = data[:start] + word + data[start:]
            case 1:
                data = data[:start] + data[end:]
            case 2:
                data = data[:end] + data[start:end] * 3 + data[end:]
            case 3:
                data = data[:start] + word + data[start + len(word) :]
            case 4:
                data = data[:start] + bytes(b ^ 0x20 for b in data[start:end]) + data[end:]
            case _:
                data = data[:end]
    return data[:2_000_000]


def reshaped(document: Any, edits: list[tuple[int, float, float, bytes]]) -> Any:  # noqa: ANN401
    """Return a JSON document in which values were replaced by odd ones, or by each other."""
    for kind, at, until, _word in edits:
        places = list(places_of(document))
        if not places:
            return document
        holder, key = places[int(at * (len(places) - 1))]
        other, other_key = places[int(until * (len(places) - 1))]
        odd = ODD[int(until * (len(ODD) - 1))]
        if kind == 0 and isinstance(holder, dict):
            del holder[key]
        elif kind == 1:
            holder[key] = json.loads(json.dumps(other[other_key]))
        else:
            holder[key] = json.loads(json.dumps(odd))
    return document


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    if isinstance(value, (dict, list)):
        for key in keys:
            yield value, key
            yield from places_of(value[key]) if isinstance(value[key], (dict, list)) else ()


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
            for field in found.fields.get(file.path, ()):
                prove(file, field)
    return seen


def _docker_config(data: bytes) -> object:
    folder = Path(os.environ["GITOPS_FUZZ_FOLDER"])
    (folder / "config.json").write_bytes(data)
    environment = {"DOCKER_CONFIG": str(folder), "PATH": "/nonexistent", "HOME": str(folder)}
    return [
        find_login([name], environment, 1) for name in ("docker.io", "reg.example", "other.example")
    ]


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
        registries = Registries({"docker.io": endpoint}, {}, patience=3)
        image = parse_image(IMAGE)
        return _all(lambda: registries.tags(image), lambda: registries.digest_of(image))


def _oci(data: bytes) -> object:
    with AnyAnswer(data) as url:
        host = url.removeprefix("http://")
        registries = Registries({}, {}, patience=3)
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
    return [read_heads(text(data)), escaped(text(data))]


def _query(data: bytes) -> object:
    tags = [{"name": f"1.{n}", "digest": D, "older": n < 2, "size": n} for n in range(4)]
    return search(text(data), {"tags": tags, "current": {"name": "1.3"}})


def _patterns(data: bytes) -> object:
    pattern, _, tag = text(data).partition("\n")
    return apply_filter(pattern, "$1", tag[:128])


READERS = (
    Reader("state file", lambda data: parse_state(data, "default", "cart"), STATES),
    Reader("file of a hold", lambda data: parse_held(data, ".held/a.json"), HELD),
    Reader("record", lambda data: parse_record(data, "a record"), RECORDS),
    Reader("plan", lambda data: parse_plan(data, "plan.json"), PLANS),
    Reader("commit message", lambda data: read_trailers(text(data), "cart", "default"), MESSAGES),
    Reader("configuration", parse_config, (CONFIG,)),
    Reader("manifest, kustomization, values", _manifests,
           (*(one.encode() for files in LAYOUT_FILES for one in files.values()), POLICY.encode())),
    Reader("storage objects", lambda data: review({"a.yaml": data}), (CART.encode(),)),
    Reader("Docker's config.json", _docker_config, (DOCKER_CONFIG,)),
    Reader("Docker Hub's answers", _hub, (HUB,)),
    Reader("a registry's answers", _oci, OCI),
    Reader("Jenkins' answers", _jenkins, (BUILDS,)),
    Reader("GitHub's and GitLab's answers", _forge, PULLS),
    Reader("a cluster's objects", _rollout, POD),
    Reader("a list of refs", _git, (b"ref: refs/heads/main\tHEAD\n" + b"a" * 40 + b"\tHEAD\n",)),
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


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITOPS_FUZZ_FOLDER", str(tmp_path_factory.mktemp("fuzz")))
        yield


def is_json(seed: bytes) -> bool:
    try:
        json.loads(seed)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whatever_stands_in_bytes_from_outside_it_is_read_or_refused(reader: Reader) -> None:
    for seed in reader.seeds:  # what is sound is read, but where it is an answer of another kind
        attempt(reader, seed)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=not LONG,
    )
    @given(st.sampled_from(reader.seeds), EDITS, EDITS)
    def draw(
        seed: bytes,
        shape: list[tuple[int, float, float, bytes]],
        edits: list[tuple[int, float, float, bytes]],
    ) -> None:
        if is_json(seed) and edits[0][0] % 2:
            document = reshaped(json.loads(seed), shape)
            attempt(reader, json.dumps(document).encode(errors="surrogatepass"))
        else:
            attempt(reader, edited(seed, edits))

    draw()


def attempt(reader: Reader, data: bytes) -> None:
    """Read bytes; what is raised is an error for people, or how this reader says no."""
    with alarm.bounded(PATIENCE):
        try:
            reader.read(data)
        except GitopsRollbackError as error:
            check(error)
        except reader.refuses:
            pass


@given(EDITS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_git_says_is_read_as_it_is_made(edits: list[tuple[int, float, float, bytes]]) -> None:
    """Git makes these, of names that anybody chose: any name comes back as it was."""
    for _kind, _at, _until, word in edits:
        name = word.replace(b"\0", b"").replace(b"/", b"") or b"x"
        tree = read_tree(TREE.replace(b"apps/cart.yaml", name))
        assert tree[0].path.encode(errors="surrogateescape") == name
        path = name.decode(errors="surrogateescape")
        log = LOG.replace(b"apps/cart.yaml", name).replace(b"message", word.replace(b"\0", b""))
        assert LOG_FORMAT
        assert [change.oid for change in read_logs(log, [path])[path]] == ["b" * 40]
        data = b"%s blob %d\n%s\n" % (b"a" * 40, len(word), word)
        assert list(read_batch(data * 2)) == [("a" * 40, word)] * 2
