"""Charts in the repository: a value that their templates do not read is never called deployed."""

from __future__ import annotations

import re
import tracemalloc
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops_rollback.effective.charts import Charts, merged
from gitops_rollback.effective.expressions import NONE, Piece
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.rendering import Line
from gitops_rollback.effective.templates import Templates
from gitops_rollback.effective.tree import entries, find
from gitops_rollback.manifest.document import parse, root_of, text_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from unit.test_effect_sources import HOME, OURS, application, deployed, git, release

if TYPE_CHECKING:
    from gitops_rollback.effective.effect import Effect
    from gitops_rollback.manifest.image_field import ImageField

CHART = "charts/cart/"
VALUES = "image: {repository: acme/cart, tag: '1'}\n"
READS = 'image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'


def chart(template: str) -> dict[str, str]:
    """A release of a chart whose one template is that."""
    return {
        "clusters/r.yaml": release(
            "ours", "  values: {image: {repository: acme/cart, tag: '1'}}\n"
        ),
        "clusters/s.yaml": git("ours", OURS),
        f"{CHART}Chart.yaml": "name: cart\nversion: 1.0.0\n",
        f"{CHART}values.yaml": VALUES,
        f"{CHART}templates/deployment.yaml": template,
    }


READ = {
    "plainly": READS,
    "with a default": "image: {{ .Values.image.repository }}:{{ .Values.image.tag | default 1 }}",
    "by printf": '{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | toString) }}',
    "below a root": "image: {{ $.Values.image.repository }}:{{ $.Values.image.tag }}",
    "by index": 'i: {{ index .Values "image" "repository" }}:{{ index .Values.image "tag" }}',
    "in brackets": "image: {{ ((.Values).image).repository }}:{{ (.Values.image).tag }}",
    "by index in brackets": 'i: {{ (index .Values "image").repository }}:{{ .Values.image.tag }}',
    "with the image": "{{ with .Values.image }}{{ .repository }}:{{ .tag }}{{ end }}",
    "by a variable": "{{ $i := .Values.image }}{{ $i.repository }}:{{ $i.tag }}",
    "by get": '{{ get .Values.image "repository" }}:{{ get .Values.image `tag` }}',
    "in a helper's context": (
        '{{ define "i" }}{{ .ctx.Values.image.repository }}:{{ .ctx.Values.image.tag }}{{ end }}'
        'image: {{ include "i" (dict "ctx" $) }}'
    ),
    "behind a comment": "{{/* .Values */}}" + READS,
    "behind a comment in a comment": "{{/* a {{/* b */}}" + READS,
    "beside a comment that does not end": READS + "{{/* ",
}


@pytest.mark.parametrize("template", READ.values(), ids=READ)
def test_a_value_that_a_template_reads_is_deployed(template: str) -> None:
    found = deployed(chart(template))
    assert not isinstance(found, str), found


UNREAD = {
    "written out": ("image: acme/cart:1\n", "reads .Values.image.repository: it changes nothing"),
    "tag of the chart": (
        "image: {{ .Values.image.repository }}:{{ .Chart.AppVersion }}\n",
        "reads .Values.image.tag: it changes nothing",
    ),
    "name written out": (
        "image: nginx:{{ .Values.image.tag }}\n",
        "reads .Values.image.repository: it changes nothing",
    ),
    "another value": (
        "image: {{ .Values.image.repository }}:{{ .Values.image.tags }}\n",
        "reads .Values.image.tag: it changes nothing",
    ),
    "comment of the template": (
        "image: acme/cart:1\n{{- /* " + READS + " */ -}}\n",
        "reads .Values.image.repository: it changes nothing",
    ),
    "comment of YAML": (f"image: acme/cart:1\n  # {READS}", "it changes nothing"),
    "passed on whole": (
        "data: {{ toYaml .Values.image | quote }}\ni: {{ .Values.image.repository }}\n",
        "is not known: it is passed on whole",
    ),
    "by tpl": ("image: {{ tpl .Values.text . }}\n", "unless a text that `tpl` runs does"),
}


@pytest.mark.parametrize(("template", "why"), UNREAD.values(), ids=UNREAD)
def test_a_value_that_no_template_surely_reads_is_not_deployed(template: str, why: str) -> None:
    found = deployed(chart(template))
    assert isinstance(found, str), "it was deployed"
    assert why in found


DEPENDS = "name: cart\ndependencies:\n- {name: common, repository: 'oci://x'}\n"
ASKS = '{{ include "common.deployment" . }}\n'
NOT_JUDGED = {
    "library that was not read": chart(ASKS) | {f"{CHART}Chart.yaml": DEPENDS},
    "library that old charts name": chart(ASKS)
    | {f"{CHART}requirements.yaml": "dependencies:\n- {name: common}\n"},
    "library by a name that is made": chart('{{ include (printf "x.%s" .Chart.Name) . }}\n')
    | {f"{CHART}Chart.yaml": DEPENDS},
    "helper by a name that is made": chart(
        f'{{{{ define "x.y" }}}}\n{READS}{{{{ end }}}}{{{{ include (printf "x.%s" "y") . }}}}\n'
    ),
    "chart within that is no library": chart(ASKS) | {f"{CHART}charts/x/Chart.yaml": "name: x\n"},
    "no template that was read": {
        path: text for path, text in chart("a: b\n").items() if "templates" not in path
    },
}


@pytest.mark.parametrize("files", NOT_JUDGED.values(), ids=NOT_JUDGED)
def test_what_other_charts_and_helpers_may_read_is_deployed(files: dict[str, str]) -> None:
    found = deployed(files)
    assert not isinstance(found, str), found


UNREACHED = {
    "dependency": chart("a: b\n") | {f"{CHART}Chart.yaml": DEPENDS},
    "chart within": chart("a: b\n")
    | {
        f"{CHART}charts/x/Chart.yaml": "name: x\n",
        f"{CHART}charts/x/values.yaml": "image: {}\n",
        f"{CHART}charts/x/templates/a.yaml": READS,
    },
}


@pytest.mark.parametrize("files", UNREACHED.values(), ids=UNREACHED)
def test_no_chart_reads_values_of_the_one_that_takes_it(files: dict[str, str]) -> None:
    assert "it changes nothing" in deployed(files)


def library(text: str, folder: str = f"{CHART}charts/common/", more: str = "") -> dict[str, str]:
    """A release of a chart whose image a library makes."""
    return chart(ASKS) | {
        f"{CHART}Chart.yaml": f"name: cart\nversion: 1.0.0\n{more}",
        f"{folder}Chart.yaml": "name: common\ntype: library\n",
        f"{folder}templates/_d.tpl": f'{{{{ define "common.deployment" }}}}\n{text}{{{{ end }}}}\n',
    }


BESIDE = "dependencies: [{name: common, repository: 'file://../common'}]\n"
LIBRARIES = {
    "that reads it": (library(READS), ""),
    "that reads it, beside the chart": (library(READS, "charts/common/", BESIDE), ""),
    "that makes another text of it": (
        library(OTHERS := READS.replace(' }}"', ' }}-x"')),
        "another",
    ),
    "that makes another text of it, beside the chart": (
        library(OTHERS, "charts/common/", BESIDE),
        "another text",
    ),
    "that reads nothing": (library("image: acme/cart:1\n"), "it changes nothing"),
    "that makes a label of it": (
        library("labels:\n  v: {{ .Values.image.tag }}\n" + READS),
        "no digest can stand there",
    ),
    "of a library": (
        library('{{ include "deep" . }}\n')
        | {
            f"{CHART}charts/common/charts/deep/Chart.yaml": "name: deep\ntype: library\n",
            f"{CHART}charts/common/charts/deep/templates/a.tpl": (
                f'{{{{ define "deep" }}}}\n{OTHERS}{{{{ end }}}}\n'
            ),
        },
        "another text",
    ),
    "that takes itself": (
        library(READS)
        | {
            f"{CHART}charts/common/Chart.yaml": (
                "name: common\ntype: library\n"
                "dependencies: [{name: common, repository: 'file://../common'}]\n"
            )
        },
        "Chart.yaml:1: dependencies: it takes itself",
    ),
}


@pytest.mark.parametrize(("files", "why"), LIBRARIES.values(), ids=LIBRARIES)
def test_a_library_in_the_repository_is_read_with_the_chart(
    files: dict[str, str], why: str
) -> None:
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


def umbrella(template: str, more: str = "", key: str = "shop") -> dict[str, str]:
    """A chart that takes another one and gives values to it, below its name or alias."""
    return {
        f"{CHART}Chart.yaml": f"name: cart\nversion: 1.0.0\n{more}",
        f"{CHART}values.yaml": f"{key}:\n  {VALUES}",
        f"{CHART}templates/a.yaml": "a: b\n",
        f"{CHART}charts/shop/Chart.yaml": "name: shop\n",
        f"{CHART}charts/shop/templates/a.yaml": template,
    }


@pytest.mark.parametrize("levels", [2, 40])
def test_charts_that_take_one_another_on_many_ways_are_followed_to_a_bound(levels: int) -> None:
    def head(name: str, level: int) -> str:
        below = ((f"{one}{level}", f"file://../{one}{level}") for one in ("a", "b"))
        taken = [f"{{name: {one}, repository: '{path}'}}" for one, path in below]
        said = f"dependencies: [{', '.join(taken)}]\n" if level <= levels else ""
        return f"name: {name}\nversion: 1.0.0\n{said}"

    files = chart(READS) | {f"{CHART}Chart.yaml": head("cart", 1)}
    for level in range(1, levels + 1):
        for one in (f"a{level}", f"b{level}"):
            files |= {
                f"charts/{one}/Chart.yaml": head(one, level + 1),
                f"charts/{one}/values.yaml": "k: v\n",
            }
    found = deployed(files)
    assert isinstance(found, str) == (levels > 2), found
    assert levels == 2 or "it takes itself, or more than 500 charts" in found


# helm 3.19: "cannot unmarshal string into Go value of type map", "type mismatch on web".
NO_VALUES = {
    "that are a text": ({f"{CHART}values.yaml": "text\n"}, "Helm reads mappings alone"),
    "that are a list": ({f"{CHART}values.yaml": "- a\n"}, "Helm reads mappings alone"),
    "that are nothing": ({f"{CHART}values.yaml": "null\n"}, ""),
    "below, that are a text": ({f"{CHART}charts/web/values.yaml": "text\n"}, "mappings alone"),
    "below, that are nothing": ({f"{CHART}charts/web/values.yaml": ""}, ""),
    "a text for one below": (
        {f"{CHART}values.yaml": f"{VALUES}web: text\n"},
        "Helm fails where a chart below gets anything but a mapping",
    ),
    "a list for one below": (
        {f"{CHART}values.yaml": f"{VALUES}web: [a]\n"},
        "Helm fails where a chart below gets anything but a mapping",
    ),
    "null for one below": (
        {f"{CHART}values.yaml": f"{VALUES}web:\n"},
        "Helm fails where a chart below gets anything but a mapping",
    ),
    "a text of the release's for one below": (
        {"clusters/r.yaml": release("ours", f"  values: {{web: text, {VALUES.strip()}}}\n")},
        "Helm fails where a chart below gets anything but a mapping",
    ),
    "a mapping for one below": ({f"{CHART}values.yaml": f"{VALUES}web: {{k: v}}\n"}, ""),
}


@pytest.mark.parametrize(("files", "why"), NO_VALUES.values(), ids=NO_VALUES)
def test_values_that_helm_cannot_take_make_nothing(files: dict[str, str], why: str) -> None:
    below = {
        f"{CHART}charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        f"{CHART}charts/web/values.yaml": "k: v\n",
        f"{CHART}charts/web/templates/a.yaml": "k: {{ .Values.k }}\n",
    }
    found = deployed({**chart(READS), **below, **files})
    assert why in found if why else not isinstance(found, str), found


ALIAS = "dependencies: [{name: shop, alias: web}]\n"
ELSEWHERE = "dependencies: [{name: far, repository: 'oci://x'}]\n"
BELOW = {
    "read there": (umbrella(READS), ""),
    "read below an alias": (umbrella(READS, ALIAS, "web"), ""),
    "not read there": (umbrella("image: acme/cart:1\n"), "it changes nothing"),
    "not read below an alias": (umbrella("a: b\n", ALIAS, "web"), "it changes nothing"),
    "of a chart that was not read": (umbrella("a: b\n", ELSEWHERE, "far"), ""),
    "of all charts": (umbrella("a: b\n", ELSEWHERE, "global"), ""),
    "of no chart": (umbrella("a: b\n", ELSEWHERE, "near"), "it changes nothing"),
    "made another text there": (umbrella(OTHERS), "another text"),
    "made a label there": (
        umbrella("labels: {v: '{{ .Values.image.tag }}'}\n" + READS),
        "no digest",
    ),
}


@pytest.mark.parametrize(("files", "why"), BELOW.values(), ids=BELOW)
def test_values_of_a_chart_within_are_judged_by_its_own_templates(
    files: dict[str, str], why: str
) -> None:
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


IGNORED = {
    "# templates/": "",
    "": "",
    ".git/": "",
    "*.tmpl": "",
    "templates/*/a.yaml": "",
    "deployment.yaml/": "",
    "templates/": "templates/deployment.yaml",
    "/templates": "templates/deployment.yaml",
    "templates/*.yaml": "templates/deployment.yaml",
    "deploy*": "templates/deployment.yaml",
    "*.yaml": "Chart.yaml",
    "/values.yaml": "values.yaml",
    "!*.yaml": "",
    "!templates": "Chart.yaml",
    "a/**": "Chart.yaml",
    "[": "Chart.yaml",
}


@pytest.mark.parametrize(("line", "path"), IGNORED.items())
def test_what_helmignore_leaves_out_of_a_chart_is_not_deployed(line: str, path: str) -> None:
    found = deployed(chart(READS) | {f"{CHART}.helmignore": f"*.swp\n{line}\n"})
    if path:
        assert f"{CHART}.helmignore:2: {line}: it leaves {path} out of the chart" in found
    else:
        assert not isinstance(found, str), found


OTHERWISE = {
    "text behind it": READS.replace(' }}"', ' }}-alpine"'),
    "text before it": READS.replace(":{{", ":v{{"),
    "text behind its name": READS.replace("repository }}", "repository }}-server"),
    "another registry": READS.replace('"{{', '"ghcr.io/{{'),
    "what is included": (
        f'{{{{ define "i" }}}}{READS[8:-2]}{{{{ end }}}}\nimage: {{{{ include "i" . }}}}-alpine\n'
    ),
    "a helper": (
        '{{ define "i" }}image: {{ .Values.image.repository }}:{{ .Values.image.tag }}-a\n{{ end }}'
        '{{ include "i" $ }}'
    ),
    "printf": 'image: {{ printf "%s:%s-x" .Values.image.repository .Values.image.tag }}\n',
    "below the dot": 'image: "{{ with .Values.image }}{{ .repository }}:v{{ .tag }}{{ end }}"\n',
    "in the next line": f'image:\n  {READS[8:-3]}-x"\n',
    "in a block": f'image: >-\n  {READS[8:-3]}-x"\n',
    "behind an anchor": READS.replace("image: ", "image: &a ").replace(' }}"', ' }}-x"'),
    "of a key in quotes": READS.replace("image: ", '"image" : ').replace(' }}"', ' }}-x"'),
    "a part of it": READS.replace("tag }}", "tag | trunc 10 }}"),
    "a value behind it": READS.replace("tag }}", "tag }}{{ .Values.more }}"),
    "a value before it": READS.replace(":{{", ":{{ .Values.more }}{{"),
    "another tag": READS.replace(".Values.image.tag", ".Values.more | default .Values.image.tag"),
    "another tag before it": READS.replace(":{{", ":{{ .Values.all.tag }} {{"),
    "another tag, if there is one": READS.replace(
        "{{ .Values.image.tag }}",
        "{{ if .Values.all.tag }}{{ .Values.all.tag }}{{ else }}{{ .Values.image.tag }}{{ end }}",
    ),
}


@pytest.mark.parametrize("template", OTHERWISE.values(), ids=OTHERWISE)
def test_what_a_template_makes_another_text_of_is_not_deployed(template: str) -> None:
    files = chart(template)
    found = deployed(files | {f"{CHART}values.yaml": f"{VALUES}more: -x\nall: {{tag: '3'}}\n"})
    assert isinstance(found, str), "it was deployed"
    whys = (
        "makes another text of it",
        "cart-server of it, too",
        "too, which is set",
        "it changes nothing",
    )
    assert any(why in found for why in whys)


AS_IT_IS = {
    "another tag, which is not set": OTHERWISE["another tag"],
    "a value behind it, which is not set": OTHERWISE["a value behind it"],
    "a registry": READS.replace('"{{', '"docker.io/{{'),
    "what is not taken": READS.replace("tag }}", "tag | default .Values.all.tag }}"),
    "what is not taken, first": READS.replace(
        ".Values.image.tag", "default .Values.all.tag .Values.image.tag"
    ),
    "a default": READS.replace("tag }}", 'tag | default (printf "v%s" .Chart.Name | trunc 9) }}'),
    "a digest": READS.replace("tag }}", "tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}"),
    "parts": (
        'image: {{ printf "%s%s%s" .Values.image.repository ":" (.Values.image.tag | toString) }}\n'
    ),
    "what is no image": f'{READS}args: ["{{{{ .Values.image.tag | trunc 8 }}}}-x"]\n',
}


@pytest.mark.parametrize("template", AS_IT_IS.values(), ids=AS_IT_IS)
def test_what_a_template_writes_as_it_is_is_deployed(template: str) -> None:
    files = chart(template)
    found = deployed(files | {f"{CHART}values.yaml": f"{VALUES}all: {{tag: '3'}}\n"})
    assert not isinstance(found, str), found


TAGGED = '{{ define "t" }}{{ .Values.image.tag }}{{ end }}\n'
LIKE_LABELS = {
    "what a helper makes": (
        '{{ define "l" }}version: {{ .Values.image.tag | quote }}{{ end }}\n'
        'labels:\n  {{- include "l" . | nindent 2 }}\n'
    ),
    "what a helper's helper makes": (
        TAGGED + '{{ define "l" }}v: {{ template "t" . }}{{ end }}\nlabels: {{ include "l" . }}\n'
    ),
    "what a helper makes, and one of its helpers by itself": (
        TAGGED + '{{ define "l" }}a: {{ template "t" . }}{{ end }}\n'
        'labels: {{ include "l" . }}-{{ include "t" . }}\n'
    ),
    "what one helper makes in two places": (
        TAGGED + 'labels:\n  v: {{ include "t" . }}\n  w: x{{ include "t" . }}\n'
    ),
    "a variable": "{{- $t := .Values.image.tag }}\nlabels:\n  v: {{ $t }}\n",
    "on the line of the key": 'labels: {version: "{{ .Values.image.tag }}"}\n',
    "below the dot": "{{- with .Values.image }}\nlabels:\n  v: {{ .tag }}\n{{- end }}\n",
    "a name": "metadata:\n  name: cart-{{ .Values.image.tag }}\n",
}


@pytest.mark.parametrize("template", LIKE_LABELS.values(), ids=LIKE_LABELS)
def test_a_tag_that_becomes_a_label_or_a_name_gets_no_digest(template: str) -> None:
    assert "no digest can stand there" in deployed(chart(template + READS))


def test_a_helper_that_includes_itself_is_read() -> None:
    template = TAGGED.replace("{{ end", '{{ include "t" . }}{{ end') + 'labels: {{ include "t" . }}'
    assert "no digest can stand there" in deployed(chart(f"{template}\n{READS}"))


@pytest.mark.parametrize(
    "template",
    [
        "".join(f'{{{{ define "x{n}" }}}}{{{{ include "x{n + 1}" . }}}}\n' for n in range(2_000))
        + 'labels: {{ include "x0" . }}\n',
        f"image: {'a' * 200_000} {{{{ .Values.image.tag }}}}\n",
        f"image: {'{{ .Values.image.tag }}' * 10_000}\n",
        "{{" * 100_000,
    ],
    ids=["a chain", "a word", "a line", "braces"],
)
def test_templates_without_measure_are_read(template: str) -> None:
    assert deployed(chart(template + READS))


LABELLED = "metadata:\n  labels:\n    version: {{ .Values.image.tag }}\n" + READS


def test_a_tag_that_is_a_label_gets_no_digest_in_values_of_a_release_either() -> None:
    files = chart(LABELLED)
    of_chart = {path: text for path, text in files.items() if "clusters" not in path}
    of_release = {p: t for p, t in files.items() if p != f"{CHART}values.yaml"}
    for some in (files, of_chart, of_release):
        found = deployed(some)
        assert isinstance(found, str), "a digest was written into it"
        assert "into a label or a name too (charts/cart/templates/deployment.yaml:3)" in found
    assert not isinstance(deployed(chart(LABELLED.replace("labels", "annotations"))), str)


def test_notes_make_nothing() -> None:
    files = chart("a: b\n") | {f"{CHART}templates/NOTES.txt": READS}
    assert "it changes nothing" in deployed(files)


def test_no_dependencies_are_none() -> None:
    files = chart("a: b\n") | {f"{CHART}Chart.yaml": "name: cart\ndependencies: []\n"}
    assert "it changes nothing" in deployed(files)


def test_a_values_file_that_no_release_takes_is_its_charts() -> None:
    files = {path: text for path, text in chart("a: b\n").items() if "clusters" not in path}
    assert "it changes nothing" in deployed(files)
    assert not isinstance(deployed(files | {f"{CHART}templates/d.yaml": READS}), str)


def test_a_chart_at_the_root_of_the_repository_is_judged_too() -> None:
    files = {path.removeprefix(CHART): text for path, text in chart(READS).items()}
    own, _values, _rest = files["clusters/r.yaml"].partition("  values:")
    taken = own.replace("./charts/cart", "./")
    assert not isinstance(deployed(files | {"clusters/r.yaml": taken}), str)
    waits = taken.replace("reconcileStrategy: Revision, ", "")
    assert "with a new version in Chart.yaml" in deployed(files | {"clusters/r.yaml": waits})
    files |= {"clusters/r.yaml": taken, "templates/deployment.yaml": "a: b\n"}
    assert "no template of . reads .Values.image.repository" in deployed(files)


def test_a_chart_in_a_folder_with_a_dot_is_judged_too() -> None:
    files = {
        path.replace("charts", ".deploy"): text
        for path, text in chart("a: b\n").items()
        if "clusters" not in path
    }
    files["argo.yaml"] = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\n"
        f"spec: {{source: {{repoURL: {HOME.url}, path: .deploy/cart, helm: {{valuesObject: "
        "{image: {repository: acme/cart, tag: '1'}}}}}\n"
    )
    assert "no template of .deploy/cart reads" in deployed(files)


def test_an_application_of_argo_cd_gives_values_to_templates_too() -> None:
    files = {path: text for path, text in chart("a: b\n").items() if "clusters" not in path}
    files["argo.yaml"] = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\n"
        f"spec: {{source: {{repoURL: {HOME.url}, path: charts/cart, helm: {{valuesObject: "
        "{image: {repository: acme/cart, tag: '1'}}}}}\n"
    )
    assert "it changes nothing" in deployed(files)
    assert not isinstance(deployed(files | {f"{CHART}templates/d.yaml": READS}), str)


DIGESTED = "image: {repository: acme/cart, tag: '1', digest: 'sha256:" + "0" * 64 + "'}\n"


@pytest.mark.parametrize(
    ("template", "is_deployed"),
    [
        (READS, True),  # by its tag: said
        ("image: {{ .Values.image.repository }}@{{ .Values.image.digest }}\n", True),
        ("image: {{ .Values.image.repository }}\n", False),
    ],
)
def test_of_tag_and_digest_one_has_to_be_read(template: str, *, is_deployed: bool) -> None:
    files = {path: text for path, text in chart(template).items() if "clusters" not in path}
    found = deployed(files | {f"{CHART}values.yaml": DIGESTED})
    assert isinstance(found, str) is not is_deployed, found


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (READS, "no template of charts/cart reads .Values.image.digest: its tag runs"),
        (READS + "d: {{ .Values.image.digest }}\n", ""),
        ("", ""),
    ],
)
def test_that_a_digest_is_read_by_no_template_is_said(template: str, said: str) -> None:
    [field] = find_fields(parse(f"{CHART}values.yaml", DIGESTED.encode()))
    [without] = find_fields(parse(f"{CHART}values.yaml", VALUES.encode()))
    files = {f"{CHART}templates/d.yaml": template.encode()} if template else {}
    whys = [said] if said else []
    assert [
        one for one in Templates(Charts(Raw(files))).warnings("charts/cart", field) if "runs" in one
    ] == whys
    assert [*Templates(Charts(Raw(files))).warnings("charts/cart", without)] == []
    depends = parse(f"{CHART}Chart.yaml", DEPENDS.encode())
    others = files | {f"{CHART}templates/o.yaml": ASKS.encode(), depends.path: b""}
    asked = Templates(Charts(Raw(others), {depends.path: depends}.get))
    assert [*asked.warnings("charts/cart", field)] == []  # what it includes may read it


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_a_registry_that_is_docker_hubs_need_not_be_read(registry: str) -> None:
    files = {path: text for path, text in chart(READS).items() if "clusters" not in path}
    values = "image: {registry: %s, repository: acme/cart, tag: '1'}\n"
    assert not isinstance(deployed(files | {f"{CHART}values.yaml": values % registry}), str)
    found = deployed(files | {f"{CHART}values.yaml": values % "ghcr.io"})
    assert "reads .Values.image.registry: it changes nothing" in found


NAMED = {
    "key with a dash": (
        "my-cart:\n  " + VALUES,
        '{{index .Values "my-cart" "image" "repository"}} {{ (index .Values "my-cart").image.tag}}',
    ),
    "key with a dash, by a variable": (
        "my-cart:\n  " + VALUES,
        '{{ $it := index .Values "my-cart" }}{{ $it.image.repository }}:{{ $it.image.tag }}',
    ),
    "items of a mapping": (
        "services:\n  web:\n    " + VALUES,
        "{{ range .Values.services }}{{ .image.repository }}:{{ .image.tag }}{{ end }}",
    ),
    "items of a mapping, by variables": (
        "services:\n  web:\n    " + VALUES,
        "{{- range $n, $it := $.Values.services }}{{ $it.image.repository }}:{{ $it.image.tag }}",
    ),
    "items of all values": (
        "web:\n  " + VALUES,
        "{{ range $it := .Values }}{{ $it.image.repository }}:{{ $it.image.tag }}{{ end }}",
    ),
    "an item by its name": (
        "services:\n  web:\n    " + VALUES,
        (
            "{{ $n := `web` }}{{ $i := (index .Values.services $n).image }}"
            "{{ $i.repository }}:{{ $i.tag }}"
        ),
    ),
    "containers as they are": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "containers:\n  {{- toYaml .Values.more | nindent 2 }}\n",
    ),
    "containers in another order": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "containers:\n  {{- .Values.more | toYaml | nindent 2 }}\n",
    ),
    "containers that are templates": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "containers:\n  {{- tpl (toYaml .Values.more) $ | nindent 2 }}\n",
    ),
    "containers one by one": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "containers:\n{{- range .Values.more }}\n- {{ toYaml . | nindent 2 }}\n{{- end }}\n",
    ),
    "containers, where there are any": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "containers:\n{{- with $.Values.more }}\n  {{- toYaml . | nindent 2 }}\n{{- end }}\n",
    ),
}


@pytest.mark.parametrize(("values", "template"), NAMED.values(), ids=NAMED)
def test_a_value_that_is_read_without_its_name_is_deployed(values: str, template: str) -> None:
    files = {path: text for path, text in chart(template).items() if "clusters" not in path}
    found = deployed(files | {f"{CHART}values.yaml": values})
    assert not isinstance(found, str), found


UNNAMED = {
    "mapping that is only looked at": (
        "services:\n  web:\n    " + VALUES,
        "{{ if .Values.services }}{{ .image.repository }}:{{ .image.tag }}{{ end }}",
    ),
    "items without their image": (
        "services:\n  web:\n    " + VALUES,
        "{{ range .Values.services }}{{ .image.repository }}{{ end }}",
    ),
    "key that goes on": ("my:\n  " + VALUES, '{{ index .Values "my-cart" "image" "tag" }}'),
    "settings, as a whole": ("all: {image: 'acme/cart:1'}\n", "{{ .Values.all }}"),
    "an item by a name that is not known": (
        "services:\n  web:\n    " + VALUES,
        "image: {{ (index .Values.services .Release.Name).image }}",
    ),
    "containers, as a sum": (
        "more:\n- {name: cart, image: 'acme/cart:1'}\n",
        "sum: {{ toYaml .Values.more | sha256sum }}\n",
    ),
}


@pytest.mark.parametrize(("values", "template"), UNNAMED.values(), ids=UNNAMED)
def test_a_value_that_may_be_read_otherwise_is_not_deployed(values: str, template: str) -> None:
    files = {path: text for path, text in chart(template).items() if "clusters" not in path}
    found = deployed(files | {f"{CHART}values.yaml": values})
    assert "no template of charts/cart reads" in found or "passed on whole" in found


LISTED = "images:\n- {repository: acme/cart, tag: '1'}\n"


@pytest.mark.parametrize(
    ("template", "is_deployed"),
    [
        ("{{ range .Values.images }}{{ .repository }}:{{ .tag }}{{ end }}\n", True),
        ("{{ range .Values.images }}{{ .repository }}{{ end }}\n", False),
    ],
)
def test_items_of_a_list_are_read_by_their_keys(template: str, *, is_deployed: bool) -> None:
    files = {path: text for path, text in chart(template).items() if "clusters" not in path}
    assert isinstance(deployed(files | {f"{CHART}values.yaml": LISTED}), str) is not is_deployed


# What a template makes only under a condition ---------------------------------------------------

MAIN, OTHER = READS.strip(), "image: acme/cart:9"
PAIR = "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
CONDITIONS = {
    "that holds": ("if .Values.on", ""),
    "that holds, as a whole": ("if and .Values.on (not .Values.off)", ""),
    "that holds by a default": ("if .Values.none | default true", ""),
    "that holds, of a text": ('if eq .Values.stage "prod"', ""),
    "that holds, of a number": ("if .Values.three", ""),
    "that holds, of a text that looks like none": ("if .Values.quoted", ""),
    "that does not hold, of one letter": ("if .Values.letter", "it changes nothing"),
    "that holds, of a list": ("if $x := .Values.list", ""),
    "with another dot": ("with .Values.deep", "there is no .Values.deep.Values, and so Helm fails"),
    "of the image": ("if .Values.image.tag", ""),
    "of what is not there": ("if and .image .digest", "it changes nothing"),
    "over a list": ("range .Values.list }}{{ with $", ""),
    "over a list, with another dot": ("range .Values.list", "Helm fails on .Values.list.0.Values"),
    "over what is not known": (
        "range .Capabilities.x }}{{ with $",
        "not followed (range .Capabilities.x)",
    ),
    "of a definition in place": ('block "x" .', ""),
    "that does not hold": ("if .Values.off", "it changes nothing"),
    "that does not hold, otherwise": ("if not .Values.on", "it changes nothing"),
    "that does not hold, of a text": ('if ne .Values.stage "prod"', "it changes nothing"),
    "that does not hold, of one of two": ("if or .Values.off .Values.none", "it changes nothing"),
    "that does not hold, of no number": ("if .Values.zero", "it changes nothing"),
    "that does not hold, of what is empty": ("if empty .Values.list", "it changes nothing"),
    "over nothing": ("range .Values.none", "it changes nothing"),
    "that holds, of what is in brackets": ("if not (.Values.none).more", ""),
    "that holds, deep in brackets": ("if not ((.Values.none).more).still", ""),
    "that holds, in an object in brackets": ("if (.Values.deep).on", ""),
    "that holds, and is not looked at to its end": ("if not (and .Values.none .Values.none.x)", ""),
    "that holds, before what would fail": ("if or .Values.on (not (.Values.none.x | empty))", ""),
    "that holds, of whole numbers": ("if gt (int .Values.three) 2", ""),
    "that holds, of a whole number of nothing": ("if eq (int .Values.none) 0", ""),
    "that holds, of texts of which one is none": ('if ne .Values.none "a"', ""),
    "that holds, of several texts": ('if eq "prod" .Values.none .Values.stage', ""),
    "that holds, of a key": ('if hasKey .Values "image"', ""),
    "that holds, of the first that is something": ("if coalesce .Values.none .Values.on", ""),
    "that does not hold, of a key": ('if hasKey .Values "images"', "it changes nothing"),
    "that does not hold, of nothing": ('if eq .Values.none "a"', "it changes nothing"),
    "that does not hold, of a whole number": ("if le (int .Values.three) 2", "it changes nothing"),
    "that fails": (
        "if .Values.none.more",
        "there is no .Values.none, and so Helm fails on .Values.none.more",
    ),
    "that fails behind another one": (
        "if .Capabilities.KubeVersion }}{{ else if .Values.none.more",
        "there is no .Values.none, and so Helm fails on .Values.none.more)",
    ),
    "that fails, in brackets": ("if (.Values.deep).no.more", "Helm fails on .Values.deep.no.more"),
    "that fails, in others": ("if (not .Values.on).no", "no object, and so Helm fails"),
    "in others, of what is made": ("if (default .Values.none .Values.deep).on", ""),
    "in others, of nothing": ("if not (coalesce .Values.none).on", ""),
    "of a text as an object, in brackets": ("if (.Values.stage).on", ".Values.stage is a text"),
    "of a text as an object": ("if .Values.stage.on", ".Values.stage is a text"),
    "of a list as an object": ("if .Values.list.on", ".Values.list is no object"),
    "of a key of nothing": ('if hasKey .Values.none "a"', "not followed"),
    "of a key without a value": ('if hasKey .Values "empty"', "not followed"),
    "of nothing and nothing": ("if eq .Values.none .Values.none", "not followed"),
    "of what is no whole number": ("if gt (int .Values.half) 2", "not followed"),
    "of a number that is written otherwise": ("if gt (int .Values.octal) 2", "not followed"),
    "of a bracket too few": ("if and .Values.none (.Values.on", "not followed"),
    "of numbers": ("if gt .Values.three 2", "not followed (if gt .Values.three 2)"),
    "of a number and a text": ('if eq .Values.three "3"', "not followed"),
    "of an escaped text": (r'if eq .Values.stage "a\"b"', "it changes nothing"),
    "of what is piped into a value": ("if .Values.on | .Values.off", "not followed"),
    "that does not end": ("if (not .Values.on", "not followed"),
    "with too much": ("if .Values.on .Values.on", "not followed"),
    "with too little": ("if not", "not followed"),
    "with nothing to compare": ("if eq", "not followed"),
    "without anything": ("if (", "not followed"),
    "of the cluster": ("if .Capabilities.KubeVersion", "not followed"),
    "of what is looked up": ('if lookup "v1" "Pod" "" ""', "not followed"),
}
MORE = (
    "on: true\noff: no\nletter: n\nquoted: 'no'\nstage: prod\nthree: 3\nzero: 0\nlist: [1]\n"
    "deep: {on: true}\nempty:\nhalf: 0.5\noctal: 017\n"
)


@pytest.mark.parametrize(("condition", "why"), CONDITIONS.values(), ids=CONDITIONS)
def test_what_stands_under_a_condition_is_deployed_where_that_holds(
    condition: str, why: str
) -> None:
    ends = "{{- end }}" * (2 if "{{ with" in condition else 1)
    found = deployed(
        chart(f"{{{{- {condition} }}}}\n{MAIN}\n{ends}\n") | {f"{CHART}values.yaml": VALUES + MORE}
    )
    assert why in found if why else not isinstance(found, str), found


def under(*branches: str) -> str:
    """A template of several branches, of which the last may be the else."""
    return "\n".join(branches) + "\n{{ end }}\n"


BRANCHES = {
    "the first": (under("{{ if .Values.on }}", MAIN, "{{ else }}", OTHER), ""),
    "the second": (under("{{ if .Values.off }}", OTHER, "{{ else if .Values.on }}", MAIN), ""),
    "the last": (under("{{ if .Values.off }}", OTHER, "{{ else }}", MAIN), ""),
    "the last of a list": (under("{{ range .Values.none }}", OTHER, "{{ else }}", MAIN), ""),
    "not the last": (
        under("{{ if .Values.on }}", OTHER, "{{ else }}", MAIN),
        "it changes nothing",
    ),
    "not the second": (
        under("{{ if .Values.on }}", OTHER, "{{ else with .Values.list }}", MAIN),
        "it changes nothing",
    ),
    "not the second of three": (
        under(
            "{{ if .Capabilities.x }}",
            OTHER,
            "{{ else if .Values.off }}",
            MAIN,
            "{{ else }}",
            OTHER,
        ),
        "it changes nothing",
    ),
    "in doubt": (
        under("{{ if .Capabilities.x }}", OTHER, "{{ else }}", MAIN),
        "not followed (if .Capabilities.x)",
    ),
    "in doubt between": (
        under(
            "{{ if .Values.off }}",
            OTHER,
            "{{ else if .Capabilities.x }}",
            OTHER,
            "{{ else }}",
            MAIN,
        ),
        "not followed (else if .Capabilities.x)",
    ),
    "in doubt in the end": (
        under(
            "{{ if .Capabilities.x }}", OTHER, "{{ else if .Values.on }}", OTHER, "{{ else }}", MAIN
        ),
        "it changes nothing",
    ),
    "the same in both": (under("{{ if .Capabilities.x }}", MAIN, "{{ else }}", MAIN), ""),
    "the same in all three": (
        under(
            "{{ if .Capabilities.x }}",
            MAIN,
            "{{ else if .Capabilities.y }}",
            MAIN,
            "{{ else }}",
            MAIN,
        ),
        "",
    ),
    "the same in both, by a helper": (
        f'{{{{ define "x" }}}}\n{MAIN}\n{{{{ end }}}}\n'
        + under("{{ if .Capabilities.x }}", '{{ include "x" . }}', "{{ else }}", MAIN),
        "",
    ),
    "the same in both of one in both": (
        under(
            "{{ if .Capabilities.x }}",
            under("{{ if .Capabilities.y }}", MAIN, "{{ else }}", MAIN),
            "{{ else }}",
            MAIN,
        ),
        "",
    ),
    "the same in both, and another in one of one in both": (
        under(
            "{{ if .Capabilities.x }}",
            under("{{ if .Capabilities.y }}", MAIN, "{{ else }}", OTHER),
            "{{ else }}",
            MAIN,
        ),
        "not followed (if .Capabilities.y)",
    ),
    "the same in two of three": (
        under("{{ if .Capabilities.x }}", MAIN, "{{ else if .Capabilities.y }}", MAIN),
        "not followed (if .Capabilities.x)",
    ),
    "in doubt, beside one that is surely made": (
        f"{MAIN}\n" + under("{{ if .Capabilities.x }}", MAIN),
        "",
    ),
    "in doubt, with another image, beside one that is surely made": (
        f"{MAIN}\n" + under("{{ if .Capabilities.x }}", MAIN, "{{ else }}", OTHER),
        "writes acme/cart:9 out",
    ),
    "in doubt, beside what is no image": (
        "tag: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n"
        + under("{{ if .Capabilities.x }}", MAIN),
        "not followed (if .Capabilities.x)",
    ),
    "a helper that is in doubt in itself": (
        '{{ define "x" }}\n'
        + under("{{ if .Capabilities.x }}", MAIN)
        + '{{ end }}\n{{ include "x" . }}\n',
        "not followed (if .Capabilities.x)",
    ),
    "a helper in doubt, beside one that includes itself": (
        '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}\n'
        + under("{{ if .Capabilities.x }}", MAIN),
        "not followed (if .Capabilities.x)",
    ),
    "an image of a helper, the same in both": (
        '{{ define "x" }}\n'
        + under("{{ if .Capabilities.x }}", PAIR, "{{ else }}", PAIR)
        + '{{ end }}\nimage: {{ include "x" . }}\n',
        "",
    ),
    "below the dot, in doubt": (
        under(
            "{{ if .Capabilities.x }}",
            "{{ with .Values.image }}",
            "image: {{ .repository }}:{{ .tag }}",
            "{{ end }}",
        )
        + MAIN,
        "",
    ),
    "a block that does not end its text": ('{{ if eq "a }}\n' + READS, "it is passed on whole"),
    "an end too many": ("{{ end }}{{ else }}\n" + READS, ""),
    "too deep": ("{{ if .Values.on }}" * 200 + "\n" + READS, "it is passed on whole"),
    "a helper that nothing includes": (
        '{{ define "x" }}{{ .Values.image.repository }}:{{ .Values.image.tag }}-x{{ end }}\n'
        + READS,
        "",
    ),
    "a helper that is included in vain": (
        f'{{{{ define "x" }}}}\n{READS}{{{{ end }}}}\n'
        + under("{{ if .Values.off }}", '{{ include "x" . }}'),
        "it changes nothing",
    ),
    "two helpers of one name": (
        (
            f'{{{{ define "x" }}}}\n{READS}{{{{ end }}}}\n'
            f'{{{{ define "x" }}}}\n{OTHERS}{{{{ end }}}}\n'
            '{{ include "x" . }}\n'
        ),
        "makes another text of it",
    ),
    "asked for alone": ("{{ if .Values.image.tag }}\n" + OTHER, "it changes nothing"),
}


@pytest.mark.parametrize(("template", "why"), BRANCHES.values(), ids=BRANCHES)
def test_of_branches_that_is_deployed_which_is_made(template: str, why: str) -> None:
    found = deployed(chart(template) | {f"{CHART}values.yaml": VALUES + MORE})
    assert why in found if why else not isinstance(found, str), found


MADE = {
    "cut before something else is written": ("{{ $t := .Values.image.tag | trunc 9 }}\n", ""),
    "cut before it is written": (
        "{{ $t := .Values.image.tag | trunc 9 }}\nimage: acme/cart:{{ $t }}\n",
        "another text",
    ),
    "set in the values": ('{{ $_ := set .Values.image "tag" "9" }}\n', "may change it"),
    "merged into all": ("{{ $v := merge .Values.image .Values }}\n", "may change it"),
    "set anew": (
        "{{ $t := .Values.image.tag }}\n{{ $t = .Chart.AppVersion }}\nimage: acme/cart:{{ $t }}\n",
        "writes acme/cart: out",
    ),
    "set anew where there is no tag": (
        (
            "{{ $t := .Values.image.tag | toString }}\n{{- if not .Values.image.tag }}\n"
            "  {{- if .Chart }}\n"
            "    {{- $t = .Chart.AppVersion | toString -}}\n  {{- end }}\n{{- end }}\n"
            "image: acme/cart:{{ $t }}\n"
        ),
        "",
    ),
    "set anew where there is none of something else": (
        (
            "{{ $t := .Values.image.tag }}\n{{- if not .Capabilities.x }}{{ $t = .Values.stage }}"
            "{{ end }}\nimage: acme/cart:{{ $t }}\n"
        ),
        "makes a text of it that is not followed",
    ),
    "set anew by its digest": (
        (
            "{{ $t := .Values.image.tag }}\n"
            "{{ if .Values.image.digest }}{{ $t = .Values.image.digest }}{{ end }}\n"
            "image: acme/cart:{{ $t }}\n"
        ),
        "",
    ),
    "set anew in any case by its digest below the dot": (
        "{{ $t := .Values.image.tag }}\n{{ $t = .Values.image.digest }}\n",
        "",
    ),
    "a variable of something else": ("{{ $t := .Values.stage | trunc 9 }}\n", ""),
}


@pytest.mark.parametrize(("before", "why"), MADE.values(), ids=MADE)
def test_what_is_changed_before_it_is_written_is_not_deployed(before: str, why: str) -> None:
    found = deployed(chart(before + READS) | {f"{CHART}values.yaml": VALUES + MORE})
    assert why in found if why else not isinstance(found, str), found


SHARED = {
    "of another name": ('image: "acme/migrate:{{ .Values.image.tag }}"\n', "acme/migrate"),
    "of another value's name": (
        "image: {{ .Values.job.repository }}:{{ .Values.image.tag }}\n",
        "acme/job",
    ),
    "of its own name": ('image: "docker.io/acme/cart:{{ .Values.image.tag }}"\n', ""),
    "of a name that is not set": (
        "image: {{ .Values.none.repository }}:{{ .Values.image.tag }}\n",
        None,
    ),
}


@pytest.mark.parametrize(("line", "name"), SHARED.values(), ids=SHARED)
def test_a_tag_that_is_another_images_too_is_not_deployed(line: str, name: str | None) -> None:
    more = "job: {repository: acme/job}\nnone: {}\n"
    found = deployed(chart(READS + line) | {f"{CHART}values.yaml": VALUES + more})
    if name is None:
        assert "makes another text of it: :1" in found
    elif name:
        assert f"makes an image of {name} of it, too" in found
    else:
        assert not isinstance(found, str), found


SEVERAL = {
    "written out": ("image: acme/cart:{{ .Values.tag }}\n", "image: acme/pay:{{ .Values.tag }}\n"),
    "written out behind a registry": (
        "image: {{ .Values.registry }}/cart:{{ .Values.tag }}\n",
        "image: {{ .Values.registry }}/pay:{{ .Values.tag }}\n",
    ),
    "by values": (
        "image: {{ .Values.cart.repository }}:{{ .Values.tag }}\n",
        "image: {{ .Values.pay.repository }}:{{ .Values.tag }}\n",
    ),
    "of a list": (
        "image: acme/cart:{{ .Values.tag }}\n",
        "{{ range .Values.all }}\nimage: {{ .repository }}:{{ $.Values.tag }}\n{{ end }}",
    ),
    "of one name": (
        "image: acme/cart:{{ .Values.tag }}\n",
        "image: docker.io/acme/cart:{{ .Values.tag }}\n",
    ),
}


@pytest.mark.parametrize("lines", SEVERAL.values(), ids=SEVERAL)
def test_a_tag_alone_that_is_of_several_images_is_not_deployed(lines: tuple[str, str]) -> None:
    """The image that the configuration says is one of them alone."""
    values = (
        "tag: '1'\ncart: {repository: acme/cart}\npay: {repository: acme/pay}\nregistry: acme\n"
    )
    raw = {
        path: text.encode()
        for path, text in (chart("".join(lines)) | {f"{CHART}values.yaml": values}).items()
    }
    parsed = {path: parse(path, data) for path, data in raw.items() if path.endswith("s.yaml")}
    [field] = [f for f in find_fields(parsed[f"{CHART}values.yaml"]) if f.container == "values"]
    told = Templates(Charts(Raw(raw), parsed.get)).doubt(CHART.rstrip("/"), field)
    is_one = lines == SEVERAL["of one name"]
    assert (told is None) == is_one
    several = "makes images of several names of it"
    of_list = "makes a text of it that is not followed"
    assert told is None or (of_list if lines == SEVERAL["of a list"] else several) in told.text


@pytest.mark.parametrize(
    ("line", "is_other"),
    [
        ("image: acme/cart:0", True),
        ('- image: "docker.io/acme/cart:0"  # for now', True),
        ("image: acme/pay:0", False),
        ("{{/* image: acme/cart:0 */}}", False),
        ("{{ if .Values.off }}\nimage: acme/cart:0\n{{ end }}", False),
        ('{{ define "unused" }}\nimage: acme/cart:0\n{{ end }}', False),
    ],
)
def test_an_image_that_a_template_writes_out_beside_is_not_deployed(
    line: str, *, is_other: bool
) -> None:
    said = deployed(chart(f"{READS}{line}\n"))
    assert ("writes " in said and "out, which no value changes" in said) == is_other


COUNTING = ("semver", "semverCompare `>=2`", "int", "int64", "float64", "atoi", "toDecimal")


@pytest.mark.parametrize("function", [*COUNTING, "lower", "quote"])
def test_a_chart_that_computes_with_the_tag_gets_no_digest(function: str) -> None:
    template = f"{{{{ if {function} .Values.image.tag }}}}\na: b\n{{{{ end }}}}\n{READS}"
    why = "no digest can stand there: the chart computes with the tag"
    assert (why in deployed(chart(template))) is (function in COUNTING)


def test_templates_of_a_chart_below_are_read_once_for_all_parts_of_its_image() -> None:
    own = {f"{CHART}charts/shop/values.yaml": "replicas: 1\n"}
    files = {path: text.encode() for path, text in (umbrella(READS) | own).items()}
    parsed = {path: parse(path, data) for path, data in files.items() if ".yaml" in path}
    values = root_of(parsed[f"{CHART}values.yaml"])
    charts = Templates(Charts(Raw(files), parsed.get))
    [field] = find_fields(parsed[f"{CHART}values.yaml"])
    assert charts.doubt("charts/cart", field, values) is None
    assert charts.no_digest("charts/cart", "shop.image", values) == ""
    assert [*charts.warnings("charts/cart", field, values)] == []
    assert len(charts._texts_of) == 2, "its own and the one below"  # noqa: SLF001


def test_what_the_tag_is_written_to_beside_the_image_is_said() -> None:
    [field] = find_fields(parse(f"{CHART}values.yaml", VALUES.encode()))
    text = 'annotations:\n  v: "{{ .Values.image.tag }}"\n' + READS
    said = [
        *Templates(Charts(Raw({f"{CHART}templates/d.yaml": text.encode()}))).warnings(
            "charts/cart", field
        )
    ]
    place = "charts/cart/templates/d.yaml:2"
    assert said == [f"the chart writes its tag to what is no image, too: {place}"]


def test_templates_that_include_each_other_without_end_are_not_followed() -> None:
    names = range(200)
    every = "".join(f'{{{{ include "x{n}" . }}}}' for n in names)
    text = "".join(f'{{{{ define "x{n}" }}}}{every}{{{{ end }}}}\n' for n in names)
    assert "is not known" in deployed(chart(f'{text}labels: {{{{ include "x0" . }}}}\n{READS}'))


@pytest.mark.parametrize(("more", "is_it"), [("", True), ("more: -x\n", False)])
def test_a_further_file_of_values_beside_a_chart_is_over_its_own(more: str, *, is_it: bool) -> None:
    files = {path: text for path, text in chart(READS).items() if "clusters" not in path}
    files[f"{CHART}templates/deployment.yaml"] = READS.replace(
        'tag }}"', 'tag }}{{ $.Values.more }}"'
    )
    files[f"{CHART}values-prod.yaml"] = f"{VALUES}{more}"
    raw = {path: text.encode() for path, text in files.items()}
    parsed = {path: parse(path, data) for path, data in raw.items() if "templates" not in path}
    [field] = find_fields(parsed[f"{CHART}values-prod.yaml"])
    told = Templates(Charts(Raw(raw), parsed.get)).doubt(CHART.rstrip("/"), field)
    assert (told is None) is is_it


SIBLINGS = {
    "that fails": ("a: {{ .Values.none.x }}\n", "", "there is no .Values.none"),
    "that does not": ("a: {{ .Values.some.x }}\n", "", ""),
    "that is off": ("a: {{ .Values.none.x }}\n", "condition: web.on", ""),
    "that is a library": ("a: {{ .Values.none.x }}\n", "library", ""),
    "that may get other values": ("a: {{ .Values.none.x }}\n", "import-values: [a]", ""),
}


@pytest.mark.parametrize(("template", "more", "why"), SIBLINGS.values(), ids=SIBLINGS)
def test_what_is_installed_with_a_chart_on_which_helm_fails_is_not_deployed(
    template: str, more: str, why: str
) -> None:
    more, kind = ("", "type: library\n") if more == "library" else (more, "")
    declared = f"dependencies: [{{name: other}}, {{name: web{more and ', ' + more}}}]\n"
    files = chart(READS) | {
        f"{CHART}Chart.yaml": f"name: cart\nversion: 1.0.0\n{declared}",
        f"{CHART}values.yaml": f"{VALUES}web: {{on: false, some: {{x: 1}}}}\n",
        f"{CHART}charts/web/Chart.yaml": f"name: web\n{kind}",
        f"{CHART}charts/web/templates/a.yaml": template,
    }
    if "import" in more:  # of the chart itself
        files[f"{CHART}templates/more.yaml"] = template
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


def test_a_chart_below_one_without_values_is_judged_by_its_templates() -> None:
    files = umbrella("labels: {v: '{{ .Values.image.tag }}'}\n")
    raw = {path: text.encode() for path, text in files.items() if "values" not in path}
    assert "into a label" in Templates(Charts(Raw(raw))).no_digest("charts/cart", "shop.image")


SWITCHED = {
    "by its condition": ("condition: 'a.b, shop.on'", "shop: {on: false, "),
    "by its condition, as YAML says it too": ("condition: shop.on", "shop: {on: no, "),
    "by its condition, in one letter": ("condition: shop.on", "shop: {on: n, "),
    "by a text, which is none": ("condition: 'shop.on,b'", "b: off\nshop: {on: 'true', "),
    "by a tag": ("tags: [front]", "tags: {front: false}\nshop: {"),
    "by a tag, as YAML says it too": ("tags: [front]", "tags: {front: OFF}\nshop: {"),
}
TAKES = "dependencies: [{name: shop, %s}]\n"


@pytest.mark.parametrize(("said", "values"), SWITCHED.values(), ids=SWITCHED)
def test_a_chart_that_is_switched_off_runs_nothing(said: str, values: str) -> None:
    files = umbrella(READS, TAKES % said)
    given = values + VALUES.strip() + "}\nglobal: {region: eu}\n"
    found = deployed(files | {f"{CHART}values.yaml": given})
    files = chart("a: b\n") | files | {f"{CHART}values.yaml": given}
    files["clusters/r.yaml"] = release("ours", "  values: {more: 1}\n")
    assert not isinstance(found, str), found  # nobody is known to install it
    assert "its condition or its tags switch it off" in deployed(files)
    on = {f"{CHART}values.yaml": re.sub(r": (?:false|no|n|off|OFF)\b", ": yes", given)}
    assert not isinstance(deployed(files | on), str)


def test_a_text_switches_no_chart_off_whatever_it_says() -> None:
    files = umbrella(READS, TAKES % "condition: shop.on")
    given = "shop: {on: 'false', " + VALUES.strip() + "}\nglobal: {region: eu}\n"
    assert not isinstance(deployed(files | {f"{CHART}values.yaml": given}), str)


IMPORTED = {
    "whole": ("[data]", True),
    "over the image": ("[{child: a, parent: image}]", True),
    "over all values": ("[{child: a, parent: .}]", True),
    "over something else": ("[{child: a, parent: other}]", False),
}


@pytest.mark.parametrize(("listed", "counts"), IMPORTED.values(), ids=IMPORTED)
def test_values_that_a_chart_below_may_put_others_over_are_not_deployed(
    listed: str, *, counts: bool
) -> None:
    declared = f"dependencies: [{{name: far, repository: 'oci://x', import-values: {listed}}}]\n"
    files = chart(READS) | {f"{CHART}Chart.yaml": f"name: cart\nversion: 1.0.0\n{declared}"}
    found = deployed(files)
    why = f"{CHART}Chart.yaml:3: import-values: values of far"
    assert (why in found) if counts else not isinstance(found, str)


# What gives a chart of these files other values --------------------------------------------------

LATER = {
    "a helmfile that names no image": (
        {"f/helmfile.yaml": "releases:\n- chart: ../charts/cart\n  values: [v.yaml]\n",
         "f/v.yaml": "image: {tag: '2'}\n"},
        "f/v.yaml:1: the values file f/v.yaml: it comes later and sets the same value",
    ),
    "a helmfile that cannot be read": (
        {"f/helmfile.yaml": "releases:\n- chart: ../charts/cart\n{{ end }}\n"},
        "f/helmfile.yaml:1: helmfile: it cannot be read, and may give the chart other values",
    ),
    "a helmfile that is a template as a whole": (
        {"f/helmfile.yaml.gotmpl": "releases:\n- chart: ../charts/cart\n{{ end }}\n"},
        "f/helmfile.yaml.gotmpl:1: helmfile: it cannot be read",
    ),
    "a helmfile that is a template in parts": (
        {"f/helmfile.yaml.gotmpl": (
            "releases:\n- chart: ../charts/cart\n  values: [v.yaml.gotmpl]\n"
         ),
         "f/v.yaml.gotmpl": 'image: {tag: "{{ .Values.tag }}"}\n'},
        "f/v.yaml.gotmpl:1: the values file f/v.yaml.gotmpl: it comes later and sets the same",
    ),
    "a helmfile of templates": (
        {"f/helmfile.yaml": "releases:\n- chart: ../charts/cart\n  set: {{ .Values.x }}\n"},
        "f/helmfile.yaml:3: {{ .Values.x }}: it comes later and may set the same value",
    ),
    "a value of its own that comes before": (
        {f"{CHART}values.yaml": f"{VALUES}global: {{tag: '2'}}\n"},
        "reads .Values.image.tag: it changes nothing",
    ),
    "a value for all charts of one that takes it": (
        {"charts/shop/Chart.yaml": "dependencies: [{name: cart, repository: file://../cart}]\n",
         "charts/shop/values.yaml": "global: {tag: '2'}\n"},
        "reads .Values.image.tag: it changes nothing",
    ),
    "a value that one that takes it gives to it": (
        {"charts/shop/Chart.yaml": "dependencies: [{name: cart, repository: file://../cart}]\n",
         "charts/shop/values.yaml": "cart: {global: {tag: '2'}}\n"},
        "reads .Values.image.tag: it changes nothing",
    ),
    "a helmfile that sets the whole image": (
        {"f/helmfile.yaml": "releases:\n- chart: ../charts/cart\n  values: [v.yaml]\n",
         "f/v.yaml": "image: {repository: acme/cart, tag: '2'}\n"},
        "",
    ),
    "a template that looks like a helmfile": (
        {"charts/a/templates/x.yaml": "releases:\nchart: {{ .Chart.Name }}\n{{ end }}"}, ""
    ),
    "a helmfile of other charts": (
        {"f/helmfile.yaml": "releases:\n- chart: stable/cart\n  values: [v.yaml]\n",
         "f/v.yaml": "image: {tag: '2'}\n"},
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "why"), LATER.values(), ids=LATER)
def test_a_chart_that_gets_other_values_from_elsewhere_is_not_deployed(
    files: dict[str, str], why: str
) -> None:
    template = READS.replace(".Values.image.tag", ".Values.global.tag | default .Values.image.tag")
    own = {path: text for path, text in chart(template).items() if "clusters" not in path}
    found = deployed({**own, **files})
    assert why in found if why else not isinstance(found, str), found


NAME = "{{ .Values.image.repository }}"
TAG = "{{ .Values.image.tag }}"
HELPER = '{{- define "cart.image" -}}\n%s\n{{- end -}}\n'
RENDERED = {
    "one of two": (f'{NAME}:{{{{ ternary .Values.image.tag "x" .Values.on }}}}', ""),
    "the other one": (
        f'{NAME}:{{{{ ternary "x" .Values.image.tag .Values.on }}}}',
        "reads .Values.image.tag: it changes nothing",
    ),
    "one of two, which is not known": (
        f'{NAME}:{{{{ ternary .Values.image.tag "x" .Release.IsUpgrade }}}}',
        "makes a text of it that is not followed",
    ),
    "with the name of the release": (
        f"{{{{ .Release.Name }}}}/{NAME}:{TAG}",
        "makes a text of it that is not followed",
    ),
    "one of two, by no truth": (
        f'{NAME}:{{{{ ternary .Values.image.tag "x" .Values.none }}}}',
        "Helm fails on `ternary`",
    ),
    "with its name": ('{{ printf "acme/%s:%v" "cart" .Values.image.tag }}', "it changes nothing"),
    "by print": ("{{ print .Values.image.repository `:` .Values.image.tag }}", ""),
    "by printf with another sign": (
        '{{ printf "%s:%d" .Values.image.repository .Values.image.tag }}',
        "makes a text of it that is not followed",
    ),
    "by print of a number": ("{{ print .Values.image.repository `:` 1 }}", "it changes nothing"),
    "in quotes": (
        "{{ printf `%s:%s` .Values.image.repository (.Values.image.tag | trim) | quote }}",
        "",
    ),
    "in quotes of the line": (f'"{NAME}:{TAG}"', ""),
    "in single quotes": (f"{NAME}:{{{{ .Values.image.tag | squote }}}}", "acme/cart:'1'"),
    "as a template": (f"{NAME}:{{{{ tpl .Values.image.tag . }}}}", ""),
    "by an index": (
        f'{NAME}:{{{{ index (dict "a" 1) "a" }}}}{{{{/* x */}}}}',
        "it changes nothing",
    ),
    "with what is needed": (f'{NAME}:{{{{ required "a tag" .Values.image.tag }}}}', ""),
    "by the index of an item": (f"{NAME}:{TAG}\n  a: {{{{ index .Values.list 0 }}}}", ""),
    "by an index from behind": (
        f"{NAME}:{TAG}\n  a: {{{{ index .Values.list -1 }}}}",
        "Helm fails on index ... -1",
    ),
    "by a truth as an index": (f"{NAME}:{TAG}\n  a: {{{{ index .Values.list true }}}}", ""),
    "by a number as a key": (f"{NAME}:{TAG}\n  a: {{{{ index .Values.image 1 }}}}", ""),
    "by another value where that is": (
        f"{NAME}:{{{{ .Values.image.tag | default .Values.none.tag }}}}",
        "there is no .Values.none, and so Helm fails on .Values.none.tag",
    ),
    "by another value in brackets": (
        f"{NAME}:{{{{ .Values.image.tag | default (.Values.none).tag }}}}",
        "",
    ),
    "by another value in a variable": (
        f"{{{{ $n := .Values.none }}}}{NAME}:{{{{ .Values.image.tag | default $n.tag }}}}",
        "",
    ),
    "behind a condition of the line": (
        f"{NAME}:{{{{ if .Values.on }}}}{TAG}{{{{ else }}}}x{{{{ end }}}}",
        "",
    ),
    "with a function that is not known": (
        f"{NAME}:{{{{ .Values.image.tag | trunc 63 }}}}",
        "makes another text of it",
    ),
    "with what fails behind a function that is not known": (
        f"{NAME}:{TAG}\n  a: {{{{ trunc 63 (fail `no`) }}}}",
        "Helm fails with 'no'",
    ),
    "beside what is not needed": (f"{NAME}:{TAG}\n  a: {{{{ required `x` .Values.stage }}}}", ""),
    "beside what is needed and is not there": (
        f"{NAME}:{TAG}\n  a: {{{{ required `x` .Values.none }}}}",
        "deployment.yaml:3: Helm fails with 'x'",
    ),
    "beside an item that is there": (f"{NAME}:{TAG}\n  a: {{{{ index .Values.list 0 }}}}", ""),
    "beside an item that is not there": (
        f"{NAME}:{TAG}\n  a: {{{{ index .Values.list 1 }}}}",
        "Helm fails on index ... 1: the list has 1 items",
    ),
    "beside an item of nothing": (
        f"{NAME}:{TAG}\n  a: {{{{ index .Values.none 1 }}}}",
        "Helm fails on index ... 1: nothing is there",
    ),
    "beside an item of a text": (f"{NAME}:{TAG}\n  a: {{{{ index .Values.stage 1 }}}}", ""),
    "beside an item of an object": (
        f"{NAME}:{TAG}\n  a: {{{{ index (index .Values.deep `x`) `y` }}}}",
        "Helm fails on index ... y: nothing is there",
    ),
    "beside what is not made": (
        f"{NAME}:{TAG}\n{{{{ if .Values.off }}}}{{{{ fail `no` }}}}{{{{ end }}}}",
        "",
    ),
    "beside what may be made": (
        f"{NAME}:{TAG}\n{{{{ if .Release.IsInstall }}}}{{{{ fail `no` }}}}{{{{ end }}}}",
        "",
    ),
    "beside what is made for each": (
        f"{NAME}:{TAG}\n{{{{ range .Values.list }}}}{{{{ $.Values.no.x }}}}{{{{ end }}}}",
        "there is no .Values.no, and so Helm fails",
    ),
    "beside what is read of each": (
        f"{NAME}:{TAG}\n{{{{ range .Values.list }}}}{{{{ required `x` .none }}}}{{{{ end }}}}",
        "Helm fails on .Values.list.0.none",
    ),
    "beside another branch with something": (
        f"{NAME}:{TAG}\n{{{{ if .Values.no }}}}{{{{ else with .Values.on }}}}{{{{ end }}}}",
        "",
    ),
    "with the image": ("{{ with .Values.image }}{{ .repository }}:{{ .tag }}{{ end }}", ""),
    "with the image, in another branch": (
        "{{ with .Values.no }}x{{ else with .Values.image }}{{ .repository }}:{{ .tag }}{{ end }}",
        "",
    ),
    "with something around it": (
        "{{ with .Values.deep }}{{ with $.Values.image }}{{ .repository }}:{{ .tag }}{{ end }}",
        "",
    ),
    "with what is below the dot": (
        "{{ with .Values.image }}{{ with .repository }}{{ . }}:{{ end }}{{ .tag }}{{ end }}",
        "",
    ),
    "in small letters": (f"{{{{ .Values.image.repository | lower }}}}:{TAG}", ""),
    "cut": (f"{NAME}:{{{{ .Values.image.tag | trunc 3 }}}}", "another text of it: acme/cart:9@s"),
    "cut from behind": (f"{NAME}:{{{{ .Values.image.tag | trunc -3 }}}}", "another text of it"),
    "without a sign": (f'{NAME}:{{{{ .Values.image.tag | replace "+" "_" }}}}', ""),
    "without what is before it": (f'{NAME}:{{{{ .Values.image.tag | trimPrefix "v" }}}}', ""),
    "without what is behind it": (f'{NAME}:{{{{ .Values.image.tag | trimSuffix "-x" }}}}', ""),
    "without a number": (
        f"{NAME}:{{{{ .Values.image.tag | trimSuffix 1 }}}}",
        "makes a text of it that is not followed",
    ),
    "beside what Flux fills in": (f"{NAME}:{TAG}\n  a: {{{{ .Values.filled.some }}}}", ""),
}
HELPERS = {
    "one": (f"{NAME}:{TAG}", ""),
    "one with a variable": (
        f"{{{{- $t := .Values.image.tag | default .Chart.AppVersion -}}}}\n{NAME}:{{{{ $t }}}}",
        "",
    ),
    "one that makes no text": (f"{NAME}:{{{{ .Values.on }}}}", "it changes nothing"),
    "one that goes over items": (
        f"{{{{ range .Values.list }}}}{{{{ with $ }}}}{NAME}:{TAG}{{{{ end }}}}{{{{ end }}}}",
        "",
    ),
    "one with another template in it": (
        f'{NAME}:{{{{ template "cart.tag" . }}}}',
        "it changes nothing",
    ),
    "one in itself": (
        f'{{{{ include "cart.image" . }}}}{NAME}:{TAG}',
        "text of it that is not followed",
    ),
    "one that fails": (f"{NAME}:{TAG}{{{{ .Values.none.more }}}}", "there is no .Values.none"),
}


@pytest.mark.parametrize(("image", "why"), RENDERED.values(), ids=RENDERED)
def test_an_image_is_what_its_expression_makes_of_the_values(image: str, why: str) -> None:
    more = {f"{CHART}values.yaml": VALUES + MORE + "filled: ${ANY}\n"}
    found = deployed(chart(f"spec:\n  image: {image}\n") | more)
    assert why in found if why else not isinstance(found, str), found


@pytest.mark.parametrize(("body", "why"), HELPERS.values(), ids=HELPERS)
def test_an_image_is_what_a_helper_makes_of_the_values(body: str, why: str) -> None:
    files = chart('image: {{ include "cart.image" . }}\n') | {
        f"{CHART}templates/_h.tpl": HELPER % body + "{{ .Values.none.never }}\n",
        f"{CHART}values.yaml": VALUES + MORE,
    }
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


def test_helpers_deep_within_each_other_are_followed_to_their_end_only() -> None:
    text = HELPER % f"{NAME}:{TAG}" + "".join(
        f'{{{{- define "d{n}" -}}}}{{{{ include "d{n + 1}" . }}}}{{{{- end -}}}}\n'
        for n in range(30)
    )
    last = '{{- define "d30" -}}{{ .Values.none.more }}{{- end -}}\n'
    found = deployed(
        chart(f'image: {NAME}:{TAG}\na: {{{{ include "d0" . }}}}\n')
        | {f"{CHART}templates/_h.tpl": text + last, f"{CHART}values.yaml": VALUES + MORE}
    )
    assert not isinstance(found, str), "as deep as that nothing is told"


SETS = '{{- define "fix" -}}{{- $_ := set %s "tag" "9" -}}{{- end -}}'
ON = '{{ $_ := set %s "tag" "9" }}\n'
# As helm 3.19 renders them: what the mapping of the image is given counts, whatever it is called.
CHANGED = {
    "what a helper is given": ('{{ include "fix" .Values.image }}\n', SETS % ".", True),
    "what is in what a helper is given": (
        '{{ include "fix" (dict "i" .Values.image) }}\n', SETS % ".i", True,
    ),
    "each item": ("{{ range $k, $v := .Values }}" + ON % "$v" + "{{ end }}\n", "", True),
    "each item, another key": (
        '{{ range $k, $v := .Values }}{{ $_ := set $v "more" "9" }}{{ end }}\n', "", False,
    ),
    "a key that is computed": (
        '{{ range $k, $v := .Values }}{{ $_ := set $v $k "9" }}{{ end }}\n', "", False,
    ),
    "a key that is not known": ('{{ $_ := set .Values.image .Release.Name "9" }}\n', "", True),
    "a variable that is set twice": (
        "{{ $i := .Values }}{{ $i = .Values.image }}" + ON % "$i", "", True,
    ),
    "the values": ('{{ $_ := set . "Values" (dict) }}\n', "", True),
    "what has braces in a text": ('{{ $_ := set .Values.image "tag" "{9" }}\n', "", True),
    "below a mapping of its own": (ON % '(dict "a" .Values.image).a', "", True),
    "in a mapping of its own": ('{{ $d := dict "i" $ }}' + ON % "$d.i.Values.image", "", True),
    "merged into a variable": ("{{ $d := $.Capabilities }}{{ $_ := merge $d (dict) }}\n", "", True),
    "merged into what is piped": ("{{ $.Capabilities | merge }}\n", "", True),
    "a mapping of its own": ("{{ $d := dict }}" + ON % "$d", "", False),
    "one in place": (ON % '(dict "a" 1)', "", False),
    "a copy": ("{{ $d := $.Values.image | deepCopy }}" + ON % "$d", "", False),
    **{
        f"what {name} makes": (f"{{{{ $d := {name} $.Values.image }}}}" + ON % "$d", "", False)
        for name in ("mustDeepCopy", "pick", "omit", "fromYaml", "fromJson")
    },
    **{
        f"merged by {name}": (f"{{{{ $d := {name} $.Values.image (dict) }}}}", "", True)
        for name in ("merge", "mustMerge", "mergeOverwrite", "mustMergeOverwrite")
    },
    "one that is merged": ('{{ $d := merge (dict "a" 1) (dict) }}' + ON % "$d", "", False),
    "one that is read": (
        "{{ $d := dict }}{{ range .x }}{{ $d = tpl `a: 1` $ | fromYaml | merge $d }}{{ end }}\n",
        "", False,
    ),
    "one that was another before": ("{{ $d := $.x }}{{ $d = dict }}" + ON % "$d", "", False),
    "in a helper that nothing includes": ("", SETS % ".", False),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "helper", "counts"), CHANGED.values(), ids=CHANGED)
def test_what_a_template_may_change_before_it_is_read_is_not_deployed(
    lines: str, helper: str, *, counts: bool
) -> None:
    files = chart(f"{lines}image: {NAME}:{TAG}\n") | {f"{CHART}templates/_h.tpl": helper}
    found = deployed(files)
    assert isinstance(found, str) is counts, found
    assert not counts or "may change it before" in found or "makes another text of it" in found


BOMBS = {
    "helpers that include one another": (
        "a: {{ include `d40` . }}",
        "".join(
            f'{{{{- define "d{n}" }}}}{{{{ include "d{n - 1}" . }}}}{{{{ include "d{n - 1}" . }}}}'
            "{{ end -}}\n"
            for n in range(1, 41)
        )
        + '{{- define "d0" }}some text{{ end -}}\n',
    ),
    "a variable that grows": (
        "a: {{ include `grows` . }}",
        "{{ define `grows` }}{{ $a := `x` }}"
        + "{{ $a = printf `%s%s` $a $a }}" * 60
        + "{{ $a }}{{ end }}",
    ),
    "a text that is replaced by longer ones": (
        "a: {{ `aaaa`" + " | replace `a` `aaaaaaaa`" * 20 + " }}",
        "",
    ),
    "brackets within brackets": ("a: {{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", ""),
}


@pytest.mark.parametrize(("line", "helpers"), BOMBS.values(), ids=BOMBS)
def test_a_chart_that_makes_endless_text_costs_nothing(line: str, helpers: str) -> None:
    tracemalloc.start()
    try:
        found = deployed(
            chart(f"image: {NAME}:{TAG}\n{line}\n") | {f"{CHART}templates/_h.tpl": helpers}
        )
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "makes a text of it that is not followed" in found or not isinstance(found, str), found
    assert peak < 50_000_000


def test_what_a_chart_takes_from_one_that_it_imports_from_may_be_there() -> None:
    imports = "name: cart\ndependencies:\n- {name: x, import-values: [{child: a, parent: none}]}\n"
    found = deployed(
        chart(f"image: {NAME}:{TAG}\na: {{{{ .Values.none.more }}}}\n")
        | {f"{CHART}Chart.yaml": imports}
    )
    assert not isinstance(found, str), found


IMPORTS = {
    "exported": ("[data]", "exports: {data: {image: {tag: '2'}}}\n", {"tag": "2"}),
    "by its place": ("[{child: a.b, parent: image}]", "a: {b: {tag: '2'}}\n", {"tag": "2"}),
    "of several the first": (
        "[{child: a, parent: image}, {child: b, parent: image}]",
        "a: {tag: '2'}\nb: {tag: '3', digest: d}\n",
        {"tag": "2", "digest": "d"},
    ),
    "what is not there": ("[{child: a, parent: image}]", "b: {tag: '2'}\n", {}),
    "what is no object": ("[{child: a, parent: image}]", "a: 2\n", {}),
}


@pytest.mark.parametrize(("imports", "below", "image"), IMPORTS.values(), ids=IMPORTS)
@pytest.mark.parametrize("own", ["{repository: acme/cart}", "{repository: acme/cart, tag: '1'}"])
def test_what_a_chart_imports_is_below_its_own_values(
    imports: str, below: str, image: dict[str, str], own: str
) -> None:
    head = f"name: cart\ndependencies:\n- name: x\n  alias: base\n  import-values: {imports}\n"
    files = {
        "Chart.yaml": head,
        "charts/x/Chart.yaml": "name: x\n",
        "charts/x/values.yaml": below,
        "values.yaml": f"image: {own}\nbase: {{more: 1}}\n",
    }
    parsed = {path: parse(path, text.encode()) for path, text in files.items()}
    charts = Charts(Raw({path: text.encode() for path, text in files.items()}), parsed.get)
    values, paths = charts.of_taken("")
    assert paths == ["charts/x/values.yaml"]
    assert values is not None
    root = root_of(parsed["values.yaml"])
    assert root is not None
    found = charts.with_imports("", merged(values, root))
    wanted = image | yaml.safe_load(own)
    assert {key: text_of(one) for key, one in entries(find(found, "image")).items()} == wanted


@pytest.mark.parametrize(
    ("more", "why"),
    [("", ""), (", condition: on", "import-values"), (", tags: [on]", "import-values")],
)
def test_an_image_that_a_chart_imports_to_is_deployed_where_that_is_sure(
    more: str, why: str
) -> None:
    imports = f"{{name: x, import-values: [{{child: a, parent: image}}]{more}}}"
    found = deployed(
        chart(READS)
        | {
            f"{CHART}Chart.yaml": f"name: cart\ndependencies:\n- {imports}\n",
            f"{CHART}charts/x/Chart.yaml": "name: x\n",
            f"{CHART}charts/x/values.yaml": "a: {tag: '7'}\n",
            f"{CHART}charts/x/templates/a.yaml": "a: b\n",
        }
    )
    assert why in found if why else not isinstance(found, str), found


WITHIN = {
    "everywhere": ("a: {{ .Values.global.x }}\n", "", ""),
    "elsewhere": ("a: {{ .Values.some.x }}\n", "", "there is no .Values.some"),
    "of a chart within": ("", "a: {{ .Values.web.x }}\n", ""),
    "deep of a chart within": ("", "a: {{ .Values.web.x.y }}\n", "there is no .Values.web.x"),
    "deep of a chart that is not there": ("", "a: {{ .Values.far.x.y }}\n", ""),
}


@pytest.mark.parametrize(("below", "above", "why"), WITHIN.values(), ids=WITHIN)
def test_a_chart_within_has_values_whatever_is_said(below: str, above: str, why: str) -> None:
    values = "  values: {web: {image: {repository: acme/cart, tag: '1'}}}\n" if below else ""
    files = chart((READS if not below else "") + above) | {
        f"{CHART}Chart.yaml": "name: cart\ndependencies: [{name: web}, {name: far}]\n",
        f"{CHART}charts/web/Chart.yaml": "name: web\n",
        f"{CHART}charts/web/templates/d.yaml": READS + below if below else "a: b\n",
    }
    if below:
        files |= {"clusters/r.yaml": release("ours", values), f"{CHART}values.yaml": "a: b\n"}
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


GIVEN = {
    "written out": ("acme/pay:{{ .Values.tag }}", "{}", "acme/pay"),
    "written out with its registry": (
        "ghcr.io/acme/pay:{{ .Values.tag }}",
        "{}",
        "ghcr.io/acme/pay",
    ),
    "in a printf": ('{{ printf "%s:%s" "acme/pay" .Values.tag }}', "{}", "acme/pay"),
    "in another value": ("{{ .Values.what }}:{{ .Values.tag }}", "what: acme/pay", "acme/pay"),
    "by default": (
        '{{ .Values.what | default "acme/pay" }}:{{ .Values.tag }}',
        "{}",
        "acme/pay",
    ),
    "by the registry of all": (
        (
            "{{ with .Values.global }}{{ with .imageRegistry }}{{ . }}/{{ end }}{{ end }}"
            "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
        ),
        "{global: {imageRegistry: ghcr.io}, image: {repository: acme/cart}}",
        "ghcr.io/acme/cart",
    ),
    "by the registry of all, which is not read": (
        "{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        "{global: {imageRegistry: ghcr.io}, image: {repository: acme/cart}}",
        "acme/cart",
    ),
    "as the chart's": ("acme/{{ .Chart.Name }}:{{ .Values.tag }}", "{}", "acme/cart"),
    "beside one that is not known": (
        "acme/pay:{{ .Values.tag }}\n---\nimage: {{ .Release.Name }}:{{ .Values.tag }}",
        "{}",
        "acme/pay",
    ),
    "of the release": ("{{ .Release.Name }}:{{ .Values.tag }}", "{}", ""),
    "as several": (
        "acme/pay:{{ .Values.tag }}\n---\nimage: acme/web:{{ .Values.tag }}",
        "{}",
        "",
    ),
}


@pytest.mark.parametrize(("image", "values", "name"), GIVEN.values(), ids=GIVEN)
def test_an_image_whose_values_have_no_name_has_that_of_its_template(
    image: str, values: str, name: str
) -> None:
    files = chart(f"image: {image}\n") | {
        "clusters/r.yaml": release(
            "ours",
            "  values: {image: {tag: '1'}}\n" if "image" in values else "  values: {tag: '1'}\n",
        ),
        f"{CHART}values.yaml": values,
    }
    [field] = fields_of(files)
    assert field.named is None if not name else (field.named and field.named.name == name)


@pytest.mark.parametrize("template", ["acme/pay:{{ .Values.tag }}", "{{ .Values.far }}"])
def test_so_has_one_of_a_chart_that_no_release_takes(template: str) -> None:
    files = {
        f"{CHART}Chart.yaml": "name: cart\n",
        f"{CHART}values.yaml": "tag: '1'\n",
        f"{CHART}templates/d.yaml": f"image: {template}\n",
    }
    [field] = fields_of(files)
    assert (field.named.name if field.named else "") == ("acme/pay" if "pay" in template else "")


def test_a_tag_that_a_chart_gives_several_names_is_not_deployed() -> None:
    files = chart(
        "image: acme/cart:{{ .Values.tag }}\n---\nimage: acme/web:{{ .Values.tag }}\n"
    ) | {
        "clusters/r.yaml": release("ours", "  values: {tag: '1'}\n"),
        f"{CHART}values.yaml": "{}",
    }
    [one] = effect_of(files).landed
    assert any("makes images of several names of it" in unknown.why for unknown in one.unknowns)


SECRETS = {
    "elsewhere": ("db.password", "a: {{ .Values.db.password }}\n", ""),
    "elsewhere in a list": ("hosts[0].name", "a: {{ .Values.image.tag }}\n", ""),
    "in what an escaped key begins": (r"db\.x.y", "", "valuesFrom Secret s: it is not read"),
    "at a name of something": ("db.name", "a: {{ .Values.db.name.x }}\n", ""),
    "in the image": ("image.digest", "", "valuesFrom Secret s: it is not read"),
    "anywhere": ("", "", "valuesFrom Secret s: it is not read"),
}


@pytest.mark.parametrize(("target", "more", "why"), SECRETS.values(), ids=SECRETS)
def test_what_a_secret_gives_elsewhere_leaves_a_chart_s_own_image_alone(
    target: str, more: str, why: str
) -> None:
    path = f", targetPath: '{target}'" if target else ""
    files = chart(READS + more) | {
        "clusters/r.yaml": release("ours", f"  valuesFrom: [{{kind: Secret, name: s{path}}}]\n")
    }
    found = deployed(files)
    assert why in found if why else not isinstance(found, str), found


def effect_of(files: dict[str, str]) -> Effect:
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    return manifests.effective({}, Environment("production")).effect


def fields_of(files: dict[str, str]) -> tuple[ImageField, ...]:
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    return manifests.effective({}, Environment("production")).live


def test_of_a_chart_without_templates_only_those_below_read_a_value() -> None:
    values = "  values: {web: {image: {repository: acme/cart, tag: '1'}}}\n"
    files = {path: text for path, text in chart("").items() if "templates" not in path} | {
        "clusters/r.yaml": release("ours", values),
        f"{CHART}values.yaml": "a: b\n",
        f"{CHART}charts/web/Chart.yaml": "name: web\n",
    }
    template = f"{CHART}charts/web/templates/d.yaml"
    unread = deployed(files | {template: "image: acme/cart:{{ .Values.global.tag }}\n"})
    assert "no template of charts/cart reads .Values.web.image" in unread
    assert not isinstance(deployed(files | {template: READS}), str)


@pytest.mark.parametrize("below", ["", "pay: acme/pay:1, dir: /var/images, name: acme/web"])
def test_whole_images_are_found_by_their_names_in_what_is_called_images(below: str) -> None:
    files = chart("image: {{ .Values.images.cart }}\n") | {
        "clusters/r.yaml": release(
            "ours", f"  values: {{images: {{cart: 'acme/cart:1', {below}}}}}\n"
        ),
        f"{CHART}values.yaml": "a: b\n",
    }
    assert not isinstance(deployed(files), str)
    names = [field.named.name for field in fields_of(files) if field.named]
    assert names == (["acme/cart", "acme/pay"] if below else ["acme/cart"])


def test_what_an_application_takes_from_a_file_is_there() -> None:
    given = "fileParameters: [{name: db.host, path: x.txt}], values: 'image: {tag: 2}', "
    given += "parameters: [{name: image.tag, value: '1'}]"
    files = chart(READS + "a: {{ required `x` .Values.db.host }}\n") | {
        "clusters/r.yaml": application(f"repoURL: {OURS}\npath: charts/cart\nhelm: {{{given}}}"),
    }
    assert not isinstance(deployed(files), str)
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    idle = manifests.effective({}, Environment("production")).effect.idle
    assert any("values that come later set it" in one.why for one in idle.values())


@pytest.mark.parametrize("empty", ["[]", "{}"])
def test_an_empty_list_of_a_chart_that_no_release_here_takes_may_get_items(empty: str) -> None:
    files = {
        "c/Chart.yaml": "name: cart\n",
        "c/values.yaml": f"image: {{repository: acme/cart, tag: '1'}}\nlist: {empty}\n",
        "c/templates/d.yaml": (
            "{{ range $n, $it := .Values.list }}\n- {{ $n }}: {{ $it }}\n{{ end }}\n"
            "image: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n"
        ),
    }
    (landed,) = effect_of(files).landed
    assert (landed.image, landed.unknowns) == ("acme/cart:1", ())


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("replicas", "it changes nothing"),
        ("web.replicas", "it changes nothing"),
        ("image.tag", "valuesFrom Secret s: it is not read"),
    ],
)
def test_a_value_that_is_not_read_leaves_the_rest_known_where_it_is_surely_no_image(
    target: str, why: str
) -> None:
    values = "  values: {image: {repository: acme/cart, tag: '1'}, web: {on: false}}\n"
    source = f"  valuesFrom: [{{kind: Secret, name: s, targetPath: {target}}}]\n"
    files = chart(f"{{{{ if .Values.web.on }}}}\n{READS}\n{{{{ end }}}}")
    assert why in deployed({**files, "clusters/r.yaml": release("ours", values + source)})


def test_what_stands_right_before_or_behind_an_image_is_no_part_of_it() -> None:
    parts = ("note: image: ", "", "acme/cart", ":1", " # of late", "")
    ends = list(accumulate(map(len, parts)))
    of = [NONE, *(frozenset([(f"v{number}",)]) for number in range(1, len(parts)))]
    pieces = [(end, Piece("", one, ("a", 1))) for end, one in zip(ends, of, strict=True)]
    [found] = Line("".join(parts), pieces, is_label=False, is_text=False).images()
    assert (found.text, found.of) == ("acme/cart:1", of[1] | of[2] | of[3])


@pytest.mark.parametrize("name", ["Name", "AppVersion"])
def test_what_a_chart_says_of_itself_is_known_in_the_text_of_an_image(name: str) -> None:
    files = chart(f"image: other/{{{{ .Chart.{name} }}}}:{{{{ .Values.image.tag }}}}\n{READS}")
    files[f"{CHART}Chart.yaml"] += "appVersion: v9\n"
    said = {"Name": "other/cart", "AppVersion": "other/v9"}[name]
    assert f"makes an image of {said} of it, too" in deployed(files)
