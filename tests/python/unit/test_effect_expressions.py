"""What templates make of values: each row is what helm 3.19 makes of it, or is not known."""

from __future__ import annotations

import pytest
import yaml

from gitops_rollback.effective.expressions import Table, made_of
from gitops_rollback.effective.rendering import Chart

VALUES = 'a: {b: x, m: 3, t: true, l: [p, q], e: {}, u: "1.0", long: "q: 1"}\nnone:\n'
HELPERS = '{{ define "empty" }}{{ end }}{{ define "text" }}t{{ .Values.a.b }}{{ end }}'


def chart_of(template: str, values: str = VALUES, *, is_open: bool = False) -> Chart:
    root = Table({"Values": made_of(yaml.compose(values), ())})
    return Chart({"h": HELPERS, "t": template}, ["t"], root, is_open=is_open)


def rendered(template: str, values: str = VALUES, *, is_open: bool = False) -> str | None:
    """What a template makes of values; None where that is not known."""
    pieces = chart_of(template, values, is_open=is_open).made["t"]
    texts = [piece.text for piece in pieces if not piece.guards]
    return "".join(map(str, texts)) if len(texts) == len(pieces) and None not in texts else None


MADE = [
    ('{{ if include "empty" . }}yes{{ end }}', ""),
    ('{{ if include "text" . }}yes{{ end }}', "yes"),
    ('{{ "a\\"b" }}', 'a"b'),
    ("{{ default dict .Values.none | toYaml }}", "{}"),
    ('{{ $d := dict "k" .Values.a }}{{ $d.k.b }}', "x"),
    ('{{ index (list "r" .Values.a.b) 1 }}', "x"),
    ("{{ range $i, $v := .Values.a.l }}{{ $i }}{{ $v }}{{ end }}", "0p1q"),
    ('{{ range .Values.a.l }}{{ if eq . "q" }}{{ continue }}{{ end }}{{ . }}{{ end }}', "p"),
    ("{{ range .Values.a.l }}{{ . }}{{ break }}{{ end }}", "p"),
    ("{{ range .Values.none }}{{ . }}{{ else }}no{{ end }}", "no"),
    ("{{ $x := 1 }}{{ if .Values.a.t }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
    ("{{ $x := 1 }}{{ if .Values.a.t }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
    ("{{ toYaml .Values.a.b }}", "x"),
    ("{{ toYaml .Values.a.l }}", "- p\n- q"),
    ("{{ .Values.a.l | toYaml | nindent 2 }}", "\n  - p\n  - q"),
    ('{{ printf "%s\\n%s" "a" "b" | indent 2 }}', "  a\n  b"),
    ('{{ $d := dict "k" 1 }}{{ $_ := set $d "k" 2 }}{{ $d.k }}', "2"),
    ("{{ with $x := .Values.a.b }}{{ $x }}{{ . }}{{ end }}", "xx"),
    ("{{ with .Values.none }}x{{ else }}{{ .Values.a.b }}{{ end }}", "x"),
    ('{{ tpl "{{ .Values.a.b }}" . }}', "x"),
    ('{{ block "blk" .Values.a }}{{ .b }}{{ end }}', "x"),
    ('{{ template "text" . }}', "tx"),
    ("a {{- /* c */ -}} b", "ab"),
    ('a\n  {{- " b" }}\n{{ " c" -}}\n d', "a b\n cd"),
    ('{{ hasKey .Values.a "b" }}{{ hasKey .Values.a "z" }}', "truefalse"),
    ('{{ ternary "y" "n" .Values.a.t }}{{ empty .Values.a.e }}{{ not .Values.a.t }}', "ytruefalse"),
    ('{{ contains "a" "cat" }}{{ hasPrefix "c" "cat" }}{{ hasSuffix "c" "cat" }}', "truetruefalse"),
    (
        '{{ trunc 2 "abc" }}{{ trunc -2 "abc" }}{{ trunc -9 "abc" }}{{ lower "AB" }}',
        "abbcabcab",
    ),
    (
        '{{ replace "a" "b" "aa" }}{{ trimPrefix "a" "ab" }}{{ trimSuffix "b" "ab" }}',
        "bbba",
    ),
    ('{{ toString .Values.a.b }}{{ trim " a " }}', "xa"),
    (
        '{{ squote "a" }}{{ quote "a" }}{{ print "a" "b" }}{{ coalesce .Values.none "" "c" }}',
        "'a'\"a\"abc",
    ),
    ('{{ required "m" .Values.a.b }}{{ get .Values.a "b" }}{{ .Values.a.u }}', "xx1.0"),
    ('{{ (.Values.a).b }}{{ $.Values.a.b }}{{ (index .Values "a").b }}', "xxx"),
    (
        "{{ if and .Values.none .Values.none.x }}{{ else if or .Values.a.t $.x.y }}2{{ end }}",
        "2",
    ),
    (
        '{{ toYaml (dict "b" (list) "a" (list (dict "c" 1 "d" true))) }}',
        "a:\n- c: 1\n  d: true\nb: []",
    ),
    ("{{ .Values.a.m }}|{{ 7 }}|{{ .Values.a.t }}", "3|7|true"),
    ("a\n{{/* c\nd */}}\nb", "a\n\nb"),
]


@pytest.mark.parametrize(("template", "text"), MADE)
def test_a_template_makes_what_helm_makes_of_it(template: str, text: str) -> None:
    assert rendered(template) == text


UNKNOWN = [
    "{{ .Values.a.b 1 }}",
    "{{ 1 2 }}",
    '{{ "a" ) }}',
    "{{ .Values.u.has 1 }}",
    '{{ tpl `{{ if "a }}` . }}',
    '{{ tpl "{{ break }}" . }}',
    "{{ with .Values.u }}\n{{ .x }}{{ end }}",
    "{{ (1 2) }}",
    '{{ "a\\x41" }}',
    "{{ 'a' }}",
    "{{ $no }}",
    "{{ + }}",
    "{{ .Capabilities.x 1 }}",
    '{{ if include "unknown" . }}yes{{ end }}',
    '{{ if printf "%s" .Release.Name }}yes{{ end }}',
    '{{ coalesce .Values.u.x "a" }}',
    "{{ not .Values.u.x }}",
    "{{ index .Values.u 1 }}",
    '{{ index .Values.u "x" }}',
    '{{ index .Values.a.l "x" }}',
    "{{ toYaml .Values.u }}",
    "{{ toYaml (merge (dict) .Values.u) }}",
    '{{ indent .Values.u "a" }}',
    '{{ hasKey .Values.u "a" }}',
    '{{ hasKey (merge (dict) .Values.u) "a" }}',
    "{{ if merge (dict) .Values.u }}yes{{ end }}",
    '{{ set .Values.a.b "k" 1 }}',
    '{{ set .Values.u "k" 1 }}',
    '{{ set (deepCopy .Values.a) "k" 1 }}',
    "{{ $d := dict }}{{ $_ := set $d .Values.u 1 }}{{ toYaml $d }}",
    '{{ $d := dict "k" 1 }}{{ if .Values.u }}{{ $_ := set $d "k" 2 }}{{ end }}{{ $d.k }}',
    '{{ $d := dict "k" 1 }}{{ $_ := merge $d .Values.a }}{{ $d.k }}{{ $d.z }}',
    "{{ $x := 1 }}{{ if .Values.u }}{{ $x = 2 }}{{ end }}{{ $x }}",
    "{{ $x := 1 }}{{ range .Values.u }}{{ $x = 2 }}{{ end }}{{ $x }}",
    "{{ range .Values.u }}{{ break }}{{ end }}",
    "{{ range $ }}{{ . }}{{ end }}",
    '{{ tpl "{{ if }}" . }}',
    "{{ tpl .Values.u . }}",
    '{{ tpl "{{ if .x }}{{ if .y }}{{ break }}{{ end }}" . }}',
    '{{ toYaml (list (dict "a" .Values.u) "b\\n") }}',
    "{{ break }}",
    "{{ block .Values.a.b . }}{{ end }}",
    "{{ .Values.a }}",
    "{{ 1234567 | toString }}",
    '{{ $d := dict "k" (dict) }}{{ $_ := set $d.k "d" $d }}{{ $d }}',
    '{{ lookup "v1" "Pod" "" "" }}',
]


@pytest.mark.parametrize("template", UNKNOWN)
def test_what_is_not_followed_is_not_known(template: str) -> None:
    assert rendered(template, "u: ${x}\n" + VALUES) is None


def test_where_others_may_give_values_nothing_fails_and_both_ways_are_gone() -> None:
    assert rendered("{{ .Values.no.x }}{{ .Values.a.b.c }}", is_open=True) is None
    assert rendered("{{ .Values.no.x }}|{{ index .Values.no 1 }}", is_open=True) is None
    assert rendered("{{ .Values.no.x }}|{{ required `m` .Values.no }}", is_open=True) == "|"
    both = "{{ if .Values.a.t }}\na{{ else }}\nb{{ end }}"
    assert rendered(both, is_open=True) == "\na\nb"
    assert rendered("{{ if .Values.a.t }}\n{{ end }}x", is_open=True) == "\nx"
    assert rendered("{{ range .Values.no }}\n{{ .x }}{{ end }}", is_open=True) is None
    assert chart_of("{{ .Values.a.b.c }}{{ fail `x` }}", is_open=True).failing is None
