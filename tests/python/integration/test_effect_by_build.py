"""What is said to be deployed takes effect: random trees, held against `kustomize build`.

Each tree is built before a deploy, after it and after its undoing. In none may a deploy be made
after which the build has another image than was meant, or anything else that differs; after the
rollback the build is that of before, byte for byte. Needless refusals are counted by kind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.decide.effect import blocks_of, edited, findings_of, findings_of_each
from gitops_rollback.decide.facts import NeedFindings, ServiceAtTip
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.image import find_image
from gitops_rollback.manifest.edit import restoring_edit
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment
from gitops_rollback.services.inventory import parts_of, read_manifests
from integration.random_trees import APPLIED, RandomTree, random_tree
from integration.wide_trees import SETTINGS, wide_tree
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.services.catalogue import ServiceFields

WHOLE = Environment("production")
TREES = 2_000 if os.environ.get("GITOPS_LONG_TESTS") else 100
WIDE_TREES = 1_000 if os.environ.get("GITOPS_LONG_TESTS") else 40
MOST_NEEDLESS = 0.10
MORE = "more than images changed"
NO_DIGEST = "no digest can stand there"
MOVES = "it changes more than images"  # which has to be said then
# Refusals of what a better model could deploy; of the rest no edit of one value would be right.
NEEDLESS = frozenset({"not proven", "a replacement decides", "no effect", "not found"})


@dataclass(frozen=True)
class Kustomize:
    """The real tool, and a folder to put a tree in."""

    program: str
    folder: Path

    def build(self, files: Mapping[str, str], root: str) -> str | None:
        """Return what the tool makes of a folder; None where it refuses."""
        self._write(files)
        return self._build(root)

    def generate(self, files: Mapping[str, str], root: str) -> str | None:
        """Return what Flux makes of a folder: it scans one without a kustomization, as this does.

        `kustomize create --autodetect --recursive` is where Flux has it from
        (fluxcd/pkg, kustomize/kustomize_generator.go, scanManifests).
        """
        self._write(files)
        if f"{root}/kustomization.yaml" not in files:
            subprocess.run(
                [self.program, "create", "--autodetect", "--recursive"],
                cwd=self.folder / root,
                check=True,
                timeout=60,
            )
        return self._build(root)

    def _write(self, files: Mapping[str, str]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, text in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def _build(self, root: str) -> str | None:
        line = ["build", "--load-restrictor", "LoadRestrictionsNone", root]
        return said_by(self.program, *line, folder=self.folder)


def said_by(program: str, *arguments: str, folder: Path) -> str | None:
    """Return what a real tool says, run in a folder; None if it fails."""
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="module")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> Kustomize:
    program = os.environ.get("KUSTOMIZE") or shutil.which("kustomize")
    if program is None:
        assert not os.environ.get("CI"), "kustomize is not there: .ci/run installs it"
        pytest.skip("kustomize is not on PATH and not named by KUSTOMIZE: nothing to judge by")
    return Kustomize(program, tmp_path_factory.mktemp("trees") / "tree")


@dataclass(frozen=True)
class Outcome:
    """What became of a tree: `deployed`, `refused`, `no build` or `wrong`, and why."""

    kind: str
    why: str = ""


def judged(kustomize: Kustomize, tree: RandomTree) -> Outcome:
    """Deploy and roll back in a tree, and hold both against the real builds."""

    def build(files: Mapping[str, str]) -> str | None:
        built = kustomize.build(applied(tree, files), tree.root)
        return built if built is None or tree.flux is None else substituted(built, files)

    before = build(tree.files)
    if before is None or not any(is_cart(image) for image in images_of(before).values()):
        return Outcome("no build")
    return outcome_of(tree.files, before, build)


def outcome_of(
    files: Mapping[str, str], before: str, build: Callable[[Mapping[str, str]], str | None]
) -> Outcome:
    """Deploy cart in some files, roll back, and hold both against builds: `before` is the first.

    Where no digest can stand, the tag alone is accepted: what moves with it is known then.
    """
    outcome = _outcome(files, before, build, frozenset())
    if NO_DIGEST in outcome.why:
        return _outcome(files, before, build, frozenset({"tag"}))
    return outcome


def _outcome(
    files: Mapping[str, str],
    before: str,
    build: Callable[[Mapping[str, str]], str | None],
    accept: frozenset[str],
) -> Outcome:
    try:
        found = service_of(files)
        image = found.image.with_version("9.9.9", digest("new"))
        edits = deploy_edits(found.fields, image, accept, "digest")
        at = ServiceAtTip(Tip("main", "0" * 40), found, None)
        findings = findings_of(at, edits, image)
        blocks = blocks_of(at, findings)
    except GitopsRollbackError as error:
        return Outcome("refused", error.message)
    if blocks:
        return Outcome("refused", blocks[0].message)
    after_files = with_edits(files, found, edits)
    after = build(after_files)
    failed = "the build fails after the deploy"
    problem = difference(before, after, image, has_tags=bool(accept)) if after else failed
    is_said = bool(accept) or any(MOVES in one.message for one in findings)
    if problem and not (problem == MORE and is_said):
        return Outcome("wrong", problem)
    again = service_of(after_files)
    pairs = zip(again.fields, found.fields, strict=True)
    back = [restoring_edit(new, old.value, old.recorded_parts) for new, old in pairs]
    restored = with_edits(after_files, again, back)
    is_back = restored == files or build(restored) == before  # of the same files it is the same
    why = "the build after the rollback is not that of before"
    return Outcome("deployed") if is_back else Outcome("wrong", why)


def service_of(files: Mapping[str, str]) -> ServiceFields:
    data = {path: text.encode() for path, text in files.items()}
    return resolve("cart", WHOLE, Config(), read_manifests(data))


def with_edits(
    files: Mapping[str, str], found: ServiceFields, edits: tuple[FieldEdit, ...] | list[FieldEdit]
) -> dict[str, str]:
    after = edited(found.manifests.files, edits)
    return {**files, **{path: file.encode(file.text).decode() for path, file in after.items()}}


def applied(tree: RandomTree, files: Mapping[str, str]) -> dict[str, str]:
    """The files as Flux builds them: its own patches, components and images are merged in.

    fluxcd/pkg, kustomize/kustomize_generator.go; written here a second time, as a judge.
    """
    if tree.flux is None:
        return dict(files)
    spec = yaml.safe_load(files[APPLIED])["spec"]
    path = f"{tree.root}/kustomization.yaml"
    built = yaml.safe_load(files[path])
    built["patches"] = [*built.get("patches", []), *spec.get("patches", [])]
    built["components"] = [*built.get("components", []), *spec.get("components", [])]
    names = {"targetNamespace": "namespace", "namePrefix": "namePrefix", "nameSuffix": "nameSuffix"}
    built.update({own: spec[key] for key, own in names.items() if key in spec})
    for entry in spec.get("images", []):
        same = next((one for one in built.get("images", []) if one["name"] == entry["name"]), None)
        if same is None:
            built.setdefault("images", []).append(dict(entry))
            continue
        if entry.get("newName"):
            same["newName"] = entry["newName"]
        if entry.get("newTag") or entry.get("digest"):
            same.pop("newTag", None), same.pop("digest", None)
            same.update({k: entry[k] for k in ("newTag", "digest") if entry.get(k)})
    return {**files, path: yaml.safe_dump({k: v for k, v in built.items() if v != []})}


def substituted(built: str, files: Mapping[str, str]) -> str:
    """What Flux makes of the variables in a build (fluxcd/pkg, kustomize/kustomize_varsub.go).

    It fills none in where its Kustomization defines none.
    """
    build = yaml.safe_load(files[APPLIED])["spec"].get("postBuild", {})
    values: dict[str, str] = {}
    for source in build.get("substituteFrom", []):
        if source["name"] == "settings":
            values |= yaml.safe_load(files[SETTINGS])["data"]
    values |= build.get("substitute", {})

    def value(found: re.Match[str]) -> str:
        return values.get(found[1]) or found[2] or ""

    return re.sub(r"\$\{(\w+)(?::[=-]([^}]*))?\}", value, built) if values else built


def images_of(build: str) -> dict[tuple[str, ...], str]:
    """The images of a build by kind, namespace, name, list and container."""
    found: dict[tuple[str, ...], str] = {}
    for item in yaml.safe_load_all(build):
        if item["kind"] != "ConfigMap":  # its texts are nobody's image
            walk(
                item,
                (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]),
                found,
            )
    return found


def walk(node: object, path: tuple[str, ...], found: dict[tuple[str, ...], str]) -> None:
    if isinstance(node, list):
        for index, one in enumerate(node):
            walk(
                one,
                (*path, one.get("name", str(index)) if isinstance(one, dict) else str(index)),
                found,
            )
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("image", "reference") and isinstance(value, str):
                found[path] = value
            else:
                walk(value, (*path, key), found)


def is_cart(text: str) -> bool:
    image = find_image(text)
    return image is not None and image.repository.endswith("/cart")


def difference(before: str, after: str, target: ImageReference, *, has_tags: bool = False) -> str:
    """What of a build is not as it should be after a deploy; empty where all is right.

    `has_tags` tells that an image may have the tag alone.
    """
    was, now = images_of(before), images_of(after)
    if was.keys() != now.keys():
        return f"containers came or went: {was.keys() ^ now.keys()}"
    for place, old in was.items():
        image = find_image(now[place])
        digests = (target.digest, None) if has_tags else (target.digest,)
        is_new = image is not None and image.tag == target.tag and image.digest in digests
        digest_only = image is not None and image.tag is None and image.digest == target.digest
        before_ = find_image(old)
        is_meant = before_ is not None and before_.full_repository == target.full_repository
        if is_meant and not is_new and not digest_only:
            return f"{'/'.join(place)} has {now[place]}"
        if not is_meant and now[place] != old:
            return f"{'/'.join(place)} was {old} and is {now[place]}"
    if blind(before) != blind(after):
        return MORE
    return ""


def blind(build: str) -> str:
    return re.sub(r"(?m)^(\s*(?:- )?(?:image|reference): ).*$", r"\1", build)


def kind_of(message: str) -> str:
    """The kind of a refusal, without places and names."""
    known = (
        ("releases of Flux differ", "releases differ"),
        ("disagree", "fields of the service disagree"),
        ("image repositories", "two image repositories"),
        ("inline patch", "an inline patch decides"),
        ("replacement", "a replacement decides"),
        ("changes more than was meant", "others would move"),
        ("several images", "one version of several images"),
        ("immutable", "immutable"),
        ("sets no tag", "an entry without version"),
        ("there is no service", "not found"),
        ("the JSON patch", "a JSON patch fails after the edit"),
        ("has no place for", "no place for the digest"),
        ("names two digests", "two digests"),
        ("is left in what kustomize makes", "a directive is left"),
        ("is not proven", "not proven"),
        ("would take effect", "another takes effect"),
        ("has no effect", "no effect"),
        ("would be gone", "gone"),
        ("releases of kustomize differ", "releases differ"),
    )
    return next((kind for part, kind in known if part in message), message)


def test_no_tree_is_called_deployed_that_the_build_says_is_not(kustomize: Kustomize) -> None:
    outcomes = {seed: judged(kustomize, random_tree(seed)) for seed in range(TREES)}
    kinds = Counter(kind_of(one.why) for one in outcomes.values() if one.kind == "refused")
    total = Counter(one.kind for one in outcomes.values())
    wrong = {seed: one.why for seed, one in outcomes.items() if one.kind == "wrong"}
    assert not wrong, wrong
    needless = sum(number for kind, number in kinds.items() if kind in NEEDLESS)
    answered = total["deployed"] + total["refused"]
    assert needless <= MOST_NEEDLESS * answered, (total, kinds)
    assert total["deployed"] > answered / 2, (total, kinds)


def test_edits_of_several_services_are_judged_together_as_each_is_alone() -> None:
    """Two trees side by side: what is found of both at once is what is found of each."""
    told = 0
    for seed in range(0, TREES, 2):
        one, other = (random_tree(number).files for number in (seed, seed + 1))
        files = {f"one/{path}": in_folder("one", text) for path, text in one.items()}
        files |= {
            f"two/{path}": in_folder("two", text).replace("acme/cart", "acme/basket")
            for path, text in other.items()
        }
        asked = list(wishes(files))
        for (need, at), found in zip(asked, findings_of_each(asked), strict=True):
            alone = findings_of(at, need.edits, need.image)
            assert found is None or found == alone, (seed, at.service)
            told += found is not None
    assert told > TREES / 4, told


def test_a_tree_that_is_read_in_parts_has_the_effect_of_the_whole() -> None:
    parts = 0
    for seed in range(TREES):
        tree = random_tree(seed).files
        folders = sorted({path.rpartition("/")[0] for path in tree} | {"other"})
        lone = {f"{folder}/lone.yaml": DEPLOYMENT.replace("cart", "lone") for folder in folders}
        data = {path: text.encode() for path, text in {**tree, **lone}.items()}
        whole = read_manifests(data).effective({}, WHOLE).effect
        found = [
            read_manifests(one).effective({}, WHOLE) for one in parts_of(data, data.__getitem__)
        ]
        assert {one for part in found for one in part.effect.landed} == {*whole.landed}, seed
        parts += len(found)
    assert parts > TREES, parts


def in_folder(folder: str, text: str) -> str:
    return text.replace("path: ./", f"path: ./{folder}/")


def wishes(files: Mapping[str, str]) -> Iterator[tuple[NeedFindings, ServiceAtTip]]:
    """What every service of some files that can be edited is to become."""
    manifests = read_manifests({path: text.encode() for path, text in files.items()})
    for name in ("cart", "basket", "envoy", "other"):
        try:
            found = resolve(name, WHOLE, Config(), manifests)
            image = found.image.with_version("9.9.9", digest("new"))
            edits = deploy_edits(found.fields, image, frozenset(), "digest")
            edited(manifests.files, edits)
        except GitopsRollbackError:
            continue
        written = tuple((edit.field.key, edit.value) for edit in edits)
        yield NeedFindings(written, image, edits), ServiceAtTip(Tip("main", "0" * 40), found, None)


def test_no_tree_with_the_rest_of_the_grammar_is_called_deployed_that_the_build_says_is_not(
    kustomize: Kustomize,
) -> None:
    outcomes = {seed: judged(kustomize, wide_tree(seed)) for seed in range(WIDE_TREES)}
    wrong = {seed: one.why for seed, one in outcomes.items() if one.kind == "wrong"}
    assert not wrong, wrong
    total = Counter(one.kind for one in outcomes.values())
    assert total["deployed"] > total["refused"], total


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers: [{name: server, image: "acme/cart:1"}]
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./%s}
"""
ANOTHER = {"apps/kustomization.yaml": "resources: [ns.yaml]\n", "apps/ns.yaml": NAMESPACE}


PLACES = ["", "shop/", "shop/cart/"]


@pytest.mark.parametrize(
    ("place", "flux"),
    [
        *((place, None) for place in PLACES),
        *((p, f"apps/{a}".rstrip("/")) for p in PLACES for a in PLACES if p.startswith(a)),
    ],
)
@pytest.mark.parametrize(
    "more",
    [
        {},
        ANOTHER,
        {**ANOTHER, "apps/kustomization.yaml": "resources: [ns.yaml, {place}deployment.yaml]\n"},
        {**ANOTHER, "apps/shop/kustomization.yaml": "resources: [../ns.yaml]\n"},
        {"apps/shop/kustomization.yaml": "resources: [ns.yaml]\n", "apps/shop/ns.yaml": NAMESPACE},
        {**ANOTHER, "apps/kustomization.yaml": "resources: [ns.yaml, shop]\n",
         "apps/shop/kustomization.yaml": "resources: [cart/deployment.yaml]\n"},
    ],
    ids=["none", "another", "listed", "two", "below", "nested"],
)  # fmt: skip
def test_a_workload_is_deployed_where_what_applies_its_folder_takes_it(
    kustomize: Kustomize, more: dict[str, str], place: str, flux: str | None
) -> None:
    """What Flux applies is what it points at; else every kustomization, or the whole plain tree."""
    path = f"apps/{place}deployment.yaml"
    files = {name: text.replace("{place}", place) for name, text in more.items()}
    files[path] = DEPLOYMENT
    folders = {name.rpartition("/")[0] for name in files if name.endswith("kustomization.yaml")}
    tops = {flux} if flux else folders | ({"apps"} if "apps" not in folders else set())
    built = [kustomize.generate(files, top) for top in sorted(tops)]
    takes = any(text is not None and "acme/cart:1" in text for text in built)
    if flux:
        files["clusters/flux.yaml"] = FLUX % flux
    found = service_of(files)
    image = found.image.with_version("9.9.9", digest("new"))
    edits = deploy_edits(found.fields, image, frozenset(), "digest")
    at = ServiceAtTip(Tip("main", "0" * 40), found, None)
    is_refused = bool(blocks_of(at, findings_of(at, edits, image)))
    assert is_refused or takes
    others = [folder for folder in folders if path.startswith(f"{folder}/")]
    assert not is_refused or not takes or others
