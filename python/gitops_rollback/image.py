"""Image references in Docker's grammar.

Grammar and normalisation: github.com/distribution/reference (`reference.go`, `normalize.go`,
`regexp.go`) and github.com/opencontainers/go-digest (`algorithm.go`).
"""

from __future__ import annotations

import re

from gitops_rollback.late import dataclass, regex

_DOMAIN_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = regex(rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = regex(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_TAG = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_NAME = regex(r"[a-f0-9]{64}")
_DIGEST_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_LONGEST_NAME = 255

DOCKER_HUB = "docker.io"
# The first is what Docker itself calls it in its configuration.
HUB_NAMES = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")


class InvalidImageError(ValueError):
    """Raised when a text is no image reference; its message says why."""


@dataclass(frozen=True)
class ImageReference:
    """An image reference: `name` as it was written, `registry` and `repository` normalised.

    `acme/cart:1.4.2` has registry `docker.io` and repository `acme/cart`; `nginx` has repository
    `library/nginx`. `tag` and `digest` are absent (None) where the text names none.
    """

    name: str
    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return _join(self.name, self.tag, self.digest)

    @property
    def full_repository(self) -> str:
        """Registry and repository, normalised: `docker.io/library/nginx`."""
        return f"{self.registry}/{self.repository}"

    @property
    def canonical(self) -> str:
        """The normalised text of the whole reference, the form used in records and results."""
        return _join(self.full_repository, self.tag, self.digest)

    @property
    def label(self) -> str:
        """What people call this version: the tag, else a short digest."""
        if self.tag is not None:
            return self.tag
        return self.short_digest or "latest"

    @property
    def effective_tag(self) -> str | None:
        """The tag that is pulled: `latest` where neither a tag nor a digest is named."""
        return self.tag or (None if self.digest else "latest")

    @property
    def short_digest(self) -> str | None:
        """The algorithm and the first twelve digits of the digest, if there is one."""
        if self.digest is None:
            return None
        algorithm, _, digits = self.digest.partition(":")
        return f"{algorithm}:{digits[:12]}"

    def with_version(self, tag: str | None, digest: str | None) -> ImageReference:
        """Return the same name with another tag and digest."""
        return ImageReference(self.name, self.registry, self.repository, tag, digest)


def same(one: ImageReference, other: ImageReference) -> bool | None:
    """Tell whether two references name the same image; None if that is not known.

    Equal digests are the same image in whatever repository and under whatever tag, different
    digests are not. Where one has none the answer is not known, whatever the tags: a tag can be
    moved. Whoever asks says what not knowing means; it is never yes.
    """
    if one.digest is None or other.digest is None:
        return None
    return one.digest == other.digest


def same_here(one: ImageReference, other: ImageReference) -> bool | None:
    """Tell the same as `same`, of one repository: what runs, what is unchanged or redeployed."""
    return same(one, other) if one.full_repository == other.full_repository else False


def same_reference(one: ImageReference, other: ImageReference) -> bool:
    """Tell whether two references are written alike, but for how their name is abbreviated.

    That says nothing of the images: without a digest, the same text can mean another image later.
    """
    return one.canonical == other.canonical


def may_be(one: ImageReference, other: ImageReference) -> bool:
    """Tell whether both can name one image of one repository: by digest, else by what is pulled."""
    if one.full_repository != other.full_repository:
        return False
    known = same(one, other)
    if known is not None:
        return known
    return one.effective_tag is not None and one.effective_tag == other.effective_tag


def contradicts(one: ImageReference, other: ImageReference) -> bool:
    """Tell whether two accounts cannot be of one image: to compare what two sources tell.

    Two digests decide. Where one is not told, a tag that both name has to be the same, in one
    repository. That they agree proves nothing.
    """
    known = same(one, other)
    if known is not None:
        return not known
    tags = {one.effective_tag, other.effective_tag} - {None}
    return one.full_repository != other.full_repository or len(tags) > 1


def parse_image(text: str) -> ImageReference:
    """Read an image reference; raise `InvalidImageError` with the reason if it is none."""
    rest, at, digest = text.partition("@")
    if at:
        _check_digest(digest, text)
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidImageError(f"'{text}' has a malformed tag '{tag}'")
    registry, repository = _normalise(name, text)
    return ImageReference(name, registry, repository, tag, digest if at else None)


def find_image(text: str) -> ImageReference | None:
    """Return the image reference a text is; None if it is none."""
    try:
        return parse_image(text)
    except InvalidImageError:
        return None


def step(old: ImageReference, new: ImageReference) -> str:
    """Return a change as people tell it, `1.5.0 → 1.4.2`: by digests where the tags are one."""
    if old.label != new.label or old.canonical == new.canonical:
        return f"{old.label} → {new.label}"
    return f"{old.label}@{old.short_digest or '?'} → {new.label}@{new.short_digest or '?'}"


def step_of(old: str, new: str) -> str:
    """Return the same of the texts of two images; what is no image stands as it is."""
    before, after = find_image(old), find_image(new)
    if before is not None and after is not None:
        return step(before, after)
    return f"{before.label if before else old} → {after.label if after else new}"


def label_of(text: str | None) -> str:
    """Return what people call the image of a text: its tag, else the beginning of its digest."""
    if text is None:
        return "an unknown image"
    found = find_image(text)
    return found.label if found else text


def is_tag(text: str) -> bool:
    """Tell whether a text can be a tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest of a registered algorithm."""
    algorithm, _, digits = text.partition(":")
    length = _DIGEST_HEX_LENGTH.get(algorithm)
    return length is not None and re.fullmatch(rf"[a-f0-9]{{{length}}}", digits) is not None


def _join(name: str, tag: str | None, digest: str | None) -> str:
    return name + (f":{tag}" if tag is not None else "") + (f"@{digest}" if digest else "")


def _split_tag(text: str) -> tuple[str, str | None]:
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _check_digest(digest: str, text: str) -> None:
    if is_digest(digest):
        return
    algorithm = digest.partition(":")[0]
    if algorithm in _DIGEST_HEX_LENGTH:
        reason = (
            f"a {algorithm} digest has {_DIGEST_HEX_LENGTH[algorithm]} small hexadecimal digits"
        )
    else:
        reason = "a digest looks like sha256:…"
    raise InvalidImageError(f"'{text}' has a malformed digest: {reason}")


def _normalise(name: str, text: str) -> tuple[str, str]:
    if not name:
        raise InvalidImageError(f"'{text}' names no repository")
    if _HEX_NAME.fullmatch(name) and name == text:  # with a tag or digest it is a repository
        raise InvalidImageError(f"'{text}' is an image id, not a repository")
    registry, repository = _split_registry(name)
    if not _DOMAIN.fullmatch(registry):
        raise InvalidImageError(f"'{text}' has a malformed registry '{registry}'")
    if not _PATH.fullmatch(repository):
        reason = "must be lower case" if _PATH.fullmatch(repository.lower()) else "is malformed"
        raise InvalidImageError(f"'{text}': the repository '{repository}' {reason}")
    if len(f"{registry}/{repository}") > _LONGEST_NAME:
        raise InvalidImageError(f"'{text}' has a name longer than {_LONGEST_NAME} characters")
    return registry, repository


def has_registry(name: str) -> bool:
    """Tell whether the name of an image begins with the host of a registry."""
    first, slash, _rest = name.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first.lower() != first
    return bool(slash) and is_host


def _split_registry(name: str) -> tuple[str, str]:
    registry, repository = DOCKER_HUB, name
    if has_registry(name):
        registry, _slash, repository = name.partition("/")
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
