"""Random interleavings of all that happens to a branch, against a model of what it should hold.

Deploys, rollbacks and releases of services and sets, edits by hand of images and markers, reverts
of whole commits, and two writers: the other one acts, to its end, before any call of git of the
first, or while the server takes its push. After each step the branch has to be what the model says,
byte by byte. A few examples in CI; 1,000 with `GITOPS_LONG_TESTS=1`. Hypothesis prints what repeats
a failure, and `--hypothesis-seed=N` repeats a run.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gitops_rollback import cli, schema
from gitops_rollback.ledger.holds import path_of_hold
from gitops_rollback.repo.objects import read_batch
from integration.branch_model import (
    Act,
    Deploy,
    Ended,
    Entry,
    Held,
    Release,
    Rollback,
    Service,
    Services,
)
from integration.shop import LEDGER, Shop, canonical, checked_result, image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from integration.conftest import Workshop

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))
GIT = shutil.which("git")
TAGS = [f"1.{minor}.0" for minor in range(5)]
FIRST, SECOND = TAGS[:2]
README = "# The shop\n"
TOML = """\
[defaults]
manifests = ["apps/{service}.yaml"]
[services.mail]
hold = "image"
[sets]
shop = ["cart", "ledger"]
"""
POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: NAME, namespace: flux-system}
spec:
  imageRepositoryRef: {name: NAME}
  policy: {semver: {range: '>=1.0.0'}}
"""
POLICIES = {"cart": "all", "mail": "all", "search": "elsewhere", "ledger": "none"}
NAMES = sorted(POLICIES)
SETS = {"shop": ("cart", "ledger")}
COMMANDS = {Deploy: "deploy", Rollback: "rollback", Release: "release"}
# The other writer acts before the first call of such a kind, or in the server's hook.
MOMENTS = ("ls-tree", "cat-file", "fast-import", "commit-tree", "push", "pre-receive")
# Runs what is waiting, once.
TRIGGER = "[ ! -e {root}/other ] || {{ mv {root}/other {root}/taken; sh {root}/taken; }}"


@dataclass(frozen=True)
class Commit:
    """A commit, and the services it touched as they were before it."""

    sha: str
    before: Services


@dataclass(frozen=True)
class Edit:
    """What somebody changes by hand: the services as they are then, and the readme's text."""

    services: Services
    readme: str | None = None


@dataclass(frozen=True)
class Edited:
    """A person writes an image into a service's manifest, and a line into the readme."""

    name: str
    tag: str


def _began() -> Services:
    return {
        name: Service(
            image=FIRST,
            marker="none" if policy == "none" else "on",
            seen=(FIRST,),
            policy=policy,
            hold_kind="image" if name == "mail" else "service",
        )
        for name, policy in POLICIES.items()
    }


def _opened() -> Services:
    entry = (Entry("deploy", SECOND, FIRST),)
    return {n: service.after(image=SECOND, entries=entry) for n, service in _began().items()}


def _open(shop: Shop) -> Shop:
    """Open a shop in which every service was deployed once."""
    files = {f"apps/{name}.yaml": _manifest(name, service) for name, service in _began().items()}
    for name, policy in POLICIES.items():
        if policy == "all":
            files[f"policies/{name}.yaml"] = POLICY.replace("NAME", name)
    shop.open({**files, "README.md": README, ".gitops-rollback.toml": TOML})
    shop.ok("deploy", *(f"--image={name}={image(SECOND, name)}" for name in NAMES))
    (shop.root / "bin").mkdir()
    trigger = TRIGGER.format(root=shop.root)
    shop.hook("pre-receive", f"[ ! -e {shop.root}/receive ] || {{ {trigger}; }}")
    return shop


def _manifest(name: str, service: Service) -> str:
    key = {"on": "$imagepolicy", "held": "$imagepolicy-held"}.get(service.marker)
    marker = f' # {{"{key}": "flux-system:{name}"}}' if key else ""
    line = f"image: {image(service.image, name)}{marker}"
    return LEDGER.replace("image: acme/ledger:3.1", line).replace("ledger", name)


# What is drawn

tags = st.sampled_from(TAGS)
names = st.sampled_from(NAMES)
several = st.one_of(
    st.just(SETS["shop"]), st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
)
accepted = st.sampled_from([False, False, False, False, True]).flatmap(  # now and then wrongly
    lambda held: (
        st.just(frozenset({"held"}))
        if held
        else st.frozensets(st.sampled_from(["bad", "automation"]))
    )
)
rarely = st.sampled_from([False, False, False, True])


@st.composite
def deploys(draw: st.DrawFn) -> Deploy:
    images = {name: draw(tags) for name in draw(several)}
    build = draw(st.none() | st.integers(1, 5))
    return Deploy(images, draw(accepted), draw(rarely), draw(rarely), build)


@st.composite
def rollbacks(draw: st.DrawFn) -> Rollback:
    to = draw(st.none() | st.none() | tags)
    accept = draw(accepted) if to else frozenset()
    return Rollback(draw(several), to, draw(st.booleans()), accept, draw(rarely))


@st.composite
def releases(draw: st.DrawFn) -> Release:
    forgive = draw(st.none() | st.none() | tags)
    return Release(draw(several), forgive, draw(accepted), draw(rarely))


acts = st.one_of(deploys(), rollbacks(), rollbacks(), releases())


class Branch(RuleBasedStateMachine):
    """The model is `services`; the real thing is the branch of a bare repository."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__()
        self.shop = workshop.shop("a branch", _open)
        self.services = _opened()
        self.readme = README
        self.commits: list[Commit] = []
        self.lines = 0  # written into the readme
        self.taken_back: set[str] = set()  # services of which a whole commit was reverted

    # What happens

    @rule(act=acts, cached=st.booleans())
    def one_writer(self, act: Act, cached: bool) -> None:  # noqa: FBT001 - drawn
        act = self._meant(act)
        ended = act.end(self.services, self.services)
        self._ends(act, self._run(act, cached=cached), ended)

    @rule(
        act=acts,
        other=acts | st.builds(Edited, names, tags),
        moment=st.sampled_from(MOMENTS),
        cached=st.booleans(),
    )
    def two_writers(self, act: Act, other: Act | Edited, moment: str, cached: bool) -> None:  # noqa: FBT001 - drawn
        """Another command, or an edit by hand, comes in between."""
        act = self._meant(act)
        other = other if isinstance(other, Edited) else self._meant(other)
        before = dict(self.services)
        alone = act.end(before, before)
        edit = self._edit(other) if isinstance(other, Edited) else None
        script = self._script(other) if not isinstance(other, Edited) else ""
        root = self.shop.root
        (root / "other").write_text(self._prepared(edit) if edit else script, encoding="utf-8")
        code = self._run(act, cached=cached, moment=moment)
        (root / "other").unlink(missing_ok=True)
        if not (root / "taken").exists():
            self._ends(act, code, alone)
            return
        (root / "taken").unlink()
        event("the other one acted in between")
        commits = self.shop.log("%H")
        if "error" not in self._result() and self._result().get("commit") == commits[0]:
            commits.pop(0)
        if edit is not None:
            self._arrived(commits[0], edit)
        elif not isinstance(other, Edited):
            status = int((root / "code").read_text())
            self._took_place(other, status, other.end(before, before), commits[0], "other")
        ended = act.end(self.services, before) if alone.changed else alone
        if alone.changed and self.services != before:
            event(f"the first one had to begin again, and ended with {ended.code}")
        self._ends(act, code, ended)

    @rule(name=names, tag=tags)
    def edit_by_hand(self, name: str, tag: str) -> None:
        self._by_hand(Edit({name: self.services[name].after(image=tag)}))

    @rule(
        name=st.sampled_from([name for name in NAMES if POLICIES[name] != "none"]),
        marker=st.sampled_from(["on", "held", "none"]),
    )
    def edit_a_marker(self, name: str, marker: str) -> None:
        self._by_hand(Edit({name: self.services[name].after(marker=marker)}))

    @rule()
    def edit_something_else(self) -> None:
        self._by_hand(Edit({}, self._longer()))

    @precondition(lambda self: self._revertible())
    @rule(data=st.data())
    def revert_a_commit(self, data: st.DataObject) -> None:
        commit = data.draw(st.sampled_from(self._revertible()))
        services = {}
        for name, was in commit.before.items():
            now = self.services[name].after(image=was.image, marker=was.marker)
            kept = {"entries": was.entries, "bad": was.bad, "hold": was.hold}
            services[name] = now.after(**kept)
        listed = self.shop.git("ls-tree", "-r", "--name-only", f"{commit.sha}~1")
        before = set(listed.splitlines())  # the file of a hold that began with it was not there
        files = {
            path: self.shop.bytes_of(path, f"{commit.sha}~1") if path in before else None
            for path in self.shop.changed(commit.sha)
            if path != "README.md"
        }
        message = f'Revert "something"\n\nThis reverts commit {commit.sha}.\n'
        self._arrived(self.shop.commit(files, message, by="Ben Roe"), Edit(services))
        self.taken_back |= commit.before.keys()
        event("a whole commit was reverted")
        self._is_as_the_model_says()

    # By hand

    def _meant(self, act: Act) -> Act:
        """Return a rollback with `--again` where a commit of its services was reverted by hand.

        Without it what was deployed last may count as taken back: tested beside the choice.
        """
        if isinstance(act, Rollback) and self.taken_back.intersection(act.names):
            return replace(act, again=True)
        return act

    def _longer(self) -> str:
        self.lines += 1
        return f"{self.readme}Line {self.lines}.\n"

    def _edit(self, edited: Edited) -> Edit:
        service = self.services[edited.name].after(image=edited.tag)
        return Edit({edited.name: service}, self._longer())

    def _by_hand(self, edit: Edit) -> None:
        files = self._files_of(edit)
        if files:
            self._arrived(self.shop.commit(files, "By hand", by="Ben Roe"), edit)
        self._is_as_the_model_says()

    def _files_of(self, edit: Edit) -> dict[str, str]:
        files = {f"apps/{n}.yaml": _manifest(n, s) for n, s in edit.services.items()}
        if edit.readme is not None:
            files["README.md"] = edit.readme
        return {path: text for path, text in files.items() if text != self.shop.text(path)}

    def _prepared(self, edit: Edit) -> str:
        """Return a script that lets an edit by hand arrive."""
        shop = self.shop
        shop.git("update-ref", "refs/heads/hand", "main")
        sha = shop.commit(self._files_of(edit), "By hand", by="Ben Roe", branch="hand")
        shop.git("update-ref", "-d", "refs/heads/hand")
        git = ["git", "-C", str(shop.bare), "update-ref", "refs/heads/main", sha]
        return _clean(git, shop.environment)

    def _arrived(self, sha: str, edit: Edit) -> None:
        touched = {n for n, s in edit.services.items() if s.shown() != self.services[n].shown()}
        self.commits.append(Commit(sha, {name: self.services[name] for name in touched}))
        self.services = {**self.services, **edit.services}
        self.readme = self.readme if edit.readme is None else edit.readme

    def _revertible(self) -> list[Commit]:
        """Return the commits whose files nobody touched since: their revert is clean."""
        found = []
        later: set[str] = set()
        for commit in reversed(self.commits):
            if commit.before and not later & commit.before.keys():
                found.append(commit)
            later |= commit.before.keys()
        return found

    # The command

    def _run(self, act: Act, *, cached: bool, moment: str | None = None) -> int:
        """Run an act in this process; the other writer acts at a moment, if one is given."""
        root = self.shop.root
        for path in (root / "bin" / "git", root / "receive", root / "result.json"):
            path.unlink(missing_ok=True)
        if moment == "pre-receive":
            (root / "receive").touch()
        elif moment is not None:
            _write_git(root, moment)
        environment = {**_environment(act, self.shop), **_cache(root, cached=cached)}
        environment["PATH"] = f"{root}/bin:{environment['PATH']}"
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(said), _signals_kept():
            code = cli.run(self.shop.line(*_arguments(act))[1:], environment)
        assert "Traceback" not in said.getvalue(), said.getvalue()
        return code

    def _script(self, act: Act) -> str:
        """Return a script that runs an act as a process of its own."""
        root = self.shop.root
        line = [*self.shop.line(*_arguments(act))[:-1], str(root / "other.json")]
        run = _clean(line, _environment(act, self.shop))
        return f"{run} >{root}/said 2>&1; echo $? >{root}/code\n"

    def _result(self, name: str = "result") -> dict[str, Any]:
        return checked_result(self.shop.root / f"{name}.json", "deploy")

    # What always holds

    def _ends(self, act: Act, code: int, ended: Ended) -> None:
        self._took_place(act, code, ended, self.shop.tip() or "")
        self._is_as_the_model_says()

    def _took_place(
        self, act: Act, code: int, ended: Ended, tip: str, name: str = "result"
    ) -> None:
        result = self._result(name)
        told = (code, result.get("error", {}).get("code", ""))
        assert told == (ended.code, ended.why), f"{act}: {result}"
        event(f"{COMMANDS[type(act)]} ended with {code} {ended.why}".strip())
        made = None if "error" in result else result.get("commit")
        assert made == (tip if ended.changed else None), (act, ended, result)
        if not ended.changed:
            return
        paths = set()
        for service, after in ended.changed.items():
            before = self.services[service]
            if (after.image, after.marker) != (before.image, before.marker):
                paths.add(f"apps/{service}.yaml")
            if after.shown()[2:] != before.shown()[2:]:
                paths.add(_state_path(service))
                paths |= self._hold_of(service, before, f"{tip}~1")
                paths |= self._hold_of(service, after, tip)
        assert set(self.shop.changed(tip)) == paths, act
        self._arrived(tip, Edit(dict(ended.changed)))

    def _hold_of(self, name: str, service: Service, commit: str) -> set[str]:
        """Where the hold of a service stands in a commit, if the model says that it is held."""
        if service.hold is None:
            return set()
        return {path_of_hold(json.loads(self.shop.text(_state_path(name), commit))["hold"]["id"])}

    def _is_as_the_model_says(self) -> None:
        shop = self.shop
        log = [line.split() for line in reversed(shop.log("%H %P"))][2:]
        assert [line[0] for line in log] == [commit.sha for commit in self.commits]
        assert all(len(line) == 2 for line in log), "no merges"
        files = _files_at_tip(shop)
        in_force = set()
        for name, service in self.services.items():
            assert files[f"apps/{name}.yaml"] == _manifest(name, service)
            state = json.loads(files[_state_path(name)])
            schema.check(state, "state")
            assert _shown(state, name) == service.shown()[2:], name
            if service.hold is not None:
                path = path_of_hold(state["hold"]["id"])
                in_force.add(path)
                assert _as_in(state) == json.loads(files[path]), "a hold says what its state says"
        assert {path for path in files if "/.held/" in path} == in_force
        assert len(files) == 12 + len(in_force)
        assert (files["README.md"], files[".gitops-rollback.toml"]) == (self.readme, TOML)
        assert not list(shop.scratch.iterdir())


def _files_at_tip(shop: Shop) -> dict[str, str]:
    """Return the text of every file, by two processes: this is asked after each step."""
    listed = [line.split("\t") for line in shop.git("ls-tree", "-r", "main").splitlines()]
    oids = [head.split(" ")[2] for head, _path in listed]
    output = subprocess.run(
        ["git", "cat-file", "--batch"],
        cwd=shop.bare,
        input="".join(f"{oid}\n" for oid in oids).encode(),
        capture_output=True,
        check=True,
    ).stdout
    contents = {oid: data.decode() for oid, data in read_batch(output)}
    return {path: contents[oid] for (_head, path), oid in zip(listed, oids, strict=True)}


def _arguments(act: Act) -> list[str]:
    options = [COMMANDS[type(act)]]
    if isinstance(act, Deploy):
        options += [f"--image={name}={image(tag, name)}" for name, tag in act.images.items()]
        options += ["--release"] if act.release else []
    else:
        called = next((key for key, members in SETS.items() if members == act.names), None)
        chosen = [f"--set={called}"] if called else [f"--service={name}" for name in act.names]
        options += [*chosen, "--reason=why not"]
    if isinstance(act, Rollback):
        options += ["--again"] if act.again else []
        options += [f"--to={act.to}"] if act.to else []
    if isinstance(act, Release) and act.forgive:
        options += [f"--forgive={act.forgive}"]
    options += ["--skip-blocked"] if act.skip else []
    return options + ([f"--accept={','.join(sorted(act.accept))}"] if act.accept else [])


def _environment(act: Act, shop: Shop) -> dict[str, str]:
    build = act.build if isinstance(act, Deploy) else None
    named = {"JOB_NAME": "shop/all", "BUILD_NUMBER": str(build)} if build else {}
    return {**shop.environment, **named}


def _cache(root: Path, *, cached: bool) -> dict[str, str]:
    return {"GITOPS_CACHE": str(root / "cache")} if cached else {}


def _clean(line: list[str], environment: Mapping[str, str]) -> str:
    """Return a shell command with an environment of its own: not with that of a hook."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    return shlex.join(["env", "-i", *variables, *line])


def _shown(state: dict[str, Any], name: str) -> tuple[object, ...]:
    """Return what a state file says, in the model's words."""
    tag_of = {canonical(tag, name): tag for tag in TAGS}
    entries = tuple(
        Entry(e["action"], tag_of[e["image"]], tag_of[e["from"]], e.get("build", {}).get("number"))
        for e in state["deployed"]
    )
    bad = tuple(tag_of[entry["image"]] for entry in state["bad"])
    hold = state.get("hold")
    held = hold and Held(tag_of[hold["from"]], tag_of[hold["to"]], len(hold["markers"]))
    return entries, bad, held


def _state_path(name: str) -> str:
    return f".gitops-rollback/default/{name}.json"


def _as_in(state: dict[str, Any]) -> dict[str, Any]:
    """Return the file of a hold as it has to be beside a state file: without the markers."""
    told = {key: state[key] for key in ("schemaVersion", "service", "environment", "fields", "bad")}
    return {**told, "hold": {**state["hold"], "markers": []}}


def _write_git(root: Path, moment: str) -> None:
    """Write a git that lets the other one act before its first call of a kind."""
    path = root / "bin" / "git"
    path.write_text(
        f'#!/bin/sh\ncase " $1 $2 " in *" {moment} "*) {TRIGGER.format(root=root)} ;; esac\n'
        f'exec {GIT} "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o755)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give back the signals that a run of the command takes for itself."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_whatever_happens_the_branch_is_what_the_model_says(workshop: Workshop) -> None:
    class Here(Branch):
        def __init__(self) -> None:
            super().__init__(workshop)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=1000 if LONG else 8,
            stateful_step_count=12,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
