"""A pipeline job's `config.xml`: made anew, or ours put into what is there. Pure.

Ours are the pipeline's definition and the parameters that this tool names. All else in a job that
people edited stays: triggers, discarders, permissions, further parameters, the description.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # documents with a DTD are refused: see `parse`

from gitops_rollback.errors import JenkinsError
from gitops_rollback.jobs.wanted import CHOICE, FLAG, TEXT, Parameter, names_of_forms
from gitops_rollback.late import regex
from gitops_rollback.redaction import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.jobs.wanted import Job

PIPELINE = "flow-definition"
FOLDER_XML = (
    b"<?xml version='1.1' encoding='UTF-8'?>\n<com.cloudbees.hudson.plugins.folder.Folder/>"
)
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_KINDS = {
    "project": "a freestyle project",
    _FOLDER: "a folder",
    "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject": (
        "a multibranch project"
    ),
}
_DEFINITION = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
_REMOTE = "scm/userRemoteConfigs/hudson.plugins.git.UserRemoteConfig"
_BRANCH = "scm/branches/hudson.plugins.git.BranchSpec"
_PARAMETERS = "properties/hudson.model.ParametersDefinitionProperty/parameterDefinitions"
_TRIGGERS = (
    "properties/org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty/triggers"
)
_TAGS = {
    TEXT: "hudson.model.StringParameterDefinition",
    FLAG: "hudson.model.BooleanParameterDefinition",
    CHOICE: "hudson.model.ChoiceParameterDefinition",
}
_SECRET = regex(r"(?i)token|passw|secret")
_MOST_LEVELS = 100
_FIXED_TEXT = "Set by whoever set up this job; it has one value only."


def parse(data: bytes, name: str) -> ET.Element:
    """Read a job's `config.xml`; raise `JenkinsError` for what Jenkins itself never wrote."""
    try:
        text = data.decode()
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise _unreadable(name, "it declares a document type")
        root = ET.fromstring(text)  # noqa: S314 - no DTD, so no entities to expand
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise _unreadable(name, str(error)) from error
    level, deep = [root], 0
    while level:
        level, deep = [inner for element in level for inner in element], deep + 1
    if deep > _MOST_LEVELS:  # what writes one calls itself for each
        raise _unreadable(name, f"it has more than {_MOST_LEVELS} levels")
    return root


def render(root: ET.Element) -> bytes:
    """Return a document as it is sent to Jenkins."""
    return b"<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(root)


def is_folder(root: ET.Element) -> bool:
    """Tell whether jobs can be created in it."""
    return root.tag == _FOLDER


def new(job: Job) -> ET.Element:
    """Return the document of a job that is not there yet: also when it is to start by itself."""
    root = ET.Element(PIPELINE)
    ET.SubElement(root, "description").text = job.description
    if job.cron:
        _set(root, f"{_TRIGGERS}/hudson.triggers.TimerTrigger/spec", job.cron)
    put(root, job)
    return root


def put(root: ET.Element, job: Job) -> None:
    """Put what is ours into a document; raise `JenkinsError` if the job is no pipeline."""
    if root.tag != PIPELINE:
        raise JenkinsError(
            f"{job.name} is {_KINDS.get(root.tag, 'no pipeline job')} in Jenkins: left as it is",
            "choose another name (deploy-job, --folder, --rollback-job), or rename that one",
        )
    definition = _at(root, "definition")
    if definition.get("class") != _DEFINITION:
        definition.clear()
        definition.set("class", _DEFINITION)
    scm = _at(definition, "scm")
    scm.set("class", "hudson.plugins.git.GitSCM")
    _set(definition, f"{_REMOTE}/url", job.scm.url)
    _set(definition, f"{_REMOTE}/credentialsId", job.scm.credentials_id)
    _set(definition, f"{_BRANCH}/name", job.scm.specifier)
    _set(definition, "scriptPath", job.script)
    _set(definition, "lightweight", "true")
    wanted = {parameter.name for parameter in job.form}
    definitions = _at(root, _PARAMETERS)
    for definition in list(definitions):
        if definition.findtext("name", "") in names_of_forms() - wanted and wanted:
            definitions.remove(definition)
    for place, parameter in enumerate(job.form):
        _put(definitions, place, _definition(parameter))
    for name, value in job.fixed.items():
        fixed = Parameter(CHOICE, name, _FIXED_TEXT, (value,))
        _put(definitions, len(definitions), _definition(fixed))


def lines(root: ET.Element) -> list[str]:
    """Return a document as lines that can be compared and shown.

    Without the versions of plugins, and without what people or plugins keep there as a secret, such
    as the token by which a job is started from outside.
    """
    copy = ET.fromstring(ET.tostring(root))  # noqa: S314 - what we wrote ourselves
    for element in copy.iter():
        element.attrib.pop("plugin", None)
        if _SECRET.search(element.tag):
            element.text = MASK
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    ET.indent(copy)
    return ET.tostring(copy, encoding="unicode").splitlines()


def difference(old: list[str], new: list[str], name: str) -> str:
    """Return what changes in a job, as a unified diff; empty if nothing does."""
    marks = (f"{name} (Jenkins)", f"{name} (wanted)")
    return "\n".join(unified_diff(old, new, *marks, n=2, lineterm=""))


def _put(definitions: ET.Element, place: int, wanted: ET.Element) -> None:
    """Define a parameter; one that says the same stays, of whatever form Jenkins gave it."""
    name = wanted.findtext("name")
    old = next((d for d in definitions if d.findtext("name") == name), None)
    if old is None:
        definitions.insert(place, wanted)
    elif _meaning(old) != _meaning(wanted):
        definitions[list(definitions).index(old)] = wanted


def _definition(parameter: Parameter) -> ET.Element:
    """Return a parameter as Jenkins writes it (hudson.model.*ParameterDefinition)."""
    definition = ET.Element(_TAGS[parameter.kind])
    ET.SubElement(definition, "name").text = parameter.name
    ET.SubElement(definition, "description").text = parameter.description
    if parameter.kind == CHOICE:
        holder = ET.SubElement(definition, "choices", {"class": "java.util.Arrays$ArrayList"})
        array = ET.SubElement(holder, "a", {"class": "string-array"})
        for value in parameter.choices:
            ET.SubElement(array, "string").text = value
    elif parameter.kind == FLAG:
        ET.SubElement(definition, "defaultValue").text = "false"
    else:
        ET.SubElement(definition, "defaultValue")
        ET.SubElement(definition, "trim").text = "true"
    return definition


def _meaning(definition: ET.Element) -> tuple[str, ...]:
    """Return what a definition says, of which people may have changed the words of a fixed one."""
    words = definition.findtext("description") or ""
    fixed = (definition.findtext("name") or "").startswith("GITOPS_")
    default = definition.findtext("defaultValue") or ""
    return (definition.tag, "" if fixed else words, default, *_choices(definition))


def _choices(definition: ET.Element) -> Iterator[str]:
    for holder in definition.iter("choices"):
        yield from (element.text or "" for element in holder.iter("string"))


def _at(root: ET.Element, path: str) -> ET.Element:
    """Return the element at a path, made where it is missing."""
    for name in path.split("/"):
        found = root.find(name)
        root = found if found is not None else ET.SubElement(root, name)
    return root


def _set(root: ET.Element, path: str, text: str | None) -> None:
    found = root.find(path)
    if text is not None:
        element = _at(root, path)
        if (element.text or "").strip() != text:
            element.text = text
    elif found is not None:
        _at(root, path.rpartition("/")[0]).remove(found)


def _unreadable(name: str, reason: str) -> JenkinsError:
    return JenkinsError(
        f"the config.xml of {name} in Jenkins cannot be read: {reason}",
        "open the job in Jenkins and save it once; then run this again",
    )
