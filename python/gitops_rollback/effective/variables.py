"""Flux variables in images: `acme/cart:${CART_TAG}`, whose tag stands in a substitution. Pure.

fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution; the syntax
is that of github.com/drone/envsubst, of which names and defaults are understood here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.tree import entries, find
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.document import printed, reads_as_text
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    HELM,
    REFERENCE,
    SUBSTITUTION,
    TAG,
    Part,
    Problem,
    split_version,
)
from gitops_rollback.manifest.scalars import read_scalar, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.effective.landing import Landing
    from gitops_rollback.manifest.flux import Definition, FluxKustomization
    from gitops_rollback.manifest.image_field import ImageField

_VARIABLE = regex(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?:=|:[=-])(?P<default>[^{}]*))?\}")
# No name behind the brace, or what neither closes it nor is a function (fluxcd/pkg, envsubst).
_BROKEN = regex(r"(?<!\$)\$\{(?:(?![\w#])|\w+(?![\w:=,^/#%}])).?")
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENT = regex(rb"^[ \t]*#.*$", re.MULTILINE)
_USE = regex(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class Variables:
    """What gives Flux variables their values, and how often each is used in all files.

    `secrets` are the Secrets that may define more, which nobody reads; where nothing at all is to
    define any, none is filled in (`is_filled`), nor is its default.
    """

    definitions: Mapping[str, Definition]
    uses: Mapping[str, int]
    secrets: tuple[str, ...] = ()
    is_filled: bool = True


def flaw_of(flux: FluxKustomization, names: Iterable[str]) -> str:
    """Return why Flux fills in no variable at all, and fails; empty for nothing (varsub.go).

    `names` are those that are defined, by whatever it takes them from.
    """
    odd = next((name for name in names if not _NAME.fullmatch(name)), None)
    if odd is not None:
        return f"'{odd}' is no name of a variable, as which Flux takes each key: it applies nothing"
    own = entries(find(flux.spec, "postBuild", "substitute")).items()
    scalars = ((key, value) for key, value in own if isinstance(value, yaml.ScalarNode))
    odd = next((key for key, value in scalars if not reads_as_text(value)), None)
    return f"the variable {odd} is no text: the object is not taken as it stands" if odd else ""


def broken_in(text: str) -> str:
    """Return what of a text Flux fails on, as it looks for variables; empty for nothing."""
    found = _BROKEN.search(text)
    return found[0] if found else ""


def uses_in(data: bytes) -> list[str]:
    """Return the names of the variables a file uses, each as often as it does; no comments."""
    return [name.decode() for name in _USE.findall(_COMMENT.sub(b"", data))]


def variable_names(text: str) -> list[str]:
    """Return the names of the variables in a text."""
    return [match["name"] for match in _VARIABLE.finditer(text)]


def substitute(image: Landing, variables: Variables, used: Mapping[str, int]) -> Landing:
    """Return an image with its variables replaced; the field to edit may be a definition.

    `used` counts in how many images each variable stands.
    """
    text = image.text
    if "${" not in text:
        return image
    missing = _missing(text, variables)
    if missing:
        return image.blocked(missing)
    number = _number(image, variables)
    whole = filled(f"{image.name}:{number}" if number else text, variables)
    try:
        parse_image(whole)
    except InvalidImageError as error:
        return image.blocked(Problem(str(error)))
    name, version = split_version(whole)
    if "${" not in image.version and not _VARIABLE.fullmatch(text):
        return replace(image, name=name, decider=replace(image.decider, problem=EDITABLE))
    field = _definition_field(image, variables, used)
    if isinstance(field, Problem):
        return image.blocked(field)
    return replace(image.decided_by(field, name, version), made=image.made)


def _number(image: Landing, variables: Variables) -> str:
    """Return what a chart prints for a tag that a variable makes a number of; empty for none.

    Flux fills variables into the text of a build, in which no quotes are left: `1.50` becomes 1.5.
    """
    tag = image.version.removeprefix(":")
    if image.use.form != HELM or not _VARIABLE.fullmatch(tag):
        return ""
    return printed(yaml.ScalarNode("", filled(tag, variables)))


def _missing(text: str, variables: Variables) -> Problem:
    if "${" in _VARIABLE.sub("", text) or "$$" in text:  # `$${A}` stays `${A}`
        return Problem(f"'{text}' has a Flux variable in a form that is not understood")
    for match in _VARIABLE.finditer(text):
        if match["name"] in variables.definitions or match["default"] is not None:
            continue
        if variables.secrets:
            return Problem(
                f"the variable {match['name']} may stand in the Secret {variables.secrets[0]}, "
                "which is not read;",
                "define it in postBuild.substitute",
            )
        return Problem(
            f"no postBuild.substitute and no ConfigMap in these files defines the variable "
            f"{match['name']}"
        )
    if not variables.is_filled:
        why = "Flux fills in no variable, as its Kustomization defines none in postBuild:"
        return Problem(why, "write the image out, or define one there")
    return EDITABLE


def filled(text: str, variables: Variables) -> str:
    """Return a text with its variables replaced; of those that nothing defines nothing is left."""

    def value(match: re.Match[str]) -> str:
        definition = variables.definitions.get(match["name"])
        if definition is not None and (definition.node.value or match["default"] is None):
            return str(definition.node.value)
        return match["default"] or ""

    return _VARIABLE.sub(value, text)


def _definition_field(
    image: Landing, variables: Variables, used: Mapping[str, int]
) -> ImageField | Problem:
    """Return the field that gives the image its version, or why there is none."""
    whole = _VARIABLE.fullmatch(image.text)
    if whole is not None:
        return _field(image, variables, {REFERENCE: whole}, used)
    tag_text, _, digest_text = image.version.partition("@")
    tag, digest = (list(_VARIABLE.finditer(text)) for text in (tag_text, digest_text))
    if len(tag) > 1 or len(digest) > 1 or (digest and digest[0][0] != digest_text):
        return Problem(f"'{image.version}' has more than one variable for one thing")
    literal_digest, literal_tag = digest_text and not digest, len(tag_text) > 1 and not tag
    if literal_digest or (digest and literal_tag):
        return Problem("tag and digest stand in different files")
    roles = {TAG: tag[0]} if tag else {}
    return _field(image, variables, {**roles, **({DIGEST: digest[0]} if digest else {})}, used)


def _field(
    image: Landing,
    variables: Variables,
    roles: Mapping[str, re.Match[str]],
    used: Mapping[str, int],
) -> ImageField | Problem:
    parts = []
    for role, match in roles.items():
        definition = variables.definitions.get(match["name"])
        if definition is None or (match["default"] and not definition.node.value):
            return Problem(
                f"its version is the default of {match['name']};", "define the variable instead"
            )
        scalar = read_scalar(definition.place.file, definition.node)
        before = match.string[: match.start()].removeprefix(":") if role == TAG else ""
        after = match.string[match.end() :] if role == TAG else ""
        number = _number(image, variables) if role == TAG else ""
        parts.append((definition, Part(role, match["name"], scalar, before, after, number)))
    first = parts[0][0]
    if any(definition.place.file.path != first.place.file.path for definition, _part in parts):
        return Problem("tag and digest are variables in different files")
    names = [match["name"] for match in roles.values()]
    problem = next((p for _d, part in parts if (p := spelling_problem(part.scalar))), EDITABLE)
    field = first.place.field(names[0], tuple(p for _d, p in parts), SUBSTITUTION, problem)
    return replace(
        field,
        labels=image.use.labels,
        containers=frozenset(names),
        tag_only=_tag_only(parts[0][1], names[0], variables, used),
    )


def _tag_only(part: Part, name: str, variables: Variables, used: Mapping[str, int]) -> str:
    """Say why a variable cannot hold a digest: where it stands in more than images, or inside."""
    if part.role != TAG:
        return ""
    if part.after:
        return f"the manifest writes more behind ${{{name}}}"
    others = variables.uses.get(name, 0) - used.get(name, 0)
    if others <= 0:
        return ""
    places = "another place" if others == 1 else f"{others} other places"
    return f"the variable {name} stands in {places} too, which may be no image"
