"""How the Jenkins stand-in keeps the configuration of jobs and folders.

As on a real controller, what is read back is not what was sent: XStream writes it anew, with the
versions of plugins, and with elements that nobody sent. A pipeline whose run has declared
parameters has them in its configuration too.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from servers.jenkins_answer import PAGE, Answer, Request, missing

_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_PLUGINS = {
    "flow-definition": "workflow-job@1385.vb_58b_86ea_fff1",
    "definition": "workflow-cps@3774.v4a_d648d409ce",
    "scm": "git@5.2.1",
    _FOLDER: "cloudbees-folder@6.858.v898218f3609d",
}


class JobConfigs(dict[str, bytes]):
    """Full names of jobs and folders, and the `config.xml` that Jenkins gives for each.

    `lacks` are permissions that the user does not have, such as `Job/Create`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lacks: set[str] = set()
        self.wants_crumb = False

    def answer(self, asked: Request, name: str) -> Answer:
        """Return what a request for a configuration is answered."""
        creates = asked.path.partition("?")[0].endswith("/createItem")
        permission = "Job/Create" if creates else "Job/Configure"
        if asked.method == "GET":
            permission = "Job/ExtendedRead"
        if permission in self.lacks:
            text = b"jane is missing the %b permission" % permission.encode()
            return Answer(403, PAGE % text)
        if asked.method == "GET":
            return self._read(name)
        if self.wants_crumb:
            return Answer(403, PAGE % b"No valid crumb was included in the request")
        return self._create(asked, name) if creates else self._update(asked, name)

    def _read(self, name: str) -> Answer:
        data = self.get(name)
        return missing() if data is None else Answer(200, data, "application/xml")

    def _create(self, asked: Request, name: str) -> Answer:
        folder, _, short = name.rpartition("/")
        if folder and f"<{_FOLDER}".encode() not in self.get(folder, b""):
            return missing()
        if name in self:
            reason = f"A job already exists with the name \u2018{short}\u2019"
            return Answer(400, PAGE % b"Error", headers=(("X-Error", _latin(reason)),))
        return self._update(asked, name, creates=True)

    def _update(self, asked: Request, name: str, *, creates: bool = False) -> Answer:
        if not creates and name not in self:
            return missing()
        if "xml" not in asked.headers.get("Content-Type", ""):
            return Answer(400, headers=(("X-Error", "Unsupported content type"),))
        try:
            root = ET.fromstring(asked.body)
        except ET.ParseError:
            return Answer(500, PAGE % b"Oops!")
        self[name] = stored(root)
        return Answer(200)


def stored(root: ET.Element) -> bytes:
    """Return a configuration as Jenkins gives it back."""
    for element in root.iter():
        if element.tag in _PLUGINS:
            element.set("plugin", _PLUGINS[element.tag])
    for definition in root.iter("scm"):
        if definition.find("doGenerateSubmoduleConfigurations") is None:
            made = ET.SubElement(definition, "doGenerateSubmoduleConfigurations")
            made.text = "false"
    ET.indent(root)
    return b"<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(root)


def _latin(text: str) -> str:
    """Return a header as http.server can send it: Jenkins sends UTF-8 in it."""
    return text.encode().decode("latin-1")
