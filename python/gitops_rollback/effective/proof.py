"""What a real build of kustomize proves of an edit, where the model does not know. Pure.

The folder that a root applies is built as it stands and as it would be. Between the two builds an
image may become the one that is meant, and nothing else may differ. What was proven so is written
down with the blobs that were built: where they are the same, it is proven still.
"""

from __future__ import annotations

from hashlib import new
from typing import TYPE_CHECKING, Any

from gitops_rollback.effective.effect import OTHER, UNKNOWN, Finding
from gitops_rollback.effective.recipe import read_recipe
from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image, may_be
from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse, scalars_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.model import some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.effective.effect import Effect, Landed
    from gitops_rollback.effective.recipe import Recipe
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import FieldKey, ImageField

MODEL = "model"
BUILD = "build"
RESTORED = "restored"
ACCEPTED = "accepted"
_SHA1_LENGTH = 40
_MOST_SHOWN = 3
_HINT = "look at what the overlays make of it, then deploy with --accept effect"


@dataclass(frozen=True)
class Proof:
    """What proves that an edit takes effect.

    `by` is `model` where the files were followed, `build` where a tool of some version built the
    `recipes`, `restored` where a rollback brings back an effect that was there, `accepted` where
    nothing proves it and a person took it all the same. `tree` are the blobs that were built, by
    path; `edited` those that the edit makes of them.
    """

    by: str
    tool: str = ""
    version: str = ""
    recipes: tuple[Recipe, ...] = ()
    tree: Mapping[str, str] = field(default_factory=dict)
    edited: Mapping[str, str] = field(default_factory=dict)

    def covers(
        self, recipes: Iterable[Recipe], tree: Mapping[str, str], edited: Mapping[str, str]
    ) -> bool:
        """Tell whether it is of these builds still: the same blobs, and the same edit of them."""
        is_build = self.by == BUILD and set(recipes) <= set(self.recipes)
        return is_build and self.tree == tree and self.edited == edited

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in plans and results."""
        if self.by != BUILD:
            return {"by": self.by}
        return {
            "by": self.by,
            "tool": self.tool,
            "version": self.version,
            "builds": [recipe.to_json() for recipe in self.recipes],
            "tree": dict(sorted(self.tree.items())),
            "edited": dict(sorted(self.edited.items())),
        }


def read_proof(document: Mapping[str, Any]) -> Proof:
    """Read a proof as plans hold it, which the schema has checked."""
    return Proof(
        by=document["by"],
        tool=document.get("tool", ""),
        version=document.get("version", ""),
        recipes=tuple(read_recipe(one) for one in document.get("builds", ())),
        tree=document.get("tree", {}),
        edited=document.get("edited", {}),
    )


def blob_id(data: bytes, commit: str) -> str:
    """Return the id that a blob has in the repository of a commit: git's own hash of it."""
    blob = b"blob %d\0" % len(data) + data
    return new("sha1" if len(commit) == _SHA1_LENGTH else "sha256", blob).hexdigest()


@dataclass(frozen=True)
class Built:
    """What a tool made of a recipe, as it stands and as it would be."""

    recipe: Recipe
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Reached:
    """What the model knows of a root, and what is meant: the edited fields with their images.

    `kinds` and `pointers` say where further images stand.
    """

    was: Effect
    meant: Mapping[FieldKey, ImageReference]
    kinds: Mapping[str, str]
    pointers: tuple[str, ...] = ()

    def landed(self, recipe: Recipe) -> dict[tuple[str, ...], Landed]:
        """Return the images of a recipe by kind, namespace, name and container."""
        return {one.place[1:]: one for one in self.was.landed if one.recipe == recipe}

    def is_meant(self, image: ImageField) -> bool:
        """Tell whether an image is one that is meant; of one without a name, by its version."""
        return any(_is(image, one) for one in self.meant.values())

    def names(self, node: yaml.ScalarNode) -> bool:
        """Tell whether a text is an image that is meant, with its name."""
        found = find_image(str(node.value)) if "/" in node.value or ":" in node.value else None
        return found is not None and any(found == one for one in self.meant.values())

    def is_ours(self, image: ImageField) -> bool:
        """Tell whether an image is of a repository that is edited."""
        found = find_image(image.effective)
        ours = {one.full_repository for one in self.meant.values()}
        return found is not None and found.full_repository in ours


def judge_build(built: Built, reached: Reached) -> tuple[Finding, ...]:
    """Return what stands against an edit, as a build before it and after it shows.

    Another image than was meant, and an image that stays though its field was edited, are `other`;
    whatever else differs is not proven.
    """
    where = built.recipe.title
    try:
        before, after = (parse(f"{where} (built)", one) for one in (built.before, built.after))
        old, new_ = (_fields(file, reached) for file in (before, after))
    except ManifestError as error:
        return (_unknown(f"what is built of {where} cannot be read: {error.message}"),)
    both = [(one, new_[key]) for key, one in old.items() if key in new_]
    changed = [pair for pair in both if _moved(*pair)]
    kept = (pair[1] for pair in both if not _moved(*pair))
    found = [finding for pair in changed for finding in _of_changed(*pair, built.recipe, reached)]
    found += [finding for one in kept for finding in _of_kept(one, built.recipe, reached)]
    found += _rest(before, after, [new for _old, new in changed], built.recipe, reached)
    if not changed:
        found.append(_unknown(f"what is built of {where} stays as it is: the edit has no effect"))
    return tuple(dict.fromkeys(found))


def _fields(file: ParsedFile, reached: Reached) -> dict[tuple[int, str], ImageField]:
    found = find_fields(file, reached.kinds, reached.pointers)
    return {(one.document, one.pointer): one for one in found}


def _moved(old: ImageField, new_: ImageField) -> bool:
    return [part.text for part in old.parts] != [part.text for part in new_.parts]


def _of_changed(
    old: ImageField, new_: ImageField, recipe: Recipe, reached: Reached
) -> Iterator[Finding]:
    """Yield that an image became another than was meant, or that it was not to change."""
    one = reached.landed(recipe).get(_place(new_))
    if not reached.is_meant(new_):
        what = f"{new_.effective} would take effect in {_title(new_, recipe)}"
        yield _other(f"after the edit {what}, as it is built{_because(one)}", new_)
        return
    if new_.reported_only:
        yield _other(f"{_title(new_, recipe)} would change, whose template is immutable", new_)
    decided_elsewhere = one is not None and one.decider not in reached.meant and not one.unknowns
    if decided_elsewhere or not (reached.is_ours(old) or one is not None):
        yield _other(
            f"the edit changes more than was meant: {_title(new_, recipe)} would be "
            f"{new_.effective}, as it is built",
            new_,
        )


def _of_kept(one: ImageField, recipe: Recipe, reached: Reached) -> Iterator[Finding]:
    """Yield that an image stays, though its field was edited, or though nobody says whose it is."""
    if reached.is_meant(one):
        return
    known = reached.landed(recipe).get(_place(one))
    if known is not None and known.decider in reached.meant:
        what = f"{_title(one, recipe)} stays {one.effective}"
        yield _other(f"after the edit {what}, as it is built{_because(known)}", one)
    elif known is None and reached.is_ours(one):
        yield _unknown(f"{_title(one, recipe)} stays {one.effective}, as it is built")


def _rest(
    before: ParsedFile,
    after: ParsedFile,
    changed: Iterable[ImageField],
    recipe: Recipe,
    reached: Reached,
) -> Iterator[Finding]:
    """Yield what differs beside the images; what may be one is named as the configuration would."""
    parts = {id(part.scalar.node) for one in changed for part in one.parts}
    scalars = [
        (number, pointer, node)
        for number, root in enumerate(after.documents)
        for pointer, node in scalars_of(root)
    ]
    ignored = [(number, pointer) for number, pointer, node in scalars if id(node) in parts]
    found = differences(before, after, ignored)
    if not found:
        return
    shown = some([one.what for one in found], _MOST_SHOWN, "; ")
    message = f"what is built of {recipe.title} differs in more than the image: {shown}"
    images = (p for _number, p, node in scalars if id(node) not in parts and reached.names(node))
    image = next(images, "")
    hint = f'if it is an image too, configure its place: fields = ["{image}"]; or {_HINT}'
    yield Finding(UNKNOWN, message, hint if image else _HINT)


def _is(one: ImageField, image: ImageReference) -> bool:
    found = find_image((one.name_text or image.name) + one.version)
    return found is not None and may_be(found, image)


def _because(one: Landed | None) -> str:
    """Name what the model does not follow of an image: that is what made it another."""
    return f" ({one.unknowns[0].text})" if one is not None and one.unknowns else ""


def _place(one: ImageField) -> tuple[str, ...]:
    return (one.kind, one.namespace, one.name, one.container)


def _title(one: ImageField, recipe: Recipe) -> str:
    return f"{one.kind} {one.name}, container '{one.container}' (by {recipe.title})"


def _other(message: str, one: ImageField) -> Finding:
    hint = (
        f"look at what the overlays make of {one.kind} {one.name}, and set the image where they do"
    )
    return Finding(OTHER, message, hint)


def _unknown(message: str) -> Finding:
    return Finding(UNKNOWN, message, _HINT)
