"""Small trees of kustomizations as text, drawn by hypothesis: a base, and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from unit.builders import digest

BASE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
spec:
  template:
    spec:
      initContainers:
      - name: migrate # as old as the server
        image: {migrate}
      containers:
      - name: server
        image: {server}
      - {{name: proxy, image: "{proxy}"}}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: report
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: server
            image: '{report}'
"""
PATCH = """\
apiVersion: {group}
kind: {kind}
metadata:
  name: {name}
spec:
{body}
"""
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CONTAINERS = "containers:\n- name: {container}\n  image: {image}"

_NAMES = ("acme/cart", "acme/cart", "acme/cart", "x.io/cart", "localhost:5000/cart", "acme.cart",
          "envoy", "acme/other")  # fmt: skip
_VERSIONS = st.sampled_from(
    ["", ":1.4", ":latest", f"@{digest('a')}", f":1.4@{digest('a')}", ":v1.4_x-y"]
)
_IMAGES = st.builds(
    str.__add__, st.sampled_from(["acme/cart", "acme/cart", "x.io/cart", "envoy"]), _VERSIONS
)
_SUITABLE = {
    ("apps/v1", "Deployment", "cart"): ("server", "proxy"),
    ("batch/v1", "CronJob", "report"): ("server",),
}


@dataclass
class Tree:
    """Files by their path; `top` is the folder to render."""

    files: dict[str, str] = field(default_factory=dict)
    top: str = "base"


@st.composite
def entries(draw: st.DrawFn) -> str:
    """Draw an `images:` list: every combination of keys, in flow and block style."""
    out = []
    for _ in range(draw(st.integers(0, 3))):
        keys = {"name": draw(st.sampled_from(_NAMES))}
        if draw(st.booleans()):
            keys["newName"] = draw(st.sampled_from(["x.io/cart", "acme/cart", "localhost:5000/c"]))
        if draw(st.booleans()):
            keys["newTag"] = draw(st.sampled_from(["'2'", '"1.36"', "v2", f"v3@{digest('c')}"]))
        if draw(st.booleans()) and "@" not in keys.get("newTag", ""):
            keys["digest"] = draw(st.sampled_from([digest("b"), f"'{digest('d')}'"]))
        order = draw(st.permutations(sorted(keys)))
        pairs = [f"{key}: {keys[key]}" for key in order]
        flow = draw(st.booleans())
        out.append(f"- {{{', '.join(pairs)}}}" if flow else "- " + "\n  ".join(pairs))
    return "images:\n" + "\n".join(out) + "\n" if out else ""


@st.composite
def patches(draw: st.DrawFn, tree: Tree, folder: str) -> str:
    """Draw patches in files of their own, with a target and without, in both lists."""
    lists: dict[str, list[str]] = {"patches": [], "patchesStrategicMerge": []}
    for number in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        group, kind, name = draw(st.sampled_from(sorted(_SUITABLE)))
        container = draw(st.sampled_from(_SUITABLE[group, kind, name]))
        path = f"patch-{number}.yaml"
        body = CONTAINERS.format(container=container, image=draw(_IMAGES))
        form = draw(st.sampled_from(["patches", "patches", "patchesStrategicMerge", "target"]))
        shown = "any" if form == "target" else name
        tree.files[f"{folder}/{path}"] = patch_text(group, kind, shown, body)
        if form == "target":
            pattern = draw(st.sampled_from([name, f"{name[:2]}.*", f".*{name[-2:]}"]))
            target = f"{{kind: {kind}, name: {pattern}}}"
            lists["patches"].append(f"- path: {path}\n  target: {target}")
        elif form == "patches":
            lists["patches"].append(f"- path: {path}")
        else:
            lists["patchesStrategicMerge"].append(f"- {path}")
    order = draw(st.permutations(sorted(lists)))
    return "".join(f"{key}:\n" + "\n".join(lists[key]) + "\n" for key in order if lists[key])


def patch_text(group: str, kind: str, name: str, body: str) -> str:
    """Return a patch whose pod specification has some text."""
    path = (
        ["template", "spec"] if kind != "CronJob" else ["jobTemplate", "spec", "template", "spec"]
    )
    lines = [f"{'  ' * (depth + 1)}{key}:" for depth, key in enumerate(path)]
    lines += ["  " * (len(path) + 1) + line for line in body.splitlines()]
    return PATCH.format(group=group, kind=kind, name=name, body="\n".join(lines))


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Draw a base and one to three overlays and components on it."""
    tree = Tree()
    images = {key: draw(_IMAGES) for key in ("migrate", "server", "proxy", "report")}
    tree.files["base/workloads.yaml"] = BASE.format(**images)
    tree.files["base/kustomization.yaml"] = "resources: [workloads.yaml]\n" + draw(entries())
    for number in range(draw(st.integers(1, 3))):
        folder = f"overlay-{number}"
        key = draw(st.sampled_from(["resources", "resources", "bases"]))
        text = f"{key}:\n- ../{tree.top}\n"
        if draw(st.sampled_from([False, False, True])):
            component = f"component-{number}"
            body = draw(patches(tree, component)) + draw(entries())
            if body:  # kustomize refuses one that is empty
                tree.files[f"{component}/kustomization.yaml"] = COMPONENT + body
                text += f"components: [../{component}]\n"
        if draw(st.sampled_from([False, False, True])):
            text += f"namePrefix: p{number}--\n"
        text += draw(st.permutations([draw(patches(tree, folder)), draw(entries())]).map("".join))
        tree.files[f"{folder}/kustomization.yaml"] = text
        tree.top = folder
    return tree
