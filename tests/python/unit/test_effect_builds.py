"""What a build of kustomize proves of an edit, what may be built, and when anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import (
    Blobs,
    Facts,
    Need,
    NeedBlobs,
    NeedFilesAt,
    NeedRecord,
    NeedRendered,
    Rendered,
    ServiceAtTip,
)
from gitops_rollback.decide.plan import PlanFile, PlannedService
from gitops_rollback.decide.wish import Wish
from gitops_rollback.effective.proof import (
    BUILD,
    NotBuiltError,
    Proof,
    Recipe,
    as_applied,
    blob_id,
    files_of,
    read_proof,
    read_recipe,
)
from gitops_rollback.repo.objects import Tip
from unit.builders import (
    PRESENT,
    URL,
    changed,
    decided,
    found_service,
    image,
    plainly,
    state,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.ledger.records import StoredRecord

COMMIT = "1" * 40
HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
WORKLOAD = """\
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec: {{template: {{spec: {{containers: [{{name: server, image: '{image}'}}]}}}}}}
"""
ADDED = """\
apiVersion: builtin
kind: ValueAddTransformer
metadata: {name: add}
value: shop
targets: [{selector: {kind: Deployment}, fieldPath: metadata/annotations/team}]
"""
APPS = Recipe("apps")
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./apps%s}
"""


def workload(text: str, name: str = "cart", kind: str = "Deployment") -> str:
    return WORKLOAD.format(kind=kind, name=name, image=text)


def tree(text: str = "", *, listed: str = "deployment.yaml", **more: str) -> dict[str, str]:
    """A folder with a transformer that is not followed; `more` are further files of it."""
    kustomization = f"{HEAD}resources: [{listed}]\ntransformers: [add.yaml]\n"
    files = {"deployment": workload(text or str(image("1.0"))), "kustomization": kustomization}
    return {f"apps/{key}.yaml": value for key, value in {**files, "add": ADDED, **more}.items()}


def at_tip(files: Mapping[str, str], config: str = "", **more: Any) -> ServiceAtTip:  # noqa: ANN401
    data = {path: text.encode() for path, text in files.items()}
    return ServiceAtTip(Tip("main", COMMIT), found_service(data, config), **{"state": None, **more})


def wish(**more: Any) -> Wish:  # noqa: ANN401
    return Wish("deploy", PRESENT, **{"image": image("2.0"), **more})


class Agent:
    """Answers needs as an agent whose tool makes `before` and `after`; remembers what was built."""

    def __init__(self, before: str = "", after: str = "", **more: Any) -> None:  # noqa: ANN401
        self.built: list[NeedRendered] = []
        self.rendered = Rendered("kustomize", "v5.7.1", before.encode(), after.encode())
        if more:
            self.rendered = Rendered(**more)
        self.blobs = Blobs({"apps/deployment.yaml": "a" * 40, "apps/add.yaml": "b" * 40})
        self.commits: dict[str, dict[str, bytes]] = {}
        self.stored: StoredRecord | None = None

    def __call__(self, need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401
        if isinstance(need, NeedRendered):
            self.built.append(need)
            return self.rendered
        if isinstance(need, NeedBlobs):
            return self.blobs
        if isinstance(need, NeedFilesAt):
            return {path: self.commits[need.commit].get(path) for path in need.paths}
        if isinstance(need, NeedRecord) and self.stored is not None:
            return self.stored
        return plainly(need, facts)


OLD, NEW = str(image("1.0")), str(image("2.0"))


def refused(found: Change | Refused) -> tuple[str, str, str]:
    assert isinstance(found, Refused)
    return (found.error.code or found.error.category, found.error.message, found.error.hint)


# What a build proves


def test_what_becomes_the_image_that_is_meant_and_changes_nothing_else_is_proven() -> None:
    agent = Agent(workload(OLD), workload(NEW))
    proof = changed(wish(), at_tip(tree()), agent).proof
    assert proof is not None
    assert (proof.by, proof.tool, proof.version, proof.recipes) == (
        *(BUILD, "kustomize", "v5.7.1"),
        (APPS,),
    )
    (need,) = agent.built
    assert [path for path, _data in need.edited] == ["apps/deployment.yaml"]
    assert proof.edited == {"apps/deployment.yaml": blob_id(need.edited[0][1], COMMIT)}
    assert proof.tree == agent.blobs.tree


LABELLED = workload(OLD).replace("{name: cart}", "{name: cart, labels: {v: '1'}}")
OTHERS = {
    "a label": (LABELLED, LABELLED.replace("'1'", "'2'").replace(OLD, NEW), "labels.v changed"),
    "another object": (
        workload(OLD),
        f"{workload(NEW)}---\n{workload('acme/x:1', 'other')}",
        "Deployment other is new",
    ),
    "nothing": (workload(OLD), workload(OLD), "stays as it is"),
    "no sound text": (workload(OLD), "a: [", "cannot be read"),
    "a workload that the model does not know": (
        f"{workload(OLD)}---\n{workload(OLD, 'twin')}",
        f"{workload(NEW)}---\n{workload(OLD, 'twin')}",
        "Deployment twin, container 'server' (by apps) stays",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_otherwise_is_not_proven(name: str) -> None:
    before, after, why = OTHERS[name]
    if name == "nothing":  # of an object that goes by another name than the model has for it
        before, after = (text.replace("name: cart", "name: x-cart") for text in (before, after))
        before, after = (text.replace("acme/cart", "acme/other") for text in (before, after))
    code, message, hint = refused(decided(wish(), at_tip(tree()), Agent(before, after)))
    assert code == "effect"
    assert why in message
    assert hint.endswith("--accept effect")
    found = changed(wish(accept=frozenset({"effect"})), at_tip(tree()), Agent(before, after))
    assert found.proof == Proof("accepted")


def test_an_image_at_a_place_that_is_not_known_is_named_as_the_configuration_wants_it() -> None:
    runner = workload(OLD) + "---\nkind: Job\nspec: {runner: {kind: x:y, image: '%s'}}\n"
    agent = Agent(runner % OLD, (runner % NEW).replace(OLD, NEW, 1))
    _code, _message, hint = refused(decided(wish(), at_tip(tree()), agent))
    assert 'configure its place: fields = ["/spec/runner/image"]; or look' in hint


ELSEWHERE = {
    "stays": (workload(OLD), workload(OLD), "stays"),
    "another version": (workload(OLD), workload(str(image("3.0"))), "would take effect"),
    "an immutable template": (
        f"{workload(OLD)}---\n{workload(OLD, 'job', 'Job').replace('apps/v1', 'batch/v1')}",
        f"{workload(NEW)}---\n{workload(NEW, 'job', 'Job').replace('apps/v1', 'batch/v1')}",
        "immutable",
    ),
    "somebody else's image": (
        f"{workload(OLD)}---\n{workload('acme/pay:1', 'pay')}",
        f"{workload(NEW)}---\n{workload(NEW, 'pay')}",
        "changes more than was meant: Deployment pay",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("accept", [frozenset(), frozenset({"effect"})])
def test_another_effect_than_was_meant_is_an_error_whatever_is_accepted(
    name: str, accept: frozenset[str]
) -> None:
    before, after, why = ELSEWHERE[name]
    code, message, _hint = refused(
        decided(wish(accept=accept), at_tip(tree()), Agent(before, after))
    )
    assert code == "manifest"
    assert why in message
    cause = "apps/add.yaml:1: ValueAddTransformer: what it does is not followed"
    assert (cause in message) == (name in ("stays", "another version"))


def test_an_image_that_another_field_decides_may_stay() -> None:
    """Two services of one repository: the other one's workload is its own business."""
    worker = workload("acme/cart:0.9", "worker").replace("name: server", "name: worker")
    files = tree(listed="deployment.yaml, worker.yaml", worker=worker)
    config = '[services.cart]\ncontainers = ["server"]\n'
    other = f"---\n{worker}"
    agent = Agent(workload(OLD) + other, workload(NEW) + other)
    proof = changed(wish(), at_tip(files, config), agent).proof
    assert proof is not None
    assert proof.by == BUILD


def test_what_has_the_image_already_may_stay() -> None:
    canary = f"---\n{workload(NEW, 'canary')}"
    agent = Agent(workload(OLD) + canary, workload(NEW) + canary)
    assert isinstance(decided(wish(), at_tip(tree()), agent), Change)


# When anything is built


def test_what_the_model_understands_is_not_built_unless_that_is_asked_for() -> None:
    files = {**tree(), "apps/kustomization.yaml": f"{HEAD}resources: [deployment.yaml]\n"}
    agent = Agent(workload(OLD), workload(NEW))
    assert changed(wish(), at_tip(files), agent).proof == Proof("model")
    assert agent.built == []
    for more in ({"effect_proof": "build"}, {}):
        config = "" if more else '[defaults]\neffect-proof = "build"\n'
        proof = changed(wish(**more), at_tip(files, config), agent).proof
        assert proof is not None
        assert proof.by == BUILD


def test_nothing_is_built_where_it_is_off_and_the_command_line_wins_over_the_file() -> None:
    agent = Agent(workload(OLD), workload(NEW))
    off = at_tip(tree(), '[services.cart]\neffect-proof = "off"\n')
    assert refused(decided(wish(), off, agent))[0] == "effect"
    assert agent.built == []
    assert isinstance(decided(wish(effect_proof="auto"), off, agent), Change)


def test_without_a_tool_the_hint_says_what_proves_it() -> None:
    agent = Agent(problem="there is none", is_missing=True)
    code, message, hint = refused(decided(wish(), at_tip(tree()), agent))
    assert code == "effect"
    assert "there is none" not in message
    assert hint.startswith("put kustomize (v5) or kubectl on PATH")
    always = refused(decided(wish(effect_proof="build"), at_tip(tree()), agent))
    assert "there is none" in always[1]


def test_a_build_that_is_asked_for_and_cannot_be_made_is_a_refusal_of_its_own() -> None:
    files = {**tree(), "apps/kustomization.yaml": f"{HEAD}resources: [deployment.yaml]\n"}
    agent = Agent(problem="kustomize v5.7.1 fails: no such field")
    code, message, hint = refused(decided(wish(effect_proof="build"), at_tip(files), agent))
    assert (code, hint.endswith("--accept effect")) == ("effect", True)
    assert "kustomize v5.7.1 fails: no such field" in message


def test_why_a_tool_proved_nothing_stands_in_the_refusal() -> None:
    agent = Agent(problem="kustomize v5.7.1 did not end within 20 s")
    _code, message, hint = refused(decided(wish(), at_tip(tree()), agent))
    assert message.endswith("and no build proves it: kustomize v5.7.1 did not end within 20 s")
    assert not hint.startswith("put kustomize")


@pytest.mark.parametrize(
    ("more", "builds"),
    [
        ("", True),
        (", targetNamespace: shop, namePrefix: a-, nameSuffix: -b", True),
        (", images: [{name: acme/other, newTag: '1'}]", False),
        (", patches: [{patch: '[]', target: {kind: Pod}}]", False),
        (", components: [../more]", False),
        (", unheardOf: true", False),
    ],
)
def test_what_flux_adds_beside_names_is_proven_by_no_build(more: str, builds: bool) -> None:  # noqa: FBT001
    files = {
        **tree(),
        "clusters/apps.yaml": FLUX % more,
        "more/kustomization.yaml": "kind: Component\n",
    }
    agent = Agent(workload(OLD), workload(NEW))
    decided(wish(), at_tip(files), agent)
    recipes = [need.recipe for need in agent.built]
    names = ("shop", "a-", "-b") if "targetNamespace" in more else ("", "", "")
    assert recipes == ([Recipe("apps", (), *names)] if builds else [])


def test_a_folder_that_flux_scans_is_built_of_what_is_there() -> None:
    files = {path.replace("apps/", "apps/cart/"): text for path, text in tree().items()}
    files["clusters/apps.yaml"] = FLUX % ""
    agent = Agent(workload(OLD), workload(NEW))
    decided(wish(), at_tip(files), agent)
    assert [need.recipe for need in agent.built] == [Recipe("apps", ("apps/cart",))]


def test_a_field_that_decides_nothing_as_far_as_is_known_is_proven_where_it_is_built() -> None:
    """It is not listed, as far as the model sees; a build that reads its file can tell."""
    files = tree(other=workload("acme/other:1", "other"))
    files["apps/kustomization.yaml"] = f"{HEAD}resources: [other.yaml]\ntransformers: [add.yaml]\n"
    agent = Agent(workload(OLD), workload(NEW))
    agent.blobs = Blobs({"apps/elsewhere.yaml": "a" * 40})
    assert refused(decided(wish(), at_tip(files), agent))[0] == "effect"
    assert agent.built == [], "its file is in no build"
    agent.blobs = Blobs({"apps/deployment.yaml": "a" * 40})
    assert isinstance(decided(wish(), at_tip(files), agent), Change)


# A plan's proof


def rollback(planned: Proof | None, **more: Any) -> Wish:  # noqa: ANN401
    one = PlannedService(*("cart", "production", "auto", image("2.0"), image("1.0")), proof=planned)
    plan = PlanFile("plan.json", URL, "main", (one,))
    return Wish("rollback", PRESENT, planned=plan, reason="bad", **more)


def proven(agent: Agent, edited: str) -> Proof:
    return Proof(
        *(BUILD, "kustomize", "v5.7.1", (APPS,), agent.blobs.tree),
        {"apps/deployment.yaml": edited},
    )


def of_rollback() -> tuple[ServiceAtTip, Agent, str]:
    """A service that runs 2.0 after 1.0, an agent without a tool, and the blob of the rollback."""
    at = at_tip(tree(NEW), state=state(">1.0", "1.0>2.0"))
    back = at.found.manifests.files["apps/deployment.yaml"].text.replace(NEW, OLD)
    return at, Agent(problem="none", is_missing=True), blob_id(back.encode(), COMMIT)


def test_the_proof_of_a_plan_counts_where_nothing_can_be_built() -> None:
    at, agent, back = of_rollback()
    found = changed(rollback(proven(agent, back)), at, agent)
    assert found.proof == proven(agent, back)
    assert agent.built == []


def test_a_proof_of_other_blobs_or_of_another_edit_or_folder_is_none() -> None:
    at, agent, back = of_rollback()
    own = proven(agent, back)
    others = (
        None,
        Proof("model"),
        proven(agent, "c" * 40),
        Proof(
            BUILD, "kustomize", "v5.7.1", (APPS,), {**own.tree, "apps/x.yaml": "d" * 40}, own.edited
        ),
        Proof(BUILD, "kustomize", "v5.7.1", (Recipe("b"),), own.tree, own.edited),
        Proof(BUILD, "kustomize", "v5.7.1", (Recipe("apps", (), "ns"),), own.tree, own.edited),
    )
    for other in others:
        assert refused(decided(rollback(other), at, agent))[0] == "effect"
    assert refused(decided(rollback(own, effect_proof="off"), at, agent))[0] == "effect"


def test_a_proof_of_no_blobs_does_not_prove_what_is_not_built() -> None:
    at, agent, _back = of_rollback()
    agent.blobs = Blobs(problem="apps/kustomization.yaml: what it takes is remote")
    nothing = Proof(BUILD, "kustomize", "v5.7.1", (APPS,))
    assert refused(decided(rollback(nothing), at, agent))[0] == "effect"


LABEL_FOLLOWS = (LABELLED, LABELLED.replace("'1'", "'2'").replace(OLD, NEW))
HELD_FAST = (workload("acme/cart:0.9"), workload("acme/cart:0.9"))


@pytest.mark.parametrize(
    ("rendered", "refusal"), [(LABEL_FOLLOWS, "effect"), (HELD_FAST, "manifest")]
)
def test_what_a_build_says_does_not_stop_a_rollback_to_an_effect_of_which_nothing_changed(
    rendered: tuple[str, str], refusal: str
) -> None:
    """Files that no manifest was read of count too: what they are now is looked up."""
    after, before = rendered
    files = tree(NEW)
    at = at_tip(files, state=state(">1.0", "1.0>2.0"))
    agent = Agent(before, after)
    agent.blobs = Blobs(dict.fromkeys((*files, "apps/schema.json"), "a" * 40))
    agent.commits = {
        COMMIT: {path: text.encode() for path, text in files.items()} | {"apps/schema.json": b"{}"}
    }
    agent.commits["0" * 40] = {**agent.commits[COMMIT], "apps/deployment.yaml": b""}
    agent.commits["0" * 40]["apps/deployment.yaml"] = workload(OLD).encode()
    agent.stored = stored("1.0", "2.0", 2)
    plain = Wish("rollback", PRESENT, reason="bad")
    found = changed(plain, at, agent)
    assert found.proof == Proof("restored")
    assert found.plan is not None
    assert found.plan.findings[-1].endswith("but nothing of it changed since the image ran")
    agent.commits["0" * 40]["apps/schema.json"] = b"[]"
    assert refused(decided(plain, at, agent))[0] == refusal


def test_a_proof_is_read_as_it_was_written() -> None:
    agent = Agent()
    recipes = (APPS, Recipe(""), Recipe("b", ("b/c",), "ns", "p-", "-s"))
    written = Proof(BUILD, "kubectl", "v5.4.2", recipes, agent.blobs.tree, {"a": "e" * 40})
    assert read_proof(written.to_json()) == written
    assert all(read_recipe(one.to_json()) == one for one in recipes)
    assert read_proof(Proof("restored").to_json()) == Proof("restored")


def test_a_blob_has_the_id_that_git_gives_it() -> None:
    """`printf 'a\\n' | git hash-object --stdin`, and with --object-format=sha256."""
    assert blob_id(b"a\n", "0" * 40) == "78981922613b2afb6025042ff6bd878ac1994e85"
    assert blob_id(b"a\n", "0" * 64) == (
        "f8625e43f9e04f24291f77cdbe4c71b3c2a3b0003f60419b3ed06a058d766c8b"
    )


# What may be built


def paths_of(files: Mapping[str, str], recipe: Recipe = APPS) -> set[str]:
    data = {path: text.encode() for path, text in files.items()}
    return set(files_of(recipe, data.keys(), data))


def test_a_build_reads_what_kustomizations_name_and_nothing_else() -> None:
    named = {
        "apps/kustomization.yaml": f"""{HEAD}
resources: [deployment.yaml, ../base]
components: [../component]
crds: [crd.json]
configurations: [names.yaml]
openapi: {{path: schema.json}}
patchesStrategicMerge: [merge.yaml, "apiVersion: v1\\nkind: Pod\\nmetadata: {{name: a}}\\n"]
patches: [{{path: patch.yaml}}, {{patch: "[]", target: {{kind: Pod}}}}]
patchesJson6902: [{{path: json.yaml, target: {{kind: Pod, name: a, version: v1}}}}]
replacements: [{{path: replacement.yaml}}]
configMapGenerator: [{{name: a, files: [a.txt, key=b.txt], envs: [c.env], env: d.env}}]
secretGenerator: [{{name: s, files: [s.txt]}}]
transformers: [add.yaml, ../transformers]
generators: [generator.yaml]
""",
        "base/kustomization.yml": f"{HEAD}bases: [inner]\n",
        "base/inner/Kustomization": f"{HEAD}resources: [x.yaml]\n",
        "base/inner/x.yaml": workload("acme/x:1", "x"),
        "component/kustomization.yaml": "kind: Component\n",
        "transformers/kustomization.yaml": f"{HEAD}resources: [patching.yaml]\n",
        "transformers/patching.yaml": "apiVersion: builtin\nkind: PatchTransformer\n"
        "metadata: {name: p}\npath: own.yaml\n",
        "apps/generator.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\n"
        "metadata: {name: g}\nfiles: [g.txt]\n",
        "apps/add.yaml": ADDED,
        "apps/deployment.yaml": workload(OLD),
        **dict.fromkeys(
            f"apps/{name}"
            for name in (
                *("crd.json", "names.yaml", "schema.json", "merge.yaml", "patch.yaml", "json.yaml"),
                *("replacement.yaml", "a.txt", "b.txt", "c.env", "d.env", "s.txt", "g.txt"),
                "own.yaml",
            )
        ),
    }
    files = {path: text or "{}" for path, text in named.items()}
    beside = {"apps/other.yaml": "a: b\n", "secret.txt": "x", "apps/sub/x.yaml": "a: b\n"}
    assert paths_of({**files, **beside}) == set(files)


def test_a_build_is_read_level_by_level() -> None:
    files = {
        "apps/kustomization.yaml": f"{HEAD}resources: [../base]\n",
        "base/kustomization.yaml": f"{HEAD}resources: [x.yaml]\n",
        "base/x.yaml": workload("acme/x:1", "x"),
    }
    known: dict[str, bytes] = {}
    seen = []
    while missing := files_of(APPS, files.keys(), known) - known.keys():
        seen.append(missing)
        known |= {path: files[path].encode() for path in missing}
    assert seen == [{path} for path in files]


NOT_BUILT: dict[str, tuple[dict[str, str | None], str]] = {
    "nothing there": ({"apps/kustomization.yaml": None}, "no kustomization"),
    "two of them": ({"apps/kustomization.yml": HEAD}, "two kustomizations"),
    "two documents": ({"apps/kustomization.yaml": f"{HEAD}---\n{HEAD}"}, "several documents"),
    "no YAML in place": (
        {"apps/kustomization.yaml": f"{HEAD}patchesStrategicMerge: ['a: [']\n"},
        "is no file",
    ),
    "no YAML": ({"apps/kustomization.yaml": "a: ["}, "apps/kustomization.yaml"),
    "a key twice in other letters": (
        {"apps/kustomization.yaml": f"{HEAD}resources: []\nRe\u017fources: ['https://x']\n"},
        "resources stands there twice",
    ),
    "a key in other letters": (
        {"apps/kustomization.yaml": f"{HEAD}re\u017fources: ['https://x/y.yaml']\n"},
        "https://x/y.yaml is not in this repository",
    ),
    "a text of several lines": (
        {"apps/kustomization.yaml": f"{HEAD}resources: ['https://x\n\n  y']\n"},
        "not in this repository",
    ),
    "a plugin": (
        {"apps/add.yaml": ADDED.replace("builtin", "acme.example/v1")},
        "no plugin is run",
    ),
    "one that is not known": (
        {"apps/add.yaml": ADDED.replace("ValueAdd", "Other")},
        "transformers: OtherTransformer is not built in, and no plugin is run",
    ),
    "one without a kind": (
        {"apps/add.yaml": ADDED.replace("kind: ValueAddTransformer\n", "")},
        "transformers: what it names is not built in",
    ),
    "a function": (
        {
            "apps/add.yaml": ADDED.replace(
                "{name: add}", "{name: add, annotations: {config.kubernetes.io/function: x}}"
            )
        },
        "no plugin is run",
    ),
    "a chart": ({"apps/kustomization.yaml": f"{HEAD}helmCharts: []\n"}, "not inflated"),
    "a chart by a generator": (
        {
            "apps/kustomization.yaml": f"{HEAD}generators: [add.yaml]\n",
            "apps/add.yaml": ADDED.replace("ValueAddTransformer", "HelmChartInflationGenerator"),
        },
        "not inflated",
    ),
    "a name without a file": (
        {"apps/kustomization.yaml": f"{HEAD}crds: [x.json]\n"},
        "x.json is no file of this repository",
    ),
}


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_a_tool_is_not_started_for(name: str) -> None:
    more, why = NOT_BUILT[name]
    files = {path: text for path, text in {**tree(), **more}.items() if text is not None}
    with pytest.raises(NotBuiltError, match=why):
        paths_of(files)


def test_what_flux_scans_is_read_with_all_that_it_names() -> None:
    scanned = Recipe("", ("apps", "plain.yaml"))
    plain = {"plain.yaml": workload("acme/x:1", "x")}
    assert paths_of({**tree(), **plain}, scanned) == {*tree(), "plain.yaml"}


def test_what_is_written_in_place_is_read_as_what_stands_in_a_file() -> None:
    def placed(text: str) -> str:
        return "".join(f"  {line}\n" for line in text.splitlines())

    merges = "kind: PatchStrategicMergeTransformer\npaths: [merge.yaml, '{inline}']\n"
    inline = "apiVersion: v1, kind: Pod, metadata: {name: a}"
    copies = "kind: ReplacementTransformer\nreplacements: [{path: copy.yaml}]\n"
    head = "apiVersion: builtin\nmetadata: {name: t}\n"
    texts = [head + merges.replace("inline", inline), f"---\n{head}{copies}---\n"]
    listed = "".join(f"- |\n{placed(text)}" for text in texts)
    files = {
        "apps/kustomization.yaml": f"{HEAD}transformers:\n{listed}",
        "apps/merge.yaml": "{}",
        "apps/copy.yaml": "{}",
    }
    assert paths_of(files) == set(files)


def test_an_empty_kustomization_takes_nothing() -> None:
    assert paths_of({"apps/kustomization.yaml": "# nothing\n"}) == {"apps/kustomization.yaml"}
    assert paths_of({"apps/kustomization.yaml": "---\n"}) == {"apps/kustomization.yaml"}


def test_folders_that_take_each_other_without_end_are_not_built() -> None:
    chain = {f"{n}/kustomization.yaml": f"{HEAD}resources: [../{n + 1}]\n" for n in range(60)}
    with pytest.raises(NotBuiltError, match="take each other"):
        paths_of(chain, Recipe("0"))


def test_folders_that_take_each_other_in_a_circle_are_read_once() -> None:
    """The tool says that itself."""
    files = {
        "apps/kustomization.yaml": f"{HEAD}resources: [../b]\ntransformers: [../b]\n",
        "b/kustomization.yaml": f"{HEAD}resources: [../apps]\n",
    }
    assert paths_of(files) == set(files)


# As Flux applies it


def applied(kustomization: str, recipe: Recipe) -> str:
    data = {"apps/kustomization.yaml": kustomization.encode()}
    return as_applied(recipe, data)["apps/kustomization.yaml"].decode()


NAMED = Recipe("apps", (), "shop", "a-", "-b")


def test_a_kustomization_is_as_flux_makes_it() -> None:
    assert as_applied(APPS, {}) == {}
    assert applied("resources: [x]\nnamespace: other # why\n", NAMED) == (
        'resources: [x]\nnamespace: "shop" # why\nnamePrefix: "a-"\nnameSuffix: "-b"\n'
    )
    made = as_applied(Recipe("apps", ("apps/x.yaml", "apps/b/c"), "shop"), {})
    assert made == {
        "apps/kustomization.yaml": b'{"resources": ["x.yaml", "b/c"], "namespace": "shop"}'
    }


@pytest.mark.parametrize(
    "text",
    [
        "{resources: [x]}\n",
        "namespace: {a: b}\n",
        "resources: [x]\n...\n",
        "- x\n",
        "a: b\n---\nc: d\n",
    ],
)
def test_one_in_which_nothing_can_be_set_is_not_built(text: str) -> None:
    with pytest.raises(NotBuiltError, match="cannot be set there"):
        applied(text, NAMED)
