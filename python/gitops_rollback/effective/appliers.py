"""Objects that apply manifests, as they are once overlays, templates and variables made them. Pure.

A Flux Kustomization is an object like others: overlays and other Kustomizations patch it before it
applies anything. Where it is changed in what is not followed, and where one is only made from a
template (Argo CD's ApplicationSet, a path with a Flux variable), the images of the folders that it
may reach are not proven. So are those of objects that are told to be left alone.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from gitops_rollback.effective.argo import changes_of
from gitops_rollback.effective.images import TO_PODS
from gitops_rollback.effective.objects import ACCEPT, LOOK, Unknown, read_selector
from gitops_rollback.effective.raw import decoded
from gitops_rollback.effective.sources import Whose
from gitops_rollback.effective.templates import OF_CHART
from gitops_rollback.effective.tree import TreeError, entries, find, same, with_entry, without
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.argo import ARGO_GROUP, chart_sources
from gitops_rollback.manifest.document import items_of, line_of, lookup, text_of
from gitops_rollback.manifest.flux import KUSTOMIZE_GROUP, LEAVES_ALONE, flux_kustomization
from gitops_rollback.manifest.helm import is_chart_file
from gitops_rollback.manifest.kustomize import candidates, is_kustomization
from gitops_rollback.manifest.objects import ManifestObject, objects_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.effective.objects import Resource
    from gitops_rollback.effective.sources import Sources
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.flux import FluxKustomization
    from gitops_rollback.manifest.kustomize import Kustomization

_TAKES = regex(r"^[ \t-]*repository:\s*[\"']?file://([^\s\"']+)", re.MULTILINE)
_VARIABLE = regex(r"\{\{.*?\}\}|\$\{.*?\}")
_PAUSED = {
    **dict.fromkeys(("Deployment", "Rollout", "DeploymentConfig"), ("paused",)),
    "CloneSet": ("updateStrategy", "paused"),
}
_UPDATER = "argocd-image-updater.argoproj.io"
_SKIP = "argocd.argoproj.io/skip-reconcile"
# Notes by which an object is left alone (argo-cd.readthedocs.io, "Skip Application Reconcile").
LEFT_ALONE = {
    **{key: ("Flux", values) for key, values in LEAVES_ALONE.items()},
    _SKIP: ("Argo CD", ("true",)),
}
# Places of an object that hold an image, in words of JSON pointers and of jq.
_TO_PODS = "|".join(sorted(TO_PODS))
_OVER_IMAGE = regex(rf"(?:/(?:{_TO_PODS}|containers|initContainers|image|\d+|\*))*/?")
_OVER_IMAGE_BY_JQ = regex(rf"image|ontainers|^(?:\.|(?:\.(?:{_TO_PODS}))+)$")
_TAKE_OUT = f"take it out, {ACCEPT}"
_NOT_FILLED = f"{KUSTOMIZE_GROUP}/substitute"


@dataclass(frozen=True)
class Applier:
    """A Flux Kustomization as it is applied; what of it is not followed, and what of variables."""

    flux: FluxKustomization
    unknowns: tuple[Unknown, ...] = ()
    of_variables: tuple[Unknown, ...] = ()


@dataclass(frozen=True)
class Reach:
    """The folders that something may reach, and what is not known of it."""

    folders: re.Pattern[str]
    unknown: Unknown

    def has(self, folder: str) -> bool:
        """Tell whether a folder, or one above it, is reached."""
        while not self.folders.fullmatch(folder):
            above = posixpath.dirname(folder)
            if above == folder:  # the root: of the repository, or `/` of a whole path
                return False
            folder = above
        return True


def as_built(
    raw: Iterable[FluxKustomization],
    built: Iterable[Resource],
    files: Mapping[str, ParsedFile],
    patches: Collection[str],
) -> list[Applier]:
    """Return Flux Kustomizations as overlays and other Kustomizations made them.

    One that several overlays take is there several times; one that nothing built is as written, but
    for files that are patches: what stands in these is of the object that they patch.
    """
    made: dict[tuple[str, str], list[yaml.Node]] = {}
    for resource in built:
        identity = resource.identity
        if identity.kind == "Kustomization" and identity.group == KUSTOMIZE_GROUP:
            known = made.setdefault((resource.path, resource.first.name), [])
            if not any(same(lookup(one, "spec"), lookup(resource.node, "spec")) for one in known):
                known.append(resource.node)
    return [
        _applier(one, node, files[one.file_path])
        for one in raw
        for node in made.get((one.file_path, one.name), [] if one.file_path in patches else [None])
    ]


def _applier(raw: FluxKustomization, node: yaml.Node | None, file: ParsedFile) -> Applier:
    spec = lookup(node, "spec")
    if node is None or spec is None or same(spec, raw.spec):
        return Applier(raw)
    # What stands in another file is read as a text alone: images and variables are not.
    bare = with_entry(node, "spec", without(without(spec, "images"), "postBuild"))
    flux = flux_kustomization(ManifestObject(file, 0, "", bare, "Kustomization"))
    assert flux is not None  # noqa: S101 - it was made of one, and is of that kind
    added = replace(flux.added, line=raw.line, entries=raw.added.entries)
    flux = replace(
        flux, line=raw.line, added=added, definitions=raw.definitions, sources=raw.sources
    )
    of_images, of_variables = (
        ()
        if same(lookup(spec, key), lookup(raw.spec, key))
        else (
            Unknown(
                raw.file_path,
                raw.line,
                f"{key} of Flux Kustomization {raw.name}",
                "an overlay or another Kustomization changes them, which is not followed",
                f"write them in {raw.file_path}, {ACCEPT}",
            ),
        )
        for key in ("images", "postBuild")
    )
    return Applier(flux, of_images, of_variables)


def reach_of_path(flux: FluxKustomization) -> Reach | None:
    """Return what a Flux Kustomization may reach whose path has a variable; None for another."""
    if not _VARIABLE.search(flux.path) or not flux.changes_images:
        return None
    unknown = Unknown(
        flux.file_path,
        flux.line,
        f"path {flux.path} of Flux Kustomization {flux.name}",
        "which folder its variable makes of it is not known",
        f"write the path out, {ACCEPT}",
    )
    return Reach(_pattern(flux.path), unknown)


def unsettled(written: Iterable[FluxKustomization]) -> list[Reach]:
    """Return that all may be reached, where Flux Kustomizations change one another too often."""
    why = "it and others change one another again and again, which is not followed"
    hint = f"let none change one that changes others, {ACCEPT}"
    return [
        Reach(
            _pattern("."), Unknown(o.file_path, o.line, f"Flux Kustomization {o.name}", why, hint)
        )
        for o in written
    ]


def has_variable(path: str) -> bool:
    """Tell whether a path is made by a variable or a template."""
    return _VARIABLE.search(path) is not None


def reaches_of_set(item: ManifestObject) -> Iterator[Reach]:
    """Yield what the Applications that an ApplicationSet makes may change, folder by folder."""
    if item.kind != "ApplicationSet" or item.api_group != ARGO_GROUP:
        return
    template = item.find("spec", "template")
    patched = item.find("spec", "templatePatch")
    for _pointer, source in chart_sources(template):
        path = text_of(lookup(source, "path"))
        more = {"templatePatch": patched, "plugin": lookup(source, "plugin")}
        said = sorted(changes_of(source)) + [key for key, node in more.items() if node is not None]
        if path is None or not said:
            continue
        unknown = Unknown(
            item.file.path,
            line_of(source),
            f"ApplicationSet {item.name}",
            f"it sets {', '.join(said)} by a template, which is not followed",
            f"set the image in the folder that it applies alone, {ACCEPT}",
        )
        yield Reach(_pattern(path.strip("/")), unknown)


def reaches_of(item: ManifestObject, sources: Sources) -> Iterator[Reach]:
    """Yield the folders that an Application takes and does not apply as they are."""
    whys = list(_not_as_it_is(item))
    for _pointer, source in chart_sources(item.node):
        path = text_of(lookup(source, "path"))
        plugin = lookup(source, "plugin")
        own = [(plugin, "a plugin makes what is applied of the folder")] if plugin else []
        url = text_of(lookup(source, "repoURL")) or ""
        if path is None or sources.of_url(url, "").whose is Whose.ANOTHERS:
            continue
        for node, why in (*whys, *own):
            title = f"Application {item.name}"
            doubt = Unknown(item.file.path, line_of(node), title, why, LOOK)
            yield Reach(_pattern(path.strip("/")), doubt)


def _not_as_it_is(item: ManifestObject) -> Iterator[tuple[yaml.Node, str]]:
    """Yield what keeps an Application from applying a change of an image."""
    skip = find(item.node, "metadata", "annotations", _SKIP)
    if skip is not None and text_of(skip) == "true":
        yield skip, "Argo CD leaves it alone (skip-reconcile)"
    images = find(item.node, "metadata", "annotations", f"{_UPDATER}/image-list")
    if images is not None:
        yield images, "Argo CD's Image Updater puts later versions there by itself"
    options = item.find("spec", "syncPolicy", "syncOptions")
    if not any(text_of(one) == "RespectIgnoreDifferences=true" for one in items_of(options)):
        return
    for rule in items_of(item.find("spec", "ignoreDifferences")):
        pointers = (text_of(one) or "" for one in items_of(lookup(rule, "jsonPointers")))
        queries = (text_of(one) or "" for one in items_of(lookup(rule, "jqPathExpressions")))
        managers = (text_of(one) for one in items_of(lookup(rule, "managedFieldsManagers")))
        if (
            any(one != "kube-controller-manager" for one in managers)  # which owns replicas
            or any(map(_OVER_IMAGE.fullmatch, pointers))
            or any(map(_OVER_IMAGE_BY_JQ.search, queries))
        ):
            yield rule, "it leaves images as they are (ignoreDifferences, RespectIgnoreDifferences)"


def changed_applications(
    raw: Iterable[ManifestObject], built: Iterable[Resource]
) -> Iterator[Reach]:
    """Yield what Applications may change that an overlay made others of."""
    written = {(one.file.path, one.name): one for one in raw}
    for resource in built:
        one = written.get((resource.path, resource.first.name))
        if one is None or same(one.find("spec"), lookup(resource.node, "spec")):
            continue
        for _pointer, source in chart_sources(resource.node):
            path = text_of(lookup(source, "path"))
            if path is None or not changes_of(source):
                continue
            unknown = Unknown(
                resource.path,
                one.line,
                f"Application {one.name}",
                "an overlay changes it, which is not followed",
                f"write it as it is applied, {ACCEPT}",
            )
            yield Reach(_pattern(path.strip("/")), unknown)


def left_alone(resource: Resource) -> Unknown | None:
    """Return that an object is left alone, once it is there, or gets its images from elsewhere.

    None where it is applied, and stays as it is.
    """
    for node, why in _set_by_others(resource):
        title = f"{resource.identity.kind} {resource.identity.name}"
        return Unknown(resource.path, line_of(node), title, why, _TAKE_OUT)
    for key, (who, values) in LEFT_ALONE.items():
        for node in _notes(resource, key, *values):
            why = f"{who} leaves the object alone ({text_of(node)})"
            return Unknown(resource.path, line_of(node), key, why, _TAKE_OUT)
    return None


def _set_by_others(resource: Resource) -> Iterator[tuple[yaml.Node, str]]:
    """Yield what lets somebody else put images into an object in the cluster, and who does.

    OpenShift (docs.openshift.com, "Triggering updates on image stream changes"), Keel
    (keel.sh/docs, "Policies"), and Argo CD's Image Updater, which sets what Applications say.
    """
    notes = find(resource.node, "metadata", "annotations")
    triggers = lookup(notes, "image.openshift.io/triggers")
    if triggers is not None:
        yield triggers, "OpenShift puts the image of an ImageStream there"
    for one in items_of(find(resource.node, "spec", "triggers")):
        automatic = find(one, "imageChangeParams", "automatic")
        if text_of(automatic) == "true" and resource.identity.kind == "DeploymentConfig":
            yield one, "OpenShift puts the image of an ImageStream there"
    for where in (notes, find(resource.node, "metadata", "labels")):
        policy = lookup(where, "keel.sh/policy")
        if policy is not None and text_of(policy) not in ("", "never"):
            yield policy, "Keel puts later versions there by itself"
    images = lookup(notes, f"{_UPDATER}/image-list")
    if images is not None:
        yield images, "Argo CD's Image Updater puts later versions there by itself"


def pinned_revision(resource: Resource) -> Unknown | None:
    """Return that a Service of Knative does not turn to another image by itself; None if it does.

    knative.dev/docs/serving/traffic-management: a revision that has a name is never another one,
    and traffic goes to what `traffic` names.
    """
    if (resource.identity.group, resource.identity.kind) != ("serving.knative.dev", "Service"):
        return None
    name = find(resource.node, "spec", "template", "metadata", "name")
    traffic = items_of(find(resource.node, "spec", "traffic"))
    is_latest = any(text_of(lookup(one, "latestRevision")) == "true" for one in traffic)
    node = name if name is not None else traffic[0] if traffic and not is_latest else None
    if node is None:
        return None
    why = "its template, or its traffic, names a revision, which keeps the image that it has"
    hint = f"let the traffic follow the latest revision, without a name, {ACCEPT}"
    named = text_of(node) or text_of(lookup(node, "revisionName")) or "traffic"
    return Unknown(resource.path, line_of(node), named, why, hint)


def ignored(resource: Resource, pointer: str, flux: FluxKustomization) -> Iterator[Unknown]:
    """Yield the rules (`spec.ignore`) by which a Flux Kustomization leaves a place as it is."""
    for rule in items_of(lookup(flux.spec, "ignore")):
        try:
            selector = read_selector(lookup(rule, "target"))
            is_chosen = selector is None or selector.chooses(resource)
        except TreeError:
            is_chosen = True
        for path in items_of(lookup(rule, "paths")) if is_chosen else ():
            text = (text_of(path) or "").rstrip("/")
            if f"{pointer}/".startswith(f"{text}/") or text.startswith(f"{pointer}/"):
                why = f"Flux applies no change of {text or 'it'}"
                yield Unknown(flux.file_path, line_of(path), "spec.ignore", why, _TAKE_OUT)


def paused(resource: Resource) -> Unknown | None:
    """Return that a workload is paused: nobody replaces a pod of it.

    So it is in Kubernetes, Argo Rollouts, OpenKruise, and in OpenShift where what starts a rollout
    is said, and no change of the configuration is (docs.openshift.com, "Triggers").
    """
    spec, kind = lookup(resource.node, "spec"), resource.identity.kind
    node = find(spec, *_PAUSED.get(kind, ("?",)))
    triggers = lookup(spec, "triggers") if kind == "DeploymentConfig" else None
    types = {text_of(lookup(one, "type")) for one in items_of(triggers)}
    if text_of(node) == "true" and node is not None:
        why, what = "no pod is replaced until somebody resumes it", "paused: true"
    elif triggers is not None and "ConfigChange" not in types:
        why, what, node = "no pod is replaced until somebody rolls it out", "triggers", triggers
    else:
        return None
    return Unknown(resource.path, line_of(node), what, why, f"change it there, {ACCEPT}")


def rolled_out_by_hand(resource: Resource) -> tuple[str, ...]:
    """Return what keeps pods of a workload as they are after a change, for people."""
    strategy, kind = find(resource.node, "spec", "updateStrategy"), resource.identity.kind
    if kind not in ("StatefulSet", "DaemonSet", "CloneSet"):
        return ()
    if text_of(lookup(strategy, "type")) == "OnDelete":
        return ("its updateStrategy is OnDelete: a pod gets the image when somebody deletes it",)
    steps = ("partition",) if kind == "CloneSet" else ("rollingUpdate", "partition")
    partition = text_of(find(strategy, *steps)) or "0"
    if partition != "0":
        return (f"its pods below number {partition} keep their image ({'.'.join(steps)})",)
    return ()


def not_filled(resource: Resource) -> Unknown | None:
    """Return that Flux fills no variable of an object; None where it does."""
    for node in _notes(resource, _NOT_FILLED, "disabled"):
        why = "its variables stay as they are written"
        return Unknown(resource.path, line_of(node), _NOT_FILLED, why, _TAKE_OUT)
    return None


def _notes(resource: Resource, key: str, *values: str) -> Iterator[yaml.Node]:
    """Yield the annotation and the label of a key that have one of some values, in any case."""
    metadata = lookup(resource.node, "metadata")
    for where in ("annotations", "labels"):
        node = entries(find(metadata, where)).get(key)
        if node is not None and (text_of(node) or "").lower() in values:
            yield node


def _pattern(path: str) -> re.Pattern[str]:
    text = posixpath.normpath(path).removeprefix("./")
    parts = _VARIABLE.split("" if text == "." else text)
    return re.compile(".*".join(map(re.escape, parts)))


def files_to_follow(
    kustomizations: Mapping[str, Kustomization], known: Collection[str], meant: Collection[str]
) -> list[str]:
    """Return the paths that kustomizations take and that are not among the `known` files.

    All that a kustomization in `meant` takes is followed; of another one, which only stands above
    what is meant, its components and patches: the rest belongs to other services. For a folder,
    every name its kustomization can have is returned.
    """
    out: list[str] = []
    for path, kustomization in kustomizations.items():
        out += _taken(kustomization, all_of_it=path in meant)
    return [path for path in dict.fromkeys(out) if path not in known]


def folders_to_follow(files: Mapping[str, ParsedFile], meant: Collection[str]) -> list[str]:
    """Return the folders that Flux Kustomizations in `meant` apply, if nothing there was read."""
    folders = [
        flux.path
        for path, file in files.items()
        if path in meant and not is_kustomization(path)
        for item in objects_of(file)
        if (flux := flux_kustomization(item)) is not None and flux.path
    ]
    return [
        folder
        for folder in dict.fromkeys(folders)
        if not any(path.startswith(f"{folder}/") for path in files)
    ]


def charts_to_follow(
    raw: Mapping[str, bytes], files: Mapping[str, ParsedFile], meant: Collection[str]
) -> list[str]:
    """Return the charts that HelmReleases in `meant` name, if nothing there was read.

    Of a chart that was read without its templates, these; and the charts beside it that it takes.
    """
    folders = [
        posixpath.normpath((text_of(item.find("spec", "chart", "spec", "chart")) or "?").strip("/"))
        for path, file in files.items()
        if path in meant and not is_kustomization(path)
        for item in objects_of(file)
        if item.kind == "HelmRelease"
        and text_of(item.find("spec", "chart", "spec", "sourceRef", "kind")) == "GitRepository"
    ]
    read = {posixpath.dirname(path): data for path, data in raw.items() if is_chart_file(path)}
    for folder, data in read.items():
        if not any(path.startswith(posixpath.join(folder, "templates/")) for path in raw):
            folders += [posixpath.join(folder, name) for name in OF_CHART]
        for path in _TAKES.findall(decoded(data)):
            folders.append(posixpath.normpath(posixpath.join(folder, path)))
    return [
        one
        for one in dict.fromkeys(folders)
        if one not in read and one not in raw and not any(p.startswith(f"{one}/") for p in raw)
    ]


def _taken(kustomization: Kustomization, *, all_of_it: bool) -> Iterator[str]:
    for path in kustomization.references:
        if all_of_it or path not in kustomization.resources:
            yield from candidates(path)
