"""How a deploy goes: read the tip, decide, record, commit; again where the branch moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback import transitions
from gitops_rollback.change import Committer, Outcome
from gitops_rollback.commands.given import read_record
from gitops_rollback.commands.shared_options import accepted
from gitops_rollback.errors import RegistryError, UsageError
from gitops_rollback.options import image_option
from gitops_rollback.plan import guard
from gitops_rollback.recording import make_record
from gitops_rollback.timeline import running_image

if TYPE_CHECKING:
    from gitops_rollback.commands.session import Session
    from gitops_rollback.image import ImageReference
    from gitops_rollback.records import StoredRecord
    from gitops_rollback.registry_facts import RegistryFacts
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.service_change import ServiceChange
    from gitops_rollback.snapshot import ServiceAtTip, Snapshot


def deploy(session: Session, repository: Repository, image: ImageReference) -> Outcome:
    """Deploy an image; raise what refuses it."""
    options = session.options
    record = read_record(options.record) if options.record else None
    tip = session.open_tip(repository)
    job = _Deploy(session, repository, image, record)
    committer = Committer(repository, session.deadline, session.watch, dry_run=options.dry_run)
    return committer.commit(tip, job.prepare)


class _Deploy:
    """One deploy, which is prepared anew on every tip it meets."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        image: ImageReference,
        record: StoredRecord | None,
    ) -> None:
        self._session = session
        self._repository = repository
        self._image = image
        self._given = record
        self._made: StoredRecord | None = None
        self._running: ImageReference | None = None
        self._registry: RegistryFacts | None = None

    def prepare(self, tip: Tip) -> tuple[ServiceChange, ...]:
        """Read the tip and decide; raise what refuses the deploy."""
        snapshot = self._session.read(self._repository, tip)
        if len(snapshot.services) > 1:
            raise UsageError("deploy takes one service", "give one --service with --image")
        with self._session.watch.phase("decide"):
            return (self._change(snapshot.services[0], snapshot),)

    def _change(self, at: ServiceAtTip, snapshot: Snapshot) -> ServiceChange:
        session = self._session
        guard.refuse_other_repository(at.title, at.found.image, self._image)
        running, _source = running_image(at.found.image, at.state)
        guard.refuse_moved(
            at.title, image_option(session.options, "from"), running, "as --from says"
        )
        self._refuse_moved_since_first_tip(at, running)
        image = self._resolve(at, snapshot)
        self._image = image
        act = session.act(at)
        if self._given and guard.is_committed(at.state, self._given.sha256):
            return transitions.unchanged(at, image, act)
        if running.is_same_image(image):
            if act.releases:
                policies = session.policies(self._repository, snapshot, at)
                guard.refuse(guard.release_blocks(at, running, policies), act.accept)
            return transitions.redeployed(at, running, act)
        if self._given:
            guard.check_record(at, self._given, image, session.url, act)
        guard.refuse_deploy(at.state, image, act)
        if act.ends_hold:
            policies = session.policies(self._repository, snapshot, at)
            guard.refuse(guard.release_blocks(at, image, policies), act.accept)
        record = self._given or self._file_record(at, snapshot)
        # The record may know a digest that the field does not: resolved before it was replaced.
        replaced = record.record.image if running.digest is None else running
        return transitions.deployed(at, replaced, image, act, record.sha256)

    def _registry_of(self, snapshot: Snapshot) -> RegistryFacts:
        if self._registry is None:
            self._registry = self._session.registry(snapshot.config)
        return self._registry

    def _refuse_moved_since_first_tip(self, at: ServiceAtTip, running: ImageReference) -> None:
        if self._given is None and self._running is not None:
            who = self._repository.author(at.tip.commit)
            guard.refuse_moved(
                at.title, self._running, running, f"as when this began (newest commit by {who})"
            )
        self._running = running

    def _resolve(self, at: ServiceAtTip, snapshot: Snapshot) -> ImageReference:
        """Return the image with its digest; without one only where that was accepted."""
        image = self._image
        if image.digest is not None:
            return image
        try:
            digest = self._registry_of(snapshot).digest(image)
        except RegistryError as error:
            if at.found.settings.pin == "tag" or "tag" in accepted(self._session.options):
                return image
            raise RegistryError(
                f"{image.canonical} names no digest, and it cannot be found out: {error.message}",
                "give NAME:TAG@sha256:…, or --accept tag to deploy what the tag means",
            ) from error
        return image.with_version(image.tag or "latest", digest)

    def _file_record(self, at: ServiceAtTip, snapshot: Snapshot) -> StoredRecord:
        """Make the record of what is replaced, and file it: once, and not in a dry run."""
        if self._made is not None:
            return self._made
        made = make_record(
            at,
            self._session.occasion("deploy", self._image),
            lambda image: self._registry_of(snapshot).digest_or_none(image),
        )
        self._session.file_record(made)
        self._made = made.stored
        return made.stored
