"""How a deploy goes: read the tip, decide, record, commit; again where the branch moved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gitops_rollback.commands.committing import committer_of
from gitops_rollback.commands.given import read_records, record_of
from gitops_rollback.commands.many import Blocked, refuse_partly
from gitops_rollback.commands.meant import assign_images, expected_images
from gitops_rollback.commands.shared_options import accepted
from gitops_rollback.decide import guard, recorded, transitions
from gitops_rollback.decide.recording import make_record
from gitops_rollback.decide.targets import deploy_edits
from gitops_rollback.errors import RefusedError, RegistryError
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.options import images_by_service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops_rollback.commands.session import Session
    from gitops_rollback.decide.service import ServiceChange
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config
    from gitops_rollback.write.commit import Outcome


def deploy(
    session: Session, repository: Repository, wanted: Mapping[str, ImageReference]
) -> tuple[Outcome, tuple[Blocked, ...]]:
    """Deploy images, by service; return what became of it and what was left; raise what refuses it.

    One image without a service's name is that of the only service.
    """
    options = session.options
    records = read_records(options.record)
    job = _Deploy(session, repository, wanted, records)
    tip = session.open_tip(repository)
    committer = committer_of(session, repository)
    return committer.commit(tip, job.prepare), job.blocked


class _Deploy:
    """A deploy of one or more services, which is prepared anew on every tip it meets."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        wanted: Mapping[str, ImageReference],
        records: tuple[StoredRecord, ...],
    ) -> None:
        self._session = session
        self._repository = repository
        self._wanted = wanted
        self._records = records
        self._expected = images_by_service(session.options, "from")
        self._services: dict[str, _ServiceDeploy] = {}
        self._registry: RegistryFacts | None = None
        self.blocked: tuple[Blocked, ...] = ()

    def prepare(self, tip: Tip) -> tuple[ServiceChange, ...]:
        """Read the tip and decide; raise what refuses the deploy.

        All services are judged before the first record is filed.
        """
        snapshot = self._session.read(self._repository, tip)
        with self._session.watch.phase("decide"):
            images = assign_images(self._wanted, snapshot.services)
            expected = expected_images(self._expected, snapshot.services)
            pending: list[Callable[[], ServiceChange]] = []
            blocked = []
            for at in snapshot.services:
                try:
                    pending.append(self._of(at, images, snapshot).judge(at, snapshot, expected))
                except RefusedError as error:
                    blocked.append(Blocked(at, error))
            skip = self._session.options.skip_blocked
            refuse_partly(blocked, len(snapshot.services), skip=skip)
            self.blocked = tuple(blocked)
            return tuple(change() for change in pending)

    def _of(
        self, at: ServiceAtTip, images: Mapping[str, ImageReference], snapshot: Snapshot
    ) -> _ServiceDeploy:
        if at.service not in self._services:
            self._services[at.service] = _ServiceDeploy(
                self._session,
                self._repository,
                partial(self._facts, snapshot.config),
                images[at.service],
                record_of(at, self._records),
            )
        return self._services[at.service]

    def _facts(self, config: Config) -> RegistryFacts:
        """Return the facts of registries: what few deploys ask for, and is slow to import."""
        if self._registry is None:
            self._registry = self._session.registry(config)
        return self._registry


class _ServiceDeploy:
    """The deploy of one service, with what it knows from the tips it met before."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        registry: Callable[[], RegistryFacts],
        image: ImageReference,
        record: StoredRecord | None,
    ) -> None:
        self._session = session
        self._repository = repository
        self._registry = registry
        self._image = image
        self._given = record
        self._made: StoredRecord | None = None
        self._running: ImageReference | None = None

    def judge(
        self, at: ServiceAtTip, snapshot: Snapshot, expected: Mapping[str, ImageReference]
    ) -> Callable[[], ServiceChange]:
        """Return what makes the change once all is judged; raise what refuses the deploy."""
        session = self._session
        guard.refuse_other_repository(at.title, at.found.image, self._image)
        running, _source = running_image(at.found.image, at.state)
        guard.refuse_moved(at.title, expected.get(at.service), running, "as --from says")
        self._refuse_moved_since_first_tip(at, running)
        image = self._resolve(at)
        self._image = image
        act = session.act(at)
        if self._given and recorded.is_committed(at.state, self._given.sha256):
            return partial(transitions.unchanged, at, image, act)
        if running.is_same_image(image):
            if act.releases:
                policies = session.policies(self._repository, snapshot, at)
                guard.refuse(guard.release_blocks(at, running, policies), act.accept)
            return partial(transitions.redeployed, at, running, act)
        if self._given:
            recorded.check_record(at, self._given, image, session.url, act)
        guard.refuse_deploy(at.state, image, act)
        if act.ends_hold and at.state is not None and at.state.hold is not None:
            policies = session.policies(self._repository, snapshot, at)
            guard.refuse(guard.release_blocks(at, image, policies), act.accept)
        deploy_edits(at.found.fields, image, act)  # what cannot be written, before it is recorded
        return partial(self._change, at, running)

    def _change(self, at: ServiceAtTip, running: ImageReference) -> ServiceChange:
        record = self._given or self._file_record(at)
        # The record may know a digest that the field does not: resolved before it was replaced.
        replaced = record.record.image if running.digest is None else running
        act = self._session.act(at)
        return transitions.deployed(at, replaced, self._image, act, record.sha256)

    def _refuse_moved_since_first_tip(self, at: ServiceAtTip, running: ImageReference) -> None:
        if self._given is None and self._running is not None:
            who = self._repository.author(at.tip.commit)
            guard.refuse_moved(
                at.title, self._running, running, f"as when this began (newest commit by {who})"
            )
        self._running = running

    def _resolve(self, at: ServiceAtTip) -> ImageReference:
        """Return the image with its digest; without one only where that was accepted."""
        image = self._image
        if image.digest is not None:
            return image
        try:
            digest = self._registry().digest(image)
        except RegistryError as error:
            if at.found.settings.pin == "tag" or "tag" in accepted(self._session.options):
                return image
            raise RegistryError(
                f"{image.canonical} names no digest, and it cannot be found out: {error.message}",
                "give NAME:TAG@sha256:…, or --accept tag to deploy what the tag means",
            ) from error
        return image.with_version(image.tag or "latest", digest)

    def _file_record(self, at: ServiceAtTip) -> StoredRecord:
        """Make the record of what is replaced, and file it: once, and not in a dry run."""
        if self._made is not None:
            return self._made
        occasion = self._session.occasion("deploy", self._image)
        made = make_record(at, occasion, lambda image: self._registry().digest_or_none(image))
        self._session.file_record(made)
        self._made = made.stored
        return made.stored
