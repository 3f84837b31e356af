"""Making records: which digest is proven, what is copied, what is written where (design 6)."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from gitops_rollback import schema, scratch
from gitops_rollback.decide.facts import Digest, Facts, Need, NeedDigest
from gitops_rollback.decide.recording import make_record
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import ConfigError
from gitops_rollback.ledger.fields import Likeness
from gitops_rollback.ledger.records import digest_of_bytes, parse_record
from gitops_rollback.model import Build
from gitops_rollback.stores.directory import DirectoryStore, write_record
from unit.builders import (
    DEPLOYMENT,
    PATH,
    PRESENT,
    URL,
    digest,
    image,
    manifest,
    service_at_tip,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.ledger.state import State

WISH = Wish("deploy", PRESENT, by="jane", build=Build("shop/cart", 41))
NEVER = "the registry must not be asked"


@pytest.mark.parametrize(
    ("present", "found", "new", "resolved", "expected", "source"),
    [
        pytest.param(f"acme/cart:1@{digest('1')}", None, "2", NEVER, "1", "manifest", id="field"),
        pytest.param("acme/cart:1", state("0>1"), "2", NEVER, "1", "state", id="last deploy"),
        pytest.param("acme/cart:1", None, "2", digest("1"), "1", "registry", id="registry"),
        pytest.param("acme/cart:1", None, "2", None, "~1", None, id="registry does not tell"),
        pytest.param("acme/cart:1", None, None, NEVER, "~1", None, id="no --image, no question"),
        pytest.param("acme/cart:dev", None, "dev@B", NEVER, "~dev", "moved", id="the same tag"),
        pytest.param("acme/cart:dev", None, "~dev", NEVER, "~dev", "moved", id="the same text"),
        pytest.param("acme/cart:1", None, "2", digest("2"), "~1", "moved", id="the same digest"),
        pytest.param(
            "acme/cart:latest", None, "", NEVER, "~latest", "moved", id="no tag is latest"
        ),
    ],
)
def test_which_digest_a_record_has_and_what_proves_it(
    present: str,
    found: State | None,
    new: str | None,
    resolved: str | None,
    expected: str,
    source: str | None,
) -> None:
    replaced_by = image(new) if new else image("1").with_version(None, None)
    there = service_at_tip(present, found)
    asked = NeedDigest(there.found.image, patient=False)
    known: dict[Need[Any], Any] = {} if resolved == NEVER else {asked: Digest(resolved)}
    facts = Facts(there, URL, known)
    made = make_record(WISH, facts, "deploy", replaced_by if new is not None else None)
    record = made.stored.record
    assert (record.image.canonical, record.digest_from) == (image(expected).canonical, source)


def made_for(
    text: str, replaced_by: ImageReference | None = None, template: str = DEPLOYMENT
) -> MadeRecord:
    """The record of a field's text, where nobody tells what its tag means."""
    there = service_at_tip(text, template=template)
    known: dict[Need[Any], Any] = {NeedDigest(there.found.image, patient=False): Digest(None)}
    return make_record(WISH, Facts(there, URL, known), "deploy", replaced_by)


def test_a_record_says_where_it_was_what_and_what_replaces_it() -> None:
    made = made_for("acme/cart:1", image("2"))
    schema.check(json.loads(made.data), "record")
    record = parse_record(made.data, "record.json").record
    assert record.to_json() == made.stored.record.to_json()
    assert made.stored.sha256 == digest_of_bytes(made.data)
    [field] = record.fields
    assert field.likeness == Likeness("Deployment", "", "cart", "server")
    assert (field.value, field.image) == ("acme/cart:1", "docker.io/acme/cart:1")
    assert field.key == (PATH, 0, "/spec/template/spec/containers/0/image")
    assert (record.commit, record.branch) == ("1" * 40, "main")
    assert record.replaced_by == image("2")
    assert not record.unchanged


def test_a_redeploy_is_recorded_as_unchanged() -> None:
    text = f"acme/cart:1@{digest('1')}"
    assert made_for(text, image("1")).stored.record.unchanged


def test_manifests_are_copied_byte_for_byte(tmp_path: Path) -> None:
    template = "\ufeff" + DEPLOYMENT.replace("\n", "\r\n") + "# 😀"
    made = made_for("acme/cart:1", template=template)
    file = write_record(made, tmp_path)
    assert file == tmp_path / "gitops-rollback/production/cart/record.json"
    assert file.read_bytes() == made.data
    data = manifest("acme/cart:1", template)
    assert (file.parent / "manifests" / PATH).read_bytes() == data
    [copy] = made.stored.record.manifests
    assert (copy.path, copy.sha256, copy.copied) == (PATH, digest_of_bytes(data), True)


def test_no_copy_is_kept_of_a_file_with_a_secret_in_clear(tmp_path: Path) -> None:
    template = DEPLOYMENT + "---\nkind: Secret\nstringData: {password: hunter2}\n"
    made = made_for("acme/cart:1", template=template)
    write_record(made, tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["record.json"]
    assert b"hunter2" not in made.data
    [copy] = made.stored.record.manifests
    assert (copy.copied, copy.sha256) == (
        False,
        digest_of_bytes(manifest("acme/cart:1", template)),
    )


def test_a_record_is_written_to_a_fresh_folder(tmp_path: Path) -> None:
    made = made_for("acme/cart:1")
    other = tmp_path / "gitops-rollback/production/shop/record.json"
    stale = tmp_path / "gitops-rollback/production/cart/manifests/old.yaml"
    for path in (other, stale):
        path.parent.mkdir(parents=True)
        path.touch()
    write_record(made, tmp_path)
    assert other.exists()
    assert not stale.exists()


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gitops-rollback").touch()
    made = made_for("acme/cart:1")
    with pytest.raises(ConfigError, match="the record cannot be written to") as caught:
        write_record(made, tmp_path)
    assert "--record-dir" in caught.value.hint


class Swapping:
    """Stands before what opens files and makes folders, and acts before the n-th of them."""

    def __init__(self, moment: int, act: Callable[[], None]) -> None:
        self.left = moment
        self._act = act

    def before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def swapping(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - of any of them
            self.left -= 1
            if self.left == 0:
                self._act()
            return real(*given, **named)

        return swapping


@pytest.mark.parametrize("swapped", ["gitops-rollback", "gitops-rollback/production"])
def test_who_swaps_a_folder_for_a_link_meanwhile_leads_nowhere(
    tmp_path: Path, swapped: str
) -> None:
    """Before each file that is opened and each folder that is made, until all had their turn."""
    made = made_for("acme/cart:1")
    victim = tmp_path / "victim"
    for inside in ("production/cart/kept", "cart/kept"):
        (victim / inside).parent.mkdir(parents=True)
        (victim / inside).touch()
    before = sorted(victim.rglob("*"))
    for moment in count(1):
        place = tmp_path / f"top{moment}" / swapped

        def swap(place: Path = place) -> None:
            if place.is_dir():
                place.rename(place.with_name("aside"))
                place.symlink_to(victim)

        swapping = Swapping(moment, swap)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "mkdir"):
                patch.setattr(os, name, swapping.before(getattr(os, name)))
            with suppress(ConfigError):
                write_record(made, tmp_path / f"top{moment}")
        assert sorted(victim.rglob("*")) == before
        if swapping.left > 0:
            break
    assert moment > 10


def test_a_store_is_read_through_once_in_a_run_however_many_records_are_filed(
    tmp_path: Path,
) -> None:
    store = DirectoryStore(tmp_path)
    made = [made_for(f"acme/cart:{number}", image("9")) for number in range(3)]
    with patch.object(scratch, "sweep", wraps=scratch.sweep) as swept:
        filed = [store.file(one) for one in made]
    assert [call.args[0] for call in swept.mock_calls] == [tmp_path, tmp_path / ".records"]
    for one, path in zip(made, filed, strict=True):
        found = store.find("production", "cart", None, one.stored.sha256)
        assert isinstance(found, type(one.stored))
        assert found.location == str(path)
