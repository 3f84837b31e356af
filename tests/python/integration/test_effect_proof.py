"""Where the model does not know what takes effect, the agent's own kustomize proves it, or refuses.

By the real tool on real repositories; and by stand-ins that hang, talk without end, fail, are old.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, image, program, stop, wait_for
from servers.any_answer import AnyAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
      - name: server
        image: acme/cart:1.4.1
"""
HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
LISTED = f"{HEAD}resources: [deployment.yaml]\n"
ADDED = """\
apiVersion: builtin
kind: ValueAddTransformer
metadata: {name: add}
value: shop
targets: [{selector: {kind: Deployment}, fieldPath: metadata/annotations/team}]
"""
VERSION_IN_LABEL = """\
replacements:
- source:
    kind: Deployment
    name: cart
    fieldPath: spec.template.spec.containers.0.image
    options: {delimiter: ":", index: 1}
  targets:
  - select: {kind: Deployment, name: cart}
    fieldPaths: [metadata.annotations.version]
    options: {create: true}
"""
PATH = "apps/deployment.yaml"
BY_FILE = {
    PATH: DEPLOYMENT,
    "apps/kustomization.yaml": f"{LISTED}transformers: [add.yaml]\n",
    "apps/add.yaml": ADDED,
}
IN_PLACE = f"{LISTED}transformers:\n- |-\n" + "".join(f"  {line}\n" for line in ADDED.splitlines())
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  targetNamespace: shop
"""
LAYOUTS: dict[str, dict[str, str]] = {
    "a transformer in a file": BY_FILE,
    "a transformer in place": {PATH: DEPLOYMENT, "apps/kustomization.yaml": IN_PLACE},
    "a folder of transformers": {
        PATH: DEPLOYMENT,
        "apps/kustomization.yaml": f"{LISTED}transformers: [../transformers]\n",
        "transformers/kustomization.yaml": f"{HEAD}resources: [add.yaml]\n",
        "transformers/add.yaml": ADDED,
    },
    "an overlay over a folder with one": {
        **BY_FILE,
        "prod/kustomization.yaml": f"{HEAD}resources: [../apps]\nnameSuffix: -prod\n",
    },
    "a schema of its own": {
        PATH: DEPLOYMENT,
        "apps/kustomization.yaml": f"{LISTED}openapi: {{path: schema.json}}\n"
        "patches: [{path: patch.yaml}]\n",
        "apps/schema.json": '{"definitions": {}}',
        "apps/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\n"
        "spec: {template: {spec: {containers: [{name: server, image: 'acme/cart:1.4.1'}]}}}\n",
    },
    "configurations that let names write to an image": {
        PATH: DEPLOYMENT,
        "apps/kustomization.yaml": f"{LISTED}configurations: [names.yaml]\n",
        "apps/names.yaml": "namePrefix:\n- {kind: Deployment, path: spec/other/image}\n",
    },
    "applied by Flux into a namespace": {**BY_FILE, "clusters/apps.yaml": FLUX},
}


@pytest.fixture(scope="module")
def kustomize() -> str:
    return program("kustomize", "kustomize")


def opened(files: Mapping[str, str], tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop").open(files)


def render(program_: str, shop: Shop, folder: str, target: Path) -> str:
    """What the real tool makes of a folder at the tip, without anything of ours."""
    target.mkdir()
    archive = subprocess.run(
        ["git", "archive", "main"], cwd=shop.bare, capture_output=True, check=True
    )
    subprocess.run(["tar", "x"], cwd=target, input=archive.stdout, check=True)
    done = subprocess.run(
        [program_, "build", folder], cwd=target, capture_output=True, text=True, check=True
    )
    return done.stdout


def without_tools(tmp_path: Path) -> dict[str, str]:
    """A PATH on which git is, and no kustomize and no kubectl."""
    folder = tmp_path / "plain-bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("git", "sh"):
            found = program(name, name)
            (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


def stand_in(tmp_path: Path, script: str, name: str = "kustomize") -> dict[str, str]:
    """A PATH on which a program of that name does what a script says."""
    path = without_tools(tmp_path)
    folder = tmp_path / f"stand-in-{name}"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{path['PATH']}"}


def planned_in(tmp_path: Path, shop: Shop) -> Path:
    """The file of a plan that is made now."""
    shop.ok("plan", "--service", "cart")
    return (shop.root / "result.json").rename(tmp_path / "plan.json")


NEW = ("--service", "cart", "--image", image("1.5.0"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_that_the_model_does_not_follow_is_deployed_and_rolled_back_by_proof(
    name: str, kustomize: str, tmp_path: Path
) -> None:
    shop = opened(LAYOUTS[name], tmp_path)
    folder = "prod" if "prod/kustomization.yaml" in LAYOUTS[name] else "apps"
    without = shop.refused(6, "refused", "deploy", *NEW, "--effect-proof", "off")
    assert without.error["code"] == "effect"
    first = render(kustomize, shop, folder, tmp_path / "first")
    shop.deploy("1.4.2")
    before = render(kustomize, shop, folder, tmp_path / "before")
    deployed = shop.deploy("1.5.0")
    after = render(kustomize, shop, folder, tmp_path / "after")
    assert after == before.replace(image("1.4.2"), image("1.5.0")) != before
    assert before == first.replace("acme/cart:1.4.1", image("1.4.2"))
    proof = deployed.service()["effectProof"]
    assert (proof["by"], proof["tool"], proof["version"]) == ("build", "kustomize", "v5.7.1")
    assert "proven by kustomize v5.7.1" in deployed.said
    back = shop.roll_back()
    assert back.service()["effectProof"]["by"] == "build"
    assert render(kustomize, shop, folder, tmp_path / "back") == before


@pytest.mark.usefixtures("kustomize")
def test_a_build_that_differs_in_more_than_the_image_proves_nothing(tmp_path: Path) -> None:
    files = {**BY_FILE, "apps/kustomization.yaml": BY_FILE["apps/kustomization.yaml"]}
    files["apps/kustomization.yaml"] += VERSION_IN_LABEL
    shop = opened(files, tmp_path)
    run = shop.refused(1, "manifest", "deploy", *NEW)
    assert "no digest can stand there" in run.error["message"]
    assert "--accept tag" in run.error["hint"]
    run = shop.refused(6, "refused", "deploy", *NEW, "--accept", "tag")
    assert run.error["code"] == "effect"
    assert "metadata.annotations.version changed" in run.error["message"]
    taken = shop.deploy("1.5.0", "--accept", "tag,effect")
    assert taken.service()["effectProof"] == {"by": "accepted"}


RUNNER = """\
apiVersion: acme.example/v1
kind: Runner
metadata: {name: cart-jobs}
spec: {runner: {image: "acme/cart:1.4.1"}}
"""
COPIED = """\
replacements:
- source: {kind: Deployment, name: cart, fieldPath: spec.template.spec.containers.0.image}
  targets: [{select: {kind: Runner}, fieldPaths: [spec.runner.image]}]
"""


@pytest.mark.usefixtures("kustomize")
def test_an_image_at_a_place_of_its_own_is_proven_once_it_is_configured(tmp_path: Path) -> None:
    """The hint is followed to the letter."""
    listed = BY_FILE["apps/kustomization.yaml"].replace("[dep", "[runner.yaml, dep")
    files = {**BY_FILE, "apps/kustomization.yaml": listed + COPIED, "apps/runner.yaml": RUNNER}
    shop = opened(files, tmp_path)
    run = shop.refused(6, "refused", "deploy", *NEW)
    fields = 'fields = ["/spec/runner/image"]'
    assert run.error["hint"].startswith(f"if it is an image too, configure its place: {fields};")
    shop.commit({".gitops-rollback.toml": f"[services.cart]\n{fields}\n"})
    assert shop.deploy("1.5.0").service()["effectProof"]["by"] == "build"


@pytest.mark.usefixtures("kustomize")
def test_an_image_that_a_transformer_holds_fast_is_another_effect(tmp_path: Path) -> None:
    """Whoever accepts an unknown effect does not accept one that is known to be another."""
    pinned = """\
apiVersion: builtin
kind: ImageTagTransformer
metadata: {name: pin}
imageTag: {name: acme/cart, newTag: "1.3"}
fieldSpecs: [{path: "spec/template/spec/containers[]/image", kind: Deployment}]
"""
    repeated = f"&pin {json.dumps(pinned)}"  # a text that is not edited within
    files = {
        PATH: DEPLOYMENT,
        "apps/kustomization.yaml": f"{LISTED}transformers:\n- {repeated}\n"
        "metadata: {name: shop, annotations: {note: *pin}}\n",
    }
    shop = opened(files, tmp_path)
    for accept in ((), ("--accept", "effect")):
        run = shop.refused(1, "manifest", "deploy", *NEW, *accept)
        assert "stays acme/cart:1.3" in run.error["message"]


def test_what_the_model_understands_starts_no_tool(tmp_path: Path) -> None:
    started = tmp_path / "started"
    path = stand_in(tmp_path, f"touch {started}; exit 1")
    shop = opened({PATH: DEPLOYMENT, "apps/kustomization.yaml": LISTED}, tmp_path)
    run = shop.deploy("1.5.0", environment=path)
    assert run.service()["effectProof"] == {"by": "model"}
    assert not started.exists()


@pytest.mark.usefixtures("kustomize")
def test_build_proves_also_what_the_model_understands(tmp_path: Path) -> None:
    files = {
        PATH: DEPLOYMENT,
        "apps/kustomization.yaml": LISTED,
        ".gitops-rollback.toml": '[services.cart]\neffect-proof = "build"\n',
    }
    shop = opened(files, tmp_path)
    assert shop.deploy("1.5.0").service()["effectProof"]["by"] == "build"
    missing = without_tools(tmp_path)
    run = shop.refused(
        *(6, "refused", "deploy", "--service", "cart", "--image", image("1.6.0")),
        environment=missing,
    )
    assert "neither kustomize nor kubectl is on this machine" in run.error["message"]
    shop.deploy("1.6.0", environment={**missing, "GITOPS_EFFECT_PROOF": "auto"})


# How long what hangs would last: a number that no other process is started with.
SECONDS = f"6000.{os.getpid()}"
HANGS = f"case $1 in version) echo v5.7.1;; *) /bin/sleep {SECONDS} & wait;; esac"
STAND_INS = {
    "hangs": (HANGS, "did not end within"),
    "talks without end": (
        "case $1 in version) echo v5.7.1;; *) exec /bin/cat /dev/zero;; esac",
        "says more than",
    ),
    "fails": (
        "case $1 in version) echo v5.7.1;; *) echo 'Error: no such field' >&2; exit 1;; esac",
        "kustomize v5.7.1 fails: Error: no such field",
    ),
    "is too old": ("echo '{Version:kustomize/v4.5.7 GitCommit:1 BuildDate:2}'", "v4.5.7"),
    "is something else": ("echo hello", "does not say which version it is"),
}


def ends(argument: str) -> bool:
    """Whether what was started with an argument is gone, now or soon: it was killed."""
    end = time.monotonic() + 60
    while is_running(argument) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_running(argument)


def is_running(argument: str) -> bool:
    """Whether some process was started with an argument."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in file.read_bytes().split(b"\0"):
                return True
    return False


@pytest.mark.parametrize("name", STAND_INS)
def test_a_tool_that_does_not_serve_proves_nothing_and_leaves_nothing(
    name: str, tmp_path: Path
) -> None:
    script, why = STAND_INS[name]
    path = stand_in(tmp_path, script)
    shop = opened(BY_FILE, tmp_path)
    run = shop.refused(6, "refused", "deploy", *NEW, "--timeout", "15", environment=path)
    assert run.error["code"] == "effect"
    assert why in run.error["message"]
    assert not list(shop.scratch.iterdir())
    assert ends(SECONDS)


def test_a_run_that_is_ended_while_a_tool_builds_leaves_nothing(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    build = f": > {begun}; /bin/sleep {SECONDS} & wait"
    path = stand_in(tmp_path, f"case $1 in version) echo v5.7.1;; *) {build};; esac")
    shop = opened(BY_FILE, tmp_path)
    running = shop.start("deploy", *NEW, environment=path)
    wait_for(begun)
    code, said = stop(running)
    assert code == 130, said
    assert not list(shop.scratch.iterdir())
    assert ends(SECONDS)


def test_a_tool_gets_no_more_than_some_memory(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    build = f'while [ "$(ulimit -d)" = unlimited ]; do :; done; ulimit -d > {seen}; exit 1'
    path = stand_in(tmp_path, f"case $1 in version) echo v5.7.1;; *) {build};; esac")
    opened(BY_FILE, tmp_path).run("deploy", *NEW, environment=path)
    assert int(seen.read_text(encoding="utf-8")) <= 1_000_000, "kilobytes"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_the_real_kubectl_proves_it_too(tmp_path: Path) -> None:
    path = without_tools(tmp_path)["PATH"]
    (tmp_path / "kubectl-bin").mkdir()
    (tmp_path / "kubectl-bin" / "kubectl").symlink_to(program("kubectl", "kubectl"))
    shop = opened(BY_FILE, tmp_path)
    environment = {"PATH": f"{tmp_path / 'kubectl-bin'}:{path}"}
    run = shop.deploy("1.5.0", environment=environment)
    assert run.service()["effectProof"]["tool"] == "kubectl"


@pytest.mark.usefixtures("kustomize")
def test_without_a_tool_the_hint_says_what_proves_it_and_that_does(tmp_path: Path) -> None:
    shop = opened(BY_FILE, tmp_path)
    run = shop.refused(6, "refused", "deploy", *NEW, environment=without_tools(tmp_path))
    assert "put kustomize (v5) or kubectl on PATH" in run.error["hint"]
    assert shop.deploy("1.5.0").service()["effectProof"]["by"] == "build"


def test_kubectl_serves_where_kustomize_is_too_old(kustomize: str, tmp_path: Path) -> None:
    """`kubectl kustomize` is kustomize's own build; kubectl says which version it has in it."""
    script = (
        'case $1 in version) echo \'{"kustomizeVersion": "v5.4.2"}\';; '
        f'kustomize) shift; exec {kustomize} build "$@";; esac'
    )
    old = stand_in(tmp_path, "echo v4.1.0")["PATH"].split(":")[0]
    path = stand_in(tmp_path, script, "kubectl")["PATH"]
    shop = opened(BY_FILE, tmp_path)
    proof = shop.deploy("1.5.0", environment={"PATH": f"{old}:{path}"}).service()["effectProof"]
    assert (proof["tool"], proof["version"]) == ("kubectl", "v5.4.2")


def test_the_tool_gets_nothing_of_the_machine(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"/usr/bin/env > {seen}; /bin/ls -ld .. >> {seen}; /bin/ls -R . >> {seen}; exit 1"
    path = stand_in(tmp_path, f"case $1 in version) echo v5.7.1;; *) {script};; esac")
    shop = opened({**BY_FILE, "secret/token.txt": "x", "apps/other.yaml": "a: b\n"}, tmp_path)
    secrets = {"GIT_PASSWORD": "hunter22hunter22", "KUBECONFIG": "/etc/kube", **path}
    shop.refused(6, "refused", "deploy", *NEW, environment=secrets)
    text = seen.read_text(encoding="utf-8")
    variables = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
    assert variables <= {
        *("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "LC_ALL", "PWD", "SHLVL", "OLDPWD", "_"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    }
    assert "hunter22" not in text
    assert "drwx------" in text
    assert "add.yaml" in text
    assert "token.txt" not in text, "only what is built is there"
    assert "other.yaml" not in text
    assert "home/state" not in text


REMOTES = {
    "a resource": f"{HEAD}resources: [deployment.yaml, '{{url}}/base.yaml']\n",
    "a base in git": f"{HEAD}resources: [deployment.yaml, '{{url}}/acme/base.git//x?ref=v1']\n",
    "a component": f"{LISTED}components: ['{{url}}/acme/component']\n",
    "a schema": f"{LISTED}openapi: {{{{path: '{{url}}/schema.json'}}}}\n",
    "a definition": f"{LISTED}crds: ['{{url}}/crd.json']\n",
    "a configuration": f"{LISTED}configurations: ['{{url}}/names.yaml']\n",
    "a patch": f"{LISTED}patches: [{{{{path: '{{url}}/patch.yaml'}}}}]\n",
    "a patch with a key in capitals": f"{LISTED}patches: [{{{{PATH: '{{url}}/p.yaml'}}}}]\n",
    "a merge": f"{LISTED}patchesStrategicMerge: ['{{url}}/patch.yaml']\n",
    "what reads as a mapping": f"{LISTED}patchesStrategicMerge: ['{{url}}/patch.yaml?a: b']\n",
    "a replacement": f"{LISTED}replacements: [{{{{path: '{{url}}/r.yaml'}}}}]\n",
    "data": f"{LISTED}configMapGenerator: [{{{{name: a, files: ['a={{url}}/a']}}}}]\n",
    "variables": f"{LISTED}configMapGenerator: [{{{{name: a, envs: ['{{url}}/a']}}}}]\n",
    "a validator": f"{LISTED}validators: ['{{url}}/v.yaml']\n",
    "a generator": f"{LISTED}generators: ['{{url}}/g.yaml']\n",
    "a transformer": f"{LISTED}transformers: ['{{url}}/t.yaml']\n",
    "a transformer's patch": f"{LISTED}transformers:\n- |-\n  apiVersion: builtin\n"
    "  kind: PatchTransformer\n  metadata: {{name: p}}\n  path: '{url}/p.yaml'\n",
}


@pytest.mark.parametrize("name", REMOTES)
@pytest.mark.usefixtures("kustomize")
def test_nothing_is_fetched_for_a_build(name: str, tmp_path: Path) -> None:
    """What stands elsewhere is refused before a tool is started: the server is never asked."""
    server = AnyAnswer(b"{}")
    with server as url:
        files = {**BY_FILE, "apps/kustomization.yaml": REMOTES[name].format(url=url)}
        shop = opened(files, tmp_path)
        run = shop.run("deploy", *NEW, "--effect-proof", "build")
        assert run.code == 6, run.said
        assert "this repository" in run.error["message"] or "no plugin" in run.error["message"]
        assert server.connections == 0


OUTSIDE = {
    "a plugin": f"{LISTED}transformers: [other.yaml]\n",
    "a function": f"{LISTED}transformers: [function.yaml]\n",
    "a chart": f"{LISTED}helmCharts: [{{name: cart, repo: 'https://charts.acme.example'}}]\n",
    "a path that leads out": f"{HEAD}resources: [deployment.yaml, ../../../etc/passwd]\n",
    "a whole path": f"{HEAD}resources: [deployment.yaml, /etc/hosts]\n",
    "a link": f"{HEAD}resources: [deployment.yaml, link.yaml]\n",
    "data from a link": f"{LISTED}configMapGenerator: [{{name: a, files: [link.yaml]}}]\n",
}
FUNCTION = """\
apiVersion: builtin
kind: ValueAddTransformer
metadata:
  name: add
  annotations:
    config.kubernetes.io/function: |
      exec: {path: ./run.sh}
"""


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_is_run_or_read_from_outside_for_a_build(name: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    path = stand_in(tmp_path, f"case $1 in version) echo v5.7.1;; *) touch {started};; esac")
    other = {
        "apps/other.yaml": "apiVersion: acme.example/v1\nkind: Stamp\nmetadata: {name: s}\n",
        "apps/function.yaml": FUNCTION,
    }
    shop = opened({**BY_FILE, **other, "apps/kustomization.yaml": OUTSIDE[name]}, tmp_path)
    shop.commit({"apps/link.yaml": "/etc/passwd"}, mode="120000")
    run = shop.run("deploy", *NEW, "--effect-proof", "build", environment=path)
    assert (run.code, run.error["code"]) == (6, "effect"), run.said
    assert not started.exists()


@pytest.mark.usefixtures("kustomize")
def test_a_plan_that_was_proven_is_followed_on_an_agent_without_the_tool(tmp_path: Path) -> None:
    shop = opened(BY_FILE, tmp_path)
    shop.deploy("1.4.2"), shop.deploy("1.5.0")
    # By then another annotation is set: so it is not simply what was there when 1.4.2 ran.
    shop.edit("value: shop", "value: checkout", "apps/add.yaml")
    plan = planned_in(tmp_path, shop)
    planned = json.loads(plan.read_text(encoding="utf-8"))["services"][0]["effectProof"]
    assert planned["by"] == "build"
    assert set(planned["tree"]) == set(BY_FILE)
    assert planned["tree"][PATH] == shop.git("rev-parse", f"main:{PATH}")
    follow = ("rollback", "--plan", str(plan), "--reason", "bad")
    without = without_tools(tmp_path)
    shop.refused(
        6, "refused", "rollback", "--service", "cart", "--reason", "bad", environment=without
    )
    done = shop.ok(*follow, environment=without)
    assert done.service()["effectProof"] == planned
    assert shop.git("rev-parse", f"main:{PATH}") == planned["edited"][PATH]


@pytest.mark.usefixtures("kustomize")
def test_a_proof_is_of_the_blobs_that_were_built_and_of_no_other(tmp_path: Path) -> None:
    shop = opened(BY_FILE, tmp_path)
    shop.deploy("1.4.2"), shop.deploy("1.5.0")
    shop.edit("value: shop", "value: checkout", "apps/add.yaml")
    plan = planned_in(tmp_path, shop)
    shop.edit("value: checkout", "value: payment", "apps/add.yaml")
    follow = ("rollback", "--plan", str(plan), "--reason", "bad")
    run = shop.refused(6, "refused", *follow, environment=without_tools(tmp_path))
    assert run.error["code"] == "effect"
    anew = shop.ok(*follow).service()["effectProof"]
    assert anew["tree"]["apps/add.yaml"] == shop.git("rev-parse", "main:apps/add.yaml")


@pytest.mark.usefixtures("kustomize")
def test_off_takes_the_proof_of_no_plan_either(tmp_path: Path) -> None:
    shop = opened(BY_FILE, tmp_path)
    shop.deploy("1.4.2"), shop.deploy("1.5.0")
    shop.edit("value: shop", "value: checkout", "apps/add.yaml")
    plan = planned_in(tmp_path, shop)
    shop.refused(
        *(6, "refused", "rollback", "--plan", str(plan), "--reason", "bad"),
        *("--effect-proof", "off"),
    )


@pytest.mark.usefixtures("kustomize")
def test_the_drill_says_what_proves_a_rollback_and_what_would_stop_it(tmp_path: Path) -> None:
    shop = opened(BY_FILE, tmp_path)
    shop.deploy("1.4.2"), shop.deploy("1.5.0")
    proven = shop.run("check", "--service", "cart")
    assert "effect cart: a rollback takes effect: kustomize v5.7.1 built it" in proven.said
    restored = shop.run("check", "--service", "cart", environment=without_tools(tmp_path))
    assert "restores what was in effect" in restored.said
    shop.edit("value: shop", "value: checkout", "apps/add.yaml")
    stopped = shop.run("check", "--service", "cart", environment=without_tools(tmp_path))
    assert stopped.code == 1
    assert "ValueAddTransformer: what it does is not followed" in stopped.said


def test_a_tool_in_a_folder_that_is_named_without_a_root_is_not_run(tmp_path: Path) -> None:
    """Such a folder is where one stands: a checkout may hold anything."""
    started = tmp_path / "started"
    stand_in(tmp_path, f"touch {started}; echo v5.7.1")
    relative = os.path.relpath(tmp_path / "stand-in-kustomize", tmp_path / "shop")
    shop = opened(BY_FILE, tmp_path)
    path = f"{relative}:{without_tools(tmp_path)['PATH']}"
    shop.refused(6, "refused", "deploy", *NEW, environment={"PATH": path})
    assert not started.exists()
