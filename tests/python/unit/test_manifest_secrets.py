"""Which manifests hold a Secret in clear, of which no copy may be kept."""

from __future__ import annotations

import pytest

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.objects import holds_clear_secret


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        ("kind: Secret\ndata: {a: Yg==}\n", True),
        ("kind: Secret\nstringData:\n  a: b\n", True),
        ("kind: Pod\n---\nkind: Secret\ndata: {a: Yg==}\n", True),
        ("kind: List\nitems: [{kind: Pod}, {kind: Secret, data: {a: Yg==}}]\n", True),
        ("kind: SecretList\nitems: [{data: {a: Yg==}}]\n", True),
        ("kind: List\nitems: [{kind: List, items: [{kind: Secret, data: {a: b}}]}]\n", True),
        ("kind: Secret\ndata: {}\ndata: {a: Yg==}\n", True),
        ("metadata: &a {data: {b: Yg==}}\nkind: Secret\n<<: *a\n", True),
        ("kind: Secret\ndata: {a: Yg==}\nsops: {mac: x}\n", False),
        ("kind: Secret\ndata: {}\n", False),
        ("kind: Secret\n", False),
        ("kind: SealedSecret\nspec: {encryptedData: {a: b}}\n", False),
        ("kind: ConfigMap\ndata: {a: b}\n", False),
        ("kind: Pod\n", False),
        ("- a\n- b\n", False),
        ("", False),
    ],
)
def test_a_secret_in_clear_is_recognised(text: str, *, clear: bool) -> None:
    assert holds_clear_secret(parse("a.yaml", text.encode())) == clear


def test_a_list_that_contains_itself_does_not_hang() -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml contains itself"):
        holds_clear_secret(parse("a.yaml", b"kind: List\nitems: &a [{items: *a}]\n"))
