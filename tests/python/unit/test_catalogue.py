"""Which fields are a service's: discovered, configured, or an error that names the choices."""

from __future__ import annotations

import pytest

from gitops_rollback.errors import ConfigError, ManifestError
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment, parse_config
from gitops_rollback.services.inventory import read_manifests, service_names
from unit.builders import DEPLOYMENT, PATH, found_service, manifest

WHOLE = Environment("default")
POD = "kind: Pod\nmetadata: {name: NAME, labels: {LABEL}}\nspec:\n  containers:\n"


def pod(image: str, name: str = "x", label: str = "", container: str = "server") -> bytes:
    """A Pod with one container."""
    head = POD.replace("NAME", name).replace("LABEL", label)
    return (head + f"  - name: {container}\n    image: {image}\n").encode()


def values(files: dict[str, bytes], config: str = "", **which: str) -> list[str]:
    found = found_service(files, config, **which)
    assert len({f.image and f.image.canonical for f in found.fields}) == 1
    return [f"{f.path} {f.container} {f.value}" for f in found.fields]


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(pod("acme/cart:1"), id="image"),
        pytest.param(pod("ghcr.io/acme/shop/cart:1"), id="image of another registry"),
        pytest.param(pod("acme/server:1", name="cart"), id="workload"),
        pytest.param(pod("acme/server:1", label="app.kubernetes.io/name: cart"), id="name label"),
        pytest.param(pod("acme/server:1", label="app: cart"), id="app label"),
    ],
)
def test_a_service_is_discovered_by_its_image_or_its_workload(file: bytes) -> None:
    found = found_service({"a.yaml": file, "b.yaml": pod("acme/other:1", name="other")})
    assert [f.path for f in found.fields] == ["a.yaml"]
    assert found.source == "discovery"
    assert found.image.tag == "1"


def test_the_image_s_name_counts_before_the_workload_s() -> None:
    files = {"a.yaml": pod("acme/cart:1"), "b.yaml": pod("envoy:1", name="cart")}
    assert values(files) == ["a.yaml server acme/cart:1"]


def test_all_fields_with_the_image_are_the_service_s() -> None:
    files = {"a.yaml": pod("acme/cart:1"), "b.yaml": pod("docker.io/acme/cart:1", container="b")}
    assert values(files) == ["a.yaml server acme/cart:1", "b.yaml b docker.io/acme/cart:1"]


def test_two_image_repositories_are_an_error_with_the_lines_to_add() -> None:
    files = {"a.yaml": pod("acme/cart:1"), "b.yaml": pod("ghcr.io/other/cart:2")}
    with pytest.raises(ConfigError, match="has 2 image repositories") as caught:
        found_service(files)
    assert "acme/cart:1 (a.yaml:6, container 'server')" in caught.value.message
    assert '[services.cart] image = "acme/cart" or image = "ghcr.io/other/cart"' in (
        caught.value.hint
    )
    assert values(files, '[services.cart]\nimage = "ghcr.io/other/cart"\n') == [
        "b.yaml server ghcr.io/other/cart:2"
    ]


def test_a_workload_with_a_side_car_is_ambiguous_until_a_container_is_named() -> None:
    file = pod("acme/server:1", name="cart") + b"  - {name: proxy, image: 'envoy:1'}\n"
    with pytest.raises(ConfigError, match="has 2 image repositories"):
        found_service({"a.yaml": file})
    config = '[services.cart]\ncontainers = ["server"]\n'
    assert values({"a.yaml": file}, config) == ["a.yaml server acme/server:1"]


@pytest.mark.parametrize(
    ("named", "hint"), [("servr", "did you mean server?"), ("web", "check `containers`")]
)
def test_a_container_that_is_not_there_is_told_with_those_that_are(named: str, hint: str) -> None:
    file = pod("acme/cart:1") + b"  - {name: proxy, image: 'envoy:1'}\n"
    for more in ("", "image = 'acme/cart'\n", "manifests = ['a.yaml']\n"):
        config = f'[services.cart]\ncontainers = ["{named}"]\n{more}'
        with pytest.raises(ConfigError, match=rf"is called {named}; there is: .*server") as caught:
            found_service({"a.yaml": file}, config)
        assert hint in caught.value.hint


def test_fields_that_disagree_are_an_error_with_the_lines_to_add() -> None:
    files = {"a.yaml": pod("acme/cart:1"), "b.yaml": pod("acme/cart:2", container="b")}
    with pytest.raises(ConfigError, match=r"the image: acme/cart:1 .*acme/cart:2") as e:
        found_service(files)
    assert '[services.cart] containers = ["server"]' in e.value.hint
    assert values(files, '[services.cart]\ncontainers = ["b"]\n') == ["b.yaml b acme/cart:2"]


def test_manifests_of_its_own_make_fields_a_service_s_under_any_name() -> None:
    files = {"a.yaml": pod("acme/server:1")}
    with pytest.raises(ConfigError, match="there is no service 'cart'") as caught:
        found_service(files)
    assert '[services.cart] manifests = ["…"]' in caught.value.hint
    config = '[services.cart]\nmanifests = ["a.yaml"]\n'
    assert values(files, config) == ["a.yaml server acme/server:1"]
    assert found_service(files, config).source == "config"
    with pytest.raises(ConfigError, match="there is no service 'crat'"):
        found_service(files, '[defaults]\nmanifests = ["*.yaml"]\n', service="crat")


def test_a_service_of_jobs_only_is_reported_and_says_how_to_edit_it() -> None:
    job = DEPLOYMENT.replace("Deployment", "Job")
    with pytest.raises(ManifestError, match=r"only in Job cart \(apps/cart/dep") as caught:
        found_service({PATH: manifest("acme/cart:1", job)})
    assert '[services.cart] kinds = { Job = "/spec/template/spec" }' in caught.value.hint
    config = '[services.cart]\nkinds = { Job = "/spec/template/spec" }\n'
    assert values({PATH: manifest("acme/cart:1", job)}, config) == [f"{PATH} server acme/cart:1"]


def test_a_job_beside_a_deployment_is_reported_and_left_alone() -> None:
    job = manifest("acme/cart:0", DEPLOYMENT.replace("Deployment", "Job"))
    found = found_service({PATH: manifest("acme/cart:1"), "job.yaml": job})
    assert [f.path for f in found.fields] == [PATH]
    assert [f.path for f in found.reported] == ["job.yaml"]


def test_a_field_that_cannot_be_edited_is_refused_with_its_place() -> None:
    file = pod('"acme/c\\x61rt:1"', name="cart")
    with pytest.raises(ManifestError, match=r"a\.yaml:6:12: .* cannot be edited safely: the"):
        found_service({"a.yaml": file})
    with pytest.raises(ConfigError, match="is a Helm template"):
        found_service({"a.yaml": pod("'{{ image }}'", name="cart")})
    with pytest.raises(ManifestError, match="malformed"):
        found_service({"a.yaml": pod("'<image>'", name="cart")})


ENVIRONMENTS = """\
[environments.production]
path = "clusters"
[environments.staging]
path = "clusters/staging"
"""


@pytest.mark.parametrize(
    ("branches", "refused"),
    [(("", ""), True), (("", 'branch = "main"\n'), True), (("", 'branch = "next"\n'), False)],
    ids=["both on the file's branch", "one names that branch", "another branch"],
)
def test_a_field_of_two_environments_is_refused_where_they_share_a_branch(
    branches: tuple[str, str], *, refused: bool
) -> None:
    text = ENVIRONMENTS.replace("[env", f"{branches[0]}[env") + branches[1]
    config = parse_config(text.encode(), "main")
    from gitops_rollback.services.catalogue import resolve  # noqa: PLC0415 - this test alone

    manifests = read_manifests({"clusters/staging/a.yaml": pod("acme/cart:1")})
    environment = config.environments["staging"]
    if not refused:
        assert resolve("cart", environment, config, manifests).image.tag == "1"
        return
    with pytest.raises(ConfigError, match="belongs to the environments 'staging' and 'prod") as e:
        resolve("cart", environment, config, manifests)
    assert "[{name: acme/cart, newTag: …}]" in e.value.hint


@pytest.mark.parametrize(
    ("service", "message", "hint"),
    [
        ("crat", "the nearest names: cart", "did you mean cart?"),
        ("zzzzzz", "there is no service 'zzzzzz' in environment 'production'", "manifests"),
        ("chekout", "the nearest names: checkout", "did you mean checkout?"),
        (
            "paymnt",
            "in environment 'production', which a set names: checkout",
            "mend [sets] in .gitops-rollback.toml: name it",
        ),
    ],
)
def test_an_unknown_service_is_an_error_with_the_nearest_names(
    service: str, message: str, hint: str
) -> None:
    config = '[sets]\ncheckout = ["cart", "paymnt"]\n'
    with pytest.raises(ConfigError) as caught:
        found_service({PATH: manifest("acme/cart:1")}, config, service=service)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        (
            '[services.cart]\nimage = "acme/crt"\n',
            (
                "the image of 'cart' is acme/cart (clusters/cart.yaml:10), and not of acme/crt, "
                "as it is configured"
            ),
            "did you mean acme/cart?",
        ),
        (
            '[services.cart]\nimage = "ghcr.io/shop/web"\n',
            (
                "the image of 'cart' is acme/cart (clusters/cart.yaml:10), and not of "
                "ghcr.io/shop/web, as it is configured"
            ),
            "say the image that it runs as `image` of [services.cart] in .gitops-rollback.toml",
        ),
        (
            '[environments.production]\npath = "clustres"\n',
            (
                "environment 'production' has no manifest: no YAML file with an object of "
                "Kubernetes is in clustres (links, submodules and pointers of LFS are none)"
            ),
            "check `path` in .gitops-rollback.toml: [environments.production]",
        ),
    ],
    ids=["a misspelled image", "another image", "a misspelled path"],
)
def test_a_configuration_that_meets_nothing_is_named_and_not_the_service(
    config: str, message: str, hint: str
) -> None:
    parsed = parse_config(config.encode(), "main")
    from gitops_rollback.services.catalogue import resolve  # noqa: PLC0415 - as above

    environment = parsed.choose_environment(None)
    files = {"clusters/cart.yaml": manifest("acme/cart:1")}
    files = {path: text for path, text in files.items() if environment.holds(path)}
    with pytest.raises(ConfigError) as caught:
        resolve("cart", environment, parsed, read_manifests(files))
    assert caught.value.message == message
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "kind: ConfigMap\ndata:\n  pod: |\n    image: acme/cart:1\n",
            r"a\.yaml:3 names 'cart' only inside a block string",
            "move these values out of the text",
        ),
        (
            'kind: ConfigMap\ndata:\n  pod: |\n    {"image": "acme/cart@sha256:ab"}\n',
            r"a\.yaml:3 names 'cart' only inside a block string",
            "move these values out of the text",
        ),
        (
            "kind: Farm\nspec: {template: {spec: {containers: [{image: acme/cart}]}}}\n",
            r"a\.yaml:2 names 'acme/cart' at /spec/template/spec/containers/0/image of a Farm",
            'kinds = { Farm = "/spec/template/spec" }',
        ),
        (
            "kind: Farm\nspec: {runner: {image: 'acme/cart:1'}}\n",
            r"a\.yaml:2 names 'acme/cart:1' at /spec/runner/image of a Farm",
            'fields = ["/spec/runner/image"]',
        ),
        (
            "# image: acme/cart:1\nkind: Pod\n",
            r"a\.yaml names 'cart' only in a comment",
            "manifests",
        ),
    ],
    ids=["block string", "JSON in a block string", "unknown kind", "unknown place", "comment"],
)
def test_an_image_that_is_no_field_is_an_error_that_names_its_place(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        found_service({"a.yaml": text.encode()})
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "kind: Farm\nspec: {template: {spec: {containers: [{image: 'acme/cart:1'}]}}}\n",
        "kind: Farm\nspec: {runner: {image: 'acme/cart:1'}}\n",
    ],
)
def test_what_the_hint_says_to_configure_makes_it_a_field(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        found_service({"a.yaml": text.encode()})
    line = caught.value.hint.partition("[services.cart] ")[2]
    [field] = found_service({"a.yaml": text.encode()}, f"[services.cart]\n{line}\n").fields
    assert field.value == "acme/cart:1"


def test_an_image_in_a_patch_of_an_unknown_kind_is_named_with_what_to_configure() -> None:
    text = """\
resources: [farm.yaml]
patches:
- patch: '['
- patch: |
    apiVersion: a.b/v1
    kind: Farm
    metadata: {name: a}
    spec:
      containers:
      - image: acme/cart:1
"""
    farm = b"apiVersion: a.b/v1\nkind: Farm\nmetadata: {name: a}\nspec: {image: acme/x:1}\n"
    files = {"kustomization.yaml": text.encode(), "farm.yaml": farm}
    with pytest.raises(
        ManifestError, match=r"kustomization\.yaml:10 names 'acme/cart:1'"
    ) as caught:
        found_service(files)
    line = caught.value.hint.partition("[services.cart] ")[2]
    assert line == 'kinds = { Farm = "/spec" }'
    [field] = found_service(files, f"[services.cart]\n{line}\n").fields
    assert field.place == "kustomization.yaml:10"


@pytest.mark.parametrize(
    "text",
    [
        "image: acme/shop:1\ncart: 1\n",
        "env: [{name: CART, value: 'cart:7070'}] # image\n",
        "url: http://cart:8080/image\n",
        "image: acme/cart-proxy:1\n",
    ],
    ids=["key", "address", "URL", "longer name"],
)
def test_a_name_that_is_no_image_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ConfigError, match="there is no service 'cart'"):
        found_service({"a.yaml": text.encode()})


def test_files_that_cannot_be_read_are_part_of_the_reason() -> None:
    files = {
        "bad.yaml": b"image:\n\tx\n",
        "helm.yaml": b"{{ if x }}\nimage: y\n",
        "cards.yaml": pod("acme/card:1"),
    }
    with pytest.raises(ConfigError, match="the nearest names: card; 2 files were skipped") as e:
        found_service(files)
    assert "bad.yaml:2:1 is not readable as YAML" in e.value.message
    configured = '[services.cart]\nmanifests = ["bad.yaml"]\n'
    with pytest.raises(ManifestError, match=r"be read: bad\.yaml:2:1"):
        found_service({"bad.yaml": files["bad.yaml"]}, configured)


def test_manifests_that_match_nothing_are_an_error_that_names_the_globs() -> None:
    with pytest.raises(ConfigError, match=r"nothing matches cart/\*\.yaml") as caught:
        found_service({}, '[services.cart]\nmanifests = ["cart/*.yaml"]\n')
    assert caught.value.hint


def test_what_an_overlay_takes_from_outside_is_named() -> None:
    text = b"resources: [../../base]\nimages: []\n"
    with pytest.raises(ConfigError, match="no service 'cart'") as caught:
        found_service({"kustomization.yaml": text})
    assert "kustomization.yaml takes ../../base" in caught.value.hint
    assert "`images:` [{name: …/cart, newTag: …}]" in caught.value.hint


def test_files_without_an_image_are_left_out_and_unreadable_ones_reported() -> None:
    found = read_manifests(
        {
            "service.yaml": b"kind: Service\n",
            "broken-but-without.yaml": b"a: [",
            "twice.yaml": pod("a:1") + b"    image: b:1\n",
            "latin.yaml": b"image: \xe4\n",
            "kustomization.yaml": b"resources: []\n",
            "pod.yaml": pod("acme/cart:1"),
        }
    )
    assert list(found.files) == ["kustomization.yaml", "pod.yaml"]
    reasons = {skip.path: skip.reason for skip in found.skipped}
    twice = "twice.yaml:7:5: the key 'image' stands twice (first in line 6)"
    assert reasons["twice.yaml"] == twice
    assert "not UTF-8" in reasons["latin.yaml"]
    assert list(found.only(["pod.yaml", "latin.yaml"]).files) == ["pod.yaml"]
    [skip] = found.only(["latin.yaml"]).skipped
    assert skip.to_json() == {"path": "latin.yaml", "reason": reasons["latin.yaml"]}


def test_services_are_named_by_configuration_and_else_by_discovery() -> None:
    manifests = read_manifests({"a.yaml": pod("acme/cart:1"), "b.yaml": pod("redis:7")})
    discovered = service_names(manifests, parse_config(b"[services.shop]\n"), WHOLE, ())
    assert discovered == {"shop": "config", "cart": "discovery", "redis": "discovery"}
    globs = parse_config(b'[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n')
    paths = ["apps/cart/a.yaml", "apps/cart/b.yaml", "apps/x-/a.yaml", "other/y/a.yaml"]
    assert service_names(manifests, globs, WHOLE, paths) == {"cart": "config"}


def test_an_environment_is_part_of_what_was_found() -> None:
    found = found_service({PATH: manifest("acme/cart:1")}, environment="staging")
    assert found.environment == Environment("staging")


def test_a_services_own_file_that_cannot_be_read_is_an_error_of_the_manifest() -> None:
    manifests = read_manifests({"apps/cart.yaml": b"image: a\n\tb: c\n", "x.yaml": b"image: ["})
    with pytest.raises(ManifestError) as caught:
        resolve("cart", Environment("default"), Config(), manifests)
    assert "no manifest of 'cart' can be read: apps/cart.yaml:2" in caught.value.message
    assert "x.yaml" not in caught.value.message


def test_globs_that_match_nothing_are_named_also_beside_a_kustomization() -> None:
    config = parse_config(b'[services.cart]\nmanifests = ["cart/*.yaml"]\n')
    manifests = read_manifests({"kustomization.yaml": b"images: []\n"})
    with pytest.raises(ConfigError) as caught:
        resolve("cart", Environment("default"), config, manifests)
    assert "nothing matches cart/*.yaml" in caught.value.message


def test_a_file_that_cannot_hold_an_image_is_never_parsed() -> None:
    found = read_manifests({"a.yaml": b"kind: [Service\n\t}", "b.yaml": pod("acme/cart:1")})
    assert found.skipped == ()
    assert list(found.files) == ["b.yaml"]


@pytest.mark.parametrize(("path", "below"), [("", "shop/values.yaml"), ("shop", "values.yaml")])
def test_a_tag_alone_of_another_name_is_told_with_the_file_to_name(path: str, below: str) -> None:
    config = '[services.cart]\nimage = "acme/cart"\n'
    config += f'[environments.production]\npath = "{path}"\n' if path else ""
    files = {"shop/values.yaml": b"tag: '1'\n"}
    with pytest.raises(ConfigError) as caught:
        found_service(files, config)
    assert "a tag alone stands at shop/values.yaml:1" in caught.value.message
    line = f'manifests = ["{below}"]'
    assert caught.value.hint.endswith(line)
    named = config.replace('acme/cart"\n', f'acme/cart"\n{line}\n')
    assert found_service(files, named).image.name == "acme/cart"


def test_a_template_of_a_chart_that_bears_the_name_is_not_to_be_mended() -> None:
    files = {"charts/cart/templates/d.yaml": b"kind: Pod\nimage: {{ .Values.x }}\n"}
    with pytest.raises(ConfigError) as caught:
        found_service(files, "")
    assert "can be read" not in caught.value.message
