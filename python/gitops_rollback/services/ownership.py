"""Refusals of `catalogue`: fields that are not surely one service's to edit, in words. Pure.

And where a service's image stands that is no known field, with what would make it one.
"""

from __future__ import annotations

import posixpath
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError, ManifestError, nearest, nearest_hint
from gitops_rollback.image import contradicts, find_image
from gitops_rollback.late import regex, replace
from gitops_rollback.manifest.argo import folders_of, is_application
from gitops_rollback.manifest.document import scalars_of
from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import HELM, Problem
from gitops_rollback.manifest.kustomize import is_kustomization, patch_texts
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.manifest.scalars import block_of, read_scalar
from gitops_rollback.services.config import FILE
from gitops_rollback.services.inventory import service_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import yaml

    from gitops_rollback.effective.resolve import EffectiveFields
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.objects import ManifestObject
    from gitops_rollback.services.config import Config, Environment, Settings
    from gitops_rollback.services.inventory import Manifests

_CONTAINER = regex(r"(?P<pod>/.+)/(?:initC|c)ontainers/\d+/image")
_VERSION = regex(r"v?[0-9][0-9a-z._-]*")


def only_reported(service: str, fields: list[ImageField]) -> ManifestError:
    """Return the error for a service that only kinds hold which are not edited by themselves."""
    return ManifestError(
        f"service '{service}' is only in {_places(fields)}, whose image cannot be changed",
        f"to edit it all the same: [services.{service}] kinds = "
        f'{{ {fields[0].kind} = "/spec/template/spec" }}',
    )


def refuse_uneditable(service: str, fields: Iterable[ImageField]) -> None:
    """Raise `ManifestError` if a field must not be edited."""
    for field in fields:
        if field.problem:
            raise field.uneditable(service)
        if field.image is None:
            why = Problem(f"'{field.effective}' is no image:", "write name and version apart")
            raise replace(field, problem=why).uneditable(service)


def refuse_disagreement(service: str, fields: tuple[ImageField, ...]) -> None:
    """Raise `ConfigError` if the fields cannot all be of the same image.

    Where one names a digest and another the tag alone, they can be: what was written tells.
    """
    first = fields[0].image
    for field in fields[1:]:
        if not (first and field.image and not contradicts(field.image, first)):
            raise disagreement(service, fields, field)


def disagreement(
    service: str, fields: tuple[ImageField, ...], other: ImageField | None = None
) -> ConfigError:
    """Return the error for fields of which it is not known that they are of the same image."""
    first = fields[0]
    known = first.image.digest if first.image else None
    unlike = (f for f in fields[1:] if f.image is None or f.image.digest != known)
    return ConfigError(
        f"the fields of service '{service}' disagree on the image: {_list(fields)}",
        "set them to one image, or choose: "
        f"{_choice(service, first, other or next(unlike, fields[-1]))}",
    )


def _choice(service: str, one: ImageField, other: ImageField) -> str:
    """Return the line of configuration that tells two fields apart."""
    if one.container != other.container:
        return f'[services.{service}] containers = ["{one.container}"]'
    folder = PurePosixPath(one.path).parent
    if folder != PurePosixPath(other.path).parent:
        return f'[environments.{folder.name or "production"}] path = "{folder}"'
    return f'[services.{service}] manifests = ["{one.path}"]'


def refuse_other_environments(
    fields: Iterable[ImageField], environment: Environment, config: Config
) -> None:
    """Raise `ConfigError` if another environment on the same branch holds a field too."""
    for field in fields:
        for other in config.environments.values():
            same_branch = other.branch == environment.branch
            if other.name != environment.name and same_branch and other.holds(field.path):
                raise ConfigError(
                    f"{field.place} belongs to the environments '{environment.name}' and "
                    f"'{other.name}': an edit would change both",
                    f"separate them: give '{other.name}' a path of its own in {FILE}, with "
                    f"`images:` [{{name: {field.image.name if field.image else '…'}, newTag: …}}] "
                    "in its kustomization",
                )


def refuse_outside(
    fields: Iterable[ImageField], environment: Environment, manifests: Manifests
) -> None:
    """Raise `ConfigError` if a field stands outside the environment, which only takes it.

    A Flux Kustomization, or an Application of Argo CD, that applies nothing but the environment is
    its own, wherever it stands.
    """
    for field in fields:
        if environment.holds(field.path) or _is_own_applier(field, environment, manifests):
            continue
        above = posixpath.dirname(field.path)
        if f"{environment.path}/".startswith(f"{above}/".removeprefix("/")):
            raise ConfigError(
                f"{field.place} lies above the environment "
                f"'{environment.name}' ({environment.path}): an edit would change whatever else "
                "it is for",
                f"let the environment hold it: [environments.{environment.name}] in {FILE} "
                + (f'with path = "{above}"' if above else "without a path"),
            )
        place = _own_place(field, environment, manifests)
        through = field.overlay or place
        raise ConfigError(
            f"{field.place} lies outside the environment '{environment.name}' "
            f"({environment.path}), which takes it through {through}: an edit would change "
            "whatever else takes it",
            f"separate them: {_separation(field, place)}",
        )


def _own_place(field: ImageField, environment: Environment, manifests: Manifests) -> str:
    """Say where an environment can set an image that it takes from elsewhere.

    That is its overlay, or the Flux Kustomization of its own that applies what stands elsewhere.
    """
    if not environment.holds(field.overlay):
        mine = [file for path, file in manifests.files.items() if environment.holds(path)]
        for item in (one for file in mine for one in objects_of(file)):
            flux = flux_kustomization(item)
            applied = field.overlay or field.path
            if flux is not None and f"{applied}/".startswith(f"{flux.path}/".removeprefix("/")):
                return f"the spec of Flux Kustomization {flux.name} in {item.file.path}"
    return field.overlay or f"{environment.path}/kustomization.yaml"


def _is_own_applier(field: ImageField, environment: Environment, manifests: Manifests) -> bool:
    """Tell whether a field is of an object that only applies folders of the environment."""
    file = manifests.files.get(field.path)
    for item in objects_of(file) if file is not None else ():
        flux = flux_kustomization(item)
        is_it = item.document == field.document and field.pointer.startswith(f"{item.pointer}/")
        if flux is not None and is_it:
            return environment.holds(flux.path)
        if is_application(item) and is_it:
            folders = list(folders_of(item))
            return bool(folders) and all(map(environment.holds, folders))
    return False


def _separation(field: ImageField, overlay: str) -> str:
    """Say what to add to an overlay so that its image is its own."""
    if field.form == HELM:
        return (
            f"add to {overlay} a patch of {field.kind} {field.name}, in a file of its own, that "
            f"sets the tag of spec.values.{field.container}"
        )
    image = field.image
    shown = image.tag or ("" if image.digest else "latest") if image else ""
    tag = f', newTag: "{shown}"' if shown else ""
    digest = f", digest: {image.digest}" if image and image.digest else ""
    name = field.name_text or (image.name if image else "…")
    return f"add to {overlay} `images:` [{{name: {name}{tag}{digest}}}]"


def refuse_shared(fields: Iterable[ImageField]) -> None:
    """Raise `ManifestError` if an alias gives a field's text to what is not the service's."""
    fields = tuple(fields)
    for field in fields:
        together = sum(other.scalar.node is field.scalar.node for other in fields)
        if field.users > together:
            raise ManifestError(
                f"{field.place}: an alias gives the image of container '{field.container}' to "
                f"{field.users - together} more places, which are not this service's",
                "write the image out in each place, then run this again",
            )


def ambiguous(service: str, fields: list[ImageField]) -> ConfigError:
    """Return the error for a name that fits several image repositories."""
    names = {f.image.full_repository: f.image.name for f in fields if f.image}
    choices = " or ".join(f'image = "{name}"' for name in names.values())
    return ConfigError(
        f"service '{service}' has {len(names)} image repositories: {_list(fields)}",
        f"choose one in {FILE}: [services.{service}] {choices}",
    )


class UnknownServiceError(ConfigError):
    """Nothing in the environment is an image field of the service."""


def unknown(
    service: str,
    environment: Environment,
    settings: Settings,
    manifests: Manifests,
    config: Config,
) -> ConfigError | ManifestError:
    """Return the error for a service without any image field, with the likeliest reason."""
    where = environment.told
    certain = _certain(service, settings, manifests, environment)
    if certain is not None:
        return certain
    unread = _unread_of(service, settings, manifests)
    if unread:
        return ManifestError(
            f"no manifest of '{service}' can be read: {'; '.join(unread[:3])}",
            "mend it, then run this again",
        )
    kind = ConfigError if manifests.skipped else UnknownServiceError  # it may be in one of these
    if settings.manifests and all(is_kustomization(path) for path in manifests.files):
        return kind(
            f"no manifest of service '{service}' in {where}: nothing matches "
            f"{', '.join(posixpath.join(environment.path, one) for one in settings.manifests)}",
            nearest_hint(service, config.services) or f"check `manifests` in {FILE}",
        )
    if not manifests.files and not manifests.skipped:
        return kind(
            f"{where} has no manifest: no YAML file with an object of Kubernetes is in "
            f"{environment.path or 'it'} (links, submodules and pointers of LFS are none)",
            f"check `path` in {FILE}: [environments.{environment.name}]"
            if environment.path
            else "check --repository and --branch",
        )
    if settings.image:
        live = manifests.effective({}, environment).live
        images = {field.image.name for field in live if field.image}
        tags = {field.path: field.place for field in live if field.problem == NO_NAME}
        return kind(
            f"no image of service '{service}' in {where} is of {settings.image.name}"
            + (f"; a tag alone stands at {', '.join([*tags.values()][:3])}" if tags else ""),
            nearest_hint(settings.image.name, images)
            or (_naming(service, environment, min(tags)) if tags else f"check `image` in {FILE}"),
        )
    return kind(*_no_such(service, environment, manifests, config))


def _naming(service: str, environment: Environment, path: str) -> str:
    own = path.removeprefix(f"{environment.path}/") if environment.path else path
    return (
        f'if that is its own, say its file in [services.{service}] of {FILE}: manifests = ["{own}"]'
    )


def _certain(
    service: str, settings: Settings, manifests: Manifests, environment: Environment
) -> ConfigError | ManifestError | None:
    found = manifests.effective(settings.kinds, environment, settings.fields)
    return (
        _of_other_containers(service, settings, found)
        or find_elsewhere(service, settings, manifests, environment)
        or _of_another(service, settings, manifests.effective({}, environment))
    )


def _of_other_containers(
    service: str, settings: Settings, found: EffectiveFields
) -> ConfigError | None:
    """Return that a service has none of the containers that it is configured with."""
    own = found.named(service) or (found.live if settings.manifests else ())
    there = {container for field in own for container in field.containers}
    if not there or not settings.containers or settings.containers & there:
        return None
    wanted = sorted(settings.containers)
    return ConfigError(
        f"no container of '{service}' is called {' or '.join(wanted)}; there is: "
        f"{', '.join(sorted(there))}",
        nearest_hint(wanted[0], there) or f"check `containers` of [services.{service}] in {FILE}",
    )


def _of_another(service: str, settings: Settings, found: EffectiveFields) -> ConfigError | None:
    """Return that what bears a service's name has another image than is configured."""
    own = found.named(service) or (found.live if settings.manifests else ())
    others = {field.named.name: field.place for field in own if field.named}
    if settings.image is None or not others:
        return None
    named = ", ".join(f"{name} ({place})" for name, place in sorted(others.items()))
    return ConfigError(
        f"the image of '{service}' is {named}, and not of {settings.image.name}, as it is "
        "configured",
        nearest_hint(settings.image.name, others)
        or f"say the image that it runs as `image` of [services.{service}] in {FILE}",
    )


def _no_such(
    service: str, environment: Environment, manifests: Manifests, config: Config
) -> tuple[str, str]:
    """Return what is said of a name that nothing in an environment bears, and the hint."""
    live = manifests.effective({}, environment).live
    known = {n for f in live for n in (f.name, *f.labels)}
    known |= set(service_names(manifests, config, environment, ())) | set(config.sets)
    near = nearest(service, known - {service})
    remote = [
        f"{path} takes {reference.text}"
        for path, kustomization in manifests.kustomizations.items()
        for reference in kustomization.remote
    ]
    hint = _unknown_hint(service, near, remote, manifests)
    sets = ", ".join(name for name, members in config.sets.items() if service in members)
    return (
        f"there is no service '{service}' in {environment.told}"
        + (f", which a set names: {sets}" if sets else "")
        + (f"; the nearest names: {', '.join(near)}" if near else "")
        + _unread(manifests),
        f"mend [sets] in {FILE}: {hint}" if sets else hint,
    )


def _unread_of(service: str, settings: Settings, manifests: Manifests) -> list[str]:
    """Return why files could not be read that are the service's by configuration or by name."""
    if settings.manifests:
        readable = any(not is_kustomization(path) for path in manifests.files)
        return [] if readable else [skip.reason for skip in manifests.skipped]
    return [
        skip.reason
        for skip in manifests.skipped
        for parts in [(*PurePosixPath(skip.path).parts, PurePosixPath(skip.path).stem)]
        if service in parts and "templates" not in parts  # which are a chart's, and in order
    ]


def _unknown_hint(service: str, near: list[str], remote: list[str], manifests: Manifests) -> str:
    if near:
        return f"did you mean {near[0]}?"
    if remote:
        return (
            f"its manifests may lie outside this repository ({remote[0]}): give the overlay "
            f"`images:` [{{name: …/{service}, newTag: …}}]"
        )
    if manifests.skipped:
        return "mend what cannot be read, if the service is in there"
    named = f'name it in {FILE}: [services.{service}] manifests = ["…"]'
    return (
        f"if that is a version: --to {service}; else {named}"
        if _VERSION.fullmatch(service)
        else named
    )


def _unread(manifests: Manifests) -> str:
    skipped = manifests.skipped
    if not skipped:
        return ""
    number = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    return f"; {number} skipped, the first: {skipped[0].reason}"


def _list(fields: Iterable[ImageField]) -> str:
    return ", ".join(f"{f.value} ({f.place}, container '{f.container}')" for f in fields)


def _places(fields: Iterable[ImageField]) -> str:
    return ", ".join(f"{f.kind} {f.name} ({f.place})" for f in fields)


def find_elsewhere(
    service: str, settings: Settings, manifests: Manifests, environment: Environment
) -> ManifestError | None:
    """Return the error that says where else a service's image stands; None where it does not.

    The hint is what to configure so that it is edited, or how to change the file.
    """
    wanted = settings.image.full_repository if settings.image else service
    last = wanted.rpartition("/")[2]
    held = [file for path, file in manifests.files.items() if environment.holds(path)]
    files = [file for file in held if not is_kustomization(file.path)]
    for file in (*files, *_patches_in(held)):
        for item in objects_of(file):
            for pointer, node in _scalars(item):
                image = find_image(str(node.value))
                if image is not None and image.repository.rpartition("/")[2] == last:
                    return _pointed(service, file, item, pointer, node)
    named = _text_with(last)
    for file in files:
        for root in file.documents:
            for _pointer, node in scalars_of(root):
                if "\n" in str(node.value) and named.search(str(node.value)):
                    return _in_block(service, file, node)
    return _in_comment(service, named, files)


def _patches_in(files: Iterable[ParsedFile]) -> Iterator[ParsedFile]:
    """Yield what is written into kustomizations as a patch."""
    for file in files:
        for text in patch_texts(file) if is_kustomization(file.path) else ():
            with suppress(ManifestError):  # it is no YAML, as whoever builds with it says
                yield block_of(file, text)


def _pointed(
    service: str, file: ParsedFile, item: ManifestObject, pointer: str, node: yaml.ScalarNode
) -> ManifestError:
    container = _CONTAINER.fullmatch(pointer)
    line = (
        f'kinds = {{ {item.kind} = "{container["pod"]}" }}'
        if container
        else f'fields = ["{pointer}"]'
    )
    return ManifestError(
        f"{file.path}:{read_scalar(file, node).line} names '{node.value}' at {pointer} of a "
        f"{item.kind}, a kind that is not known to run an image there",
        f"if it does, name the place in .gitops-rollback.toml: [services.{service}] {line}",
    )


def _in_block(service: str, file: ParsedFile, node: yaml.ScalarNode) -> ManifestError:
    return ManifestError(
        f"{file.path}:{node.start_mark.line + 1} names '{service}' only inside a block string, "
        "which is a text to Kubernetes and is not edited",
        "move these values out of the text: into a values file that the object refers to, or "
        "into a mapping (Argo CD: helm.valuesObject)",
    )


def _in_comment(
    service: str, named: re.Pattern[str], files: list[ParsedFile]
) -> ManifestError | None:
    for file in files:
        if named.search(file.text):
            return ManifestError(
                f"{file.path} names '{service}' only in a comment or as a part of a text, which "
                "is no image field",
                f'name the file that has its image: [services.{service}] manifests = ["…"]',
            )
    return None


def _text_with(last: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?:\b|_)(?:image|repository)['\"]?[ \t]*:[ \t]*['\"]?(?:[^\s'\"]*/)?"
        rf"{re.escape(last)}(?=[:@\s'\",}}]|$)",
        re.MULTILINE,
    )


def _scalars(item: ManifestObject) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield the scalars of an object that are called image, or something of it."""
    for pointer, node in scalars_of(item.node):
        key = pointer.rpartition("/")[2]
        if key.lower().endswith("image"):
            yield pointer, node
