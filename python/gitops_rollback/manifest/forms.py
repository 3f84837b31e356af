"""How each form of image field takes another version: which scalar gets which text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.late import field as attribute
from gitops_rollback.manifest.document import reads_as_string
from gitops_rollback.manifest.image_field import (
    DIGEST,
    KUSTOMIZE,
    REFERENCE,
    SUBSTITUTION,
    TAG,
    ImageField,
    Part,
    split_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a record may give back as the raw text of a scalar: a tag, a digest, quoted or not.
_RAW = regex(r"""(?P<quote>['"]?)[A-Za-z0-9_.@:+-]*(?P=quote)""")


@dataclass(frozen=True)
class FieldEdit:
    """The new value of one image field; `raw` are exact texts of its parts, where recorded."""

    field: ImageField
    value: str
    raw: Mapping[str, str] = attribute(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """The new text of each part that changes, by its key, without quotes."""
        return part_texts(self.field, self.value)


def part_texts(field: ImageField, value: str) -> dict[str, str]:
    """Return the new text of each part that changes when a field gets a value, by its key.

    Raises `ManifestError` where the parts cannot say it.
    """
    reference = field.part(REFERENCE)
    if reference is not None:
        return {reference.key: value} if value != reference.text else {}
    tag, digest = _tag_and_digest(split_version(value)[1])
    texts = _split_texts(field, tag, digest)
    parts = {part.key: part for part in field.parts}
    changed = [key for key, text in texts.items() if text != parts[key].text]
    return {
        key: _without_surroundings(field, parts[key], text)
        for key, text in texts.items()
        if key in changed or (changed and _is_misread(parts[key]))
    }


def _is_misread(part: Part) -> bool:
    """Tell whether YAML reads a part as something else: a chart prints the tag 1.10 as 1.1."""
    scalar = part.scalar
    is_plain = scalar.raw[:1] not in ("'", '"')
    return is_plain and bool(part.text) and not reads_as_string(scalar.value)


def value_of(field: ImageField, tag: str | None, digest: str | None) -> str:
    """Return the value a field has with another tag and digest: its name's text stays.

    A field that only has a digest shows no tag. Raises `ManifestError` where the field cannot say
    it: no digest where only a tag can stand, no tag where only a digest can.
    """
    name = split_version(field.value)[0]
    if field.part(REFERENCE) is None:
        _split_texts(field, tag, digest)
        if digest is not None and not _shows_tag(field):
            tag = None
    if digest is not None and field.tag_only:
        raise ManifestError(
            f"{field.place}: no digest can stand there: {field.tag_only}",
            'deploy the tag alone: --accept tag, or pin = "tag" in the configuration',
        )
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def can_hold_digest(field: ImageField) -> bool:
    """Tell whether a digest can stand in a field."""
    return not field.tag_only


def can_stand(field: ImageField, raw: str) -> bool:
    """Tell whether what takes a field reads a raw text at all: kustomize and Flux take no number.

    A chart prints one.
    """
    is_quoted = raw[:1] in ("'", '"')
    return field.form not in (KUSTOMIZE, SUBSTITUTION) or is_quoted or reads_as_string(raw)


def restoring_edit(field: ImageField, value: str, recorded: Mapping[str, str]) -> FieldEdit:
    """Return the edit that gives a split field its recorded texts back, quotes included.

    `recorded` comes from outside: what is no plain tag or digest is not taken as it is.
    """
    keys = {part.key for part in field.parts if part.role in (TAG, DIGEST)}
    raw = {key: text for key, text in recorded.items() if key in keys and _RAW.fullmatch(text)}
    return FieldEdit(field, value, raw)


def _split_texts(field: ImageField, tag: str | None, digest: str | None) -> dict[str, str]:
    """Return the texts of tag and digest part, what stands around variables included."""
    tag_part, digest_part = field.part(TAG), field.part(DIGEST)
    if digest is None:
        if tag_part is None or tag is None or not tag_part.can_be_filled:
            raise _cannot(field, "a tag" if digest_part else "a version")
        emptied = {digest_part.key: ""} if digest_part and digest_part.text else {}
        if emptied and field.form == SUBSTITUTION:  # the manifest writes the at-sign
            raise _cannot(field, "a tag alone")
        return {tag_part.key: tag, **emptied}
    inline = tag_part is not None and "@" in tag_part.text
    if digest_part is not None and digest_part.can_be_filled and not inline:
        shown = {tag_part.key: tag or ""} if tag_part and tag_part.text else {}
        return {**shown, digest_part.key: digest}
    if tag_part is None or tag is None or not tag_part.can_be_filled:
        raise _cannot(field, "a digest without a tag" if tag_part else "a digest")
    return {tag_part.key: f"{tag}@{digest}"}


def _shows_tag(field: ImageField) -> bool:
    part = field.part(TAG)
    return part is not None and bool(part.text)


def _without_surroundings(field: ImageField, part: Part, text: str) -> str:
    """Return the text of a Flux variable's scalar: without what stands around the variable."""
    is_within = len(text) >= len(part.before) + len(part.after)
    if text.startswith(part.before) and text.endswith(part.after) and is_within:
        return text[len(part.before) : len(text) - len(part.after)]
    raise ManifestError(
        f"{field.place}: '{text}' does not fit: the manifest writes {part.before}${{{part.key}}}"
        f"{part.after}",
        "choose a tag of that shape, or change the manifest",
    )


def _tag_and_digest(version: str) -> tuple[str | None, str | None]:
    tag, _, digest = version.partition("@")
    return tag.removeprefix(":") or None, digest or None


def _cannot(field: ImageField, what: str) -> ManifestError:
    keys = ", ".join(part.key for part in field.parts)
    return ManifestError(
        f"{field.place}: '{field.container}' has no place for {what}: there is only {keys}",
        "write a tag there once by hand (newTag in a kustomization, tag in Helm values)",
    )
