"""An API server that says what a real one said: it plays a recording once Flux is nudged."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from servers.serving import Serving

_KINDS = {
    "gitrepositories": "GitRepository",
    "kustomizations": "Kustomization",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "cronjobs": "CronJob",
    "pods": "Pod",
}
_PATH = re.compile(
    r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(?:/[^/]+)?"
)


class KubernetesApi(Serving):
    """Plays the steps of a recording; `nudges` are the values that were set to start it.

    `forbidden` are patterns of requests (`GET /api/v1/.*`) that the account may not make. `logs`
    are the lines of the container that ended last and of the one that runs, None for none; `events`
    are what is told of every pod. `requests` are all that came, `patches` the JSON patches that
    were made. While `is_silent`, whoever asks waits in vain;
    where it is `unauthorized`, the server does not know who asks, and while it is `busy`, it tells
    to come again later.
    """

    def __init__(self, steps: list[dict[str, Any]], *forbidden: str) -> None:
        self.nudges: list[str] = []
        self.requests: list[str] = []
        self.logs: dict[bool, list[str] | None] = {True: None, False: None}
        self.events: list[dict[str, Any]] = []
        self.patches: list[list[dict[str, Any]]] = []
        self.is_silent = False
        self.unauthorized = False
        self.token = ""  # that who asks has to have
        self.busy_at = ""  # a request that is told to come again, once
        self.busy = 0  # requests that are still to be told to come again
        self.busy_with = 429  # what these are told
        self.says: str | None = None  # instead of every list
        self.cut = 0  # bytes that are announced and never come
        self.user = "waiter"  # whom the context of the kubeconfig names
        self._forbidden = [re.compile(pattern) for pattern in forbidden]
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._events: list[tuple[str, str, dict[str, Any]]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._breaks = 0
        first = [step for step in steps if step["at"] == steps[0]["at"]] if steps else []
        for step in first:
            self._take(step)
        self._steps = steps[len(first) :]
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)))

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig by which it is reached."""
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "played", "cluster": {"server": self.url}}],
                "users": [{"name": "waiter", "user": {}}],
                "contexts": [
                    {"name": "played", "context": {"cluster": "played", "user": self.user}}
                ],
                "current-context": "played",
            }
        )

    def __exit__(self, *_error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        super().__exit__(*_error)

    def nudge(self, value: str) -> None:
        """Begin to play, as Flux begins to look."""
        self.nudges.append(value)
        if len(self.nudges) == 1:
            threading.Thread(target=self._play, daemon=True).start()

    def fall_silent(self) -> None:
        """Let whoever asks wait until the server speaks again, or ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not self.is_silent)

    def is_forbidden(self, request: str) -> bool:
        """Tell whether the account may not make a request; keep it."""
        self.requests.append(request)
        return any(pattern.fullmatch(request) for pattern in self._forbidden)

    def take(self, kind: str, *objects: dict[str, Any], deleted: bool = False) -> None:
        """Let objects appear, change or go."""
        with self._changed:
            self._take({"kind": kind, "objects": objects, "deleted": deleted})
            self._changed.notify_all()

    def break_watches(self) -> None:
        """End the connections of all watches, as a proxy that is restarted does."""
        with self._changed:
            self._breaks += 1
            self._changed.notify_all()

    @property
    def breaks(self) -> int:
        """How often the watches were broken."""
        return self._breaks

    def log(self, *, previous: bool) -> tuple[int, str]:
        """Return what is answered to who asks for a log."""
        lines = self.logs[previous]
        if lines is None:
            return 400, "previous terminated container not found"
        return 200, "".join(f"{line}\n" for line in lines)

    def listing(self, kind: str, namespace: str | None) -> dict[str, Any]:
        """Return the objects of a kind, in one namespace or all, and the version they are of."""
        with self._changed:
            found = [
                one
                for (of, _name), one in self._objects.items()
                if of == kind and namespace in (None, one["metadata"].get("namespace"))
            ]
            return {"items": found, "metadata": {"resourceVersion": str(len(self._events))}}

    def events_after(self, version: int, kind: str) -> tuple[int, list[dict[str, Any]], bool]:
        """Wait for events of a kind; return the version then, the events, whether it is over."""
        with self._changed:
            breaks = self._breaks
            self._changed.wait_for(
                lambda: self._ended or len(self._events) > version or self._breaks > breaks,
                timeout=1,
            )
            new = self._events[version:]
            found = [{"type": what, "object": one} for of, what, one in new if of == kind]
            return len(self._events), found, self._ended

    def _play(self) -> None:
        for step in self._steps:
            time.sleep(0.01)
            with self._changed:
                self._take(step)
                self._changed.notify_all()

    def _take(self, step: dict[str, Any]) -> None:
        for one in step["objects"]:
            key = (step["kind"], one["metadata"]["name"])
            gone = step.get("deleted", False)
            what = "DELETED" if gone else "MODIFIED" if key in self._objects else "ADDED"
            if gone:
                self._objects.pop(key, None)
            else:
                self._objects[key] = one
            self._events.append((step["kind"], what, one))


def _handler(  # noqa: C901 - a class made for one server
    api: KubernetesApi,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found = _PATH.fullmatch(parts.path)
            kind = _KINDS.get(found["plural"]) if found else None
            query = parse_qs(parts.query)
            api.fall_silent()
            if self._is_refused(parts.path):
                return
            if api.says is not None:
                self._answer(200, api.says)
                self.close_connection = True
            elif parts.path.endswith("/log"):
                status, text = api.log(previous=query["previous"] == ["true"])
                self._answer(status, text)
            elif parts.path.endswith("/events"):
                self._answer(200, {"items": api.events})
            elif kind is None or found is None:
                self._answer(404, {"kind": "Status", "message": "not found", "code": 404})
            elif query.get("watch") == ["True"] or query.get("watch") == ["true"]:
                self._watch(kind, int(query["resourceVersion"][0]))
            else:
                self._answer(200, api.listing(kind, found["namespace"]))

        def do_PATCH(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self._is_refused(urlsplit(self.path).path):
                return
            if isinstance(document, list):
                api.patches.append(document)
                self._answer(200, {})
                return
            api.nudge(next(iter(document["metadata"]["annotations"].values())))
            self._answer(200, document)

        def _is_refused(self, path: str) -> bool:
            if api.busy or api.busy_at == f"{self.command} {path}":
                api.busy, api.busy_at = max(0, api.busy - 1), ""
                words, code = "storage is (re)initializing", api.busy_with
                self._answer(code, {"kind": "Status", "message": words, "code": code})
                return True
            refused = api.is_forbidden(f"{self.command} {path}")
            is_known = self.headers.get("Authorization") == f"Bearer {api.token}"
            if api.unauthorized or (api.token and not is_known):
                self._answer(401, {"kind": "Status", "message": "Unauthorized", "code": 401})
                return True
            if refused:
                words = f'User "waiter" cannot do that: {self.command} {path}'
                self._answer(403, {"kind": "Status", "message": words, "code": 403})
            return refused

        def _answer(self, status: int, document: Any) -> None:  # noqa: ANN401 - JSON, or a log
            is_text = isinstance(document, str)
            data = (document if is_text else json.dumps(document)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data) + api.cut))
            self.end_headers()
            self.wfile.write(data)

        def _watch(self, kind: str, version: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            ended, breaks = False, api.breaks
            try:
                while not ended:
                    api.fall_silent()
                    if api.breaks > breaks:
                        self.close_connection = True
                        return
                    version, events, ended = api.events_after(version, kind)
                    for event in events:
                        data = json.dumps(event).encode() + b"\n"
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                self.close_connection = True  # whoever watched has gone

    return Handler
