"""Every rule, in one pure function: what a wish does to a service, or what stands in its way.

Theory of operation
===================

`decide(wish, facts)` is called with what a person asks for (`wish.Wish`) and what is known so far
(`facts.Facts`). It returns one of three things:

- a `Need`: the one fact that is missing. Whoever called looks it up (`look/`), adds it to the
  facts and calls again. Nothing is asked for that no rule wants.
- `Refused`: why not, as the error that a person reads; with the plan where it is a rollback.
- `Change`: all that will be written and said. `change.together` makes one commit of the changes of
  a run, all or nothing.

It talks to nobody and has no clock: the same wish and facts give the same answer. `deploy`,
`rollback`, `release` and `repair` write what it returns; `plan` and `check` (the drill) show it and
write nothing. Where the branch moved meanwhile, it is called again with the facts of the new tip,
and with what this run saw first (`Facts.first`): so a retry cannot decide by other rules, and
never goes on where the service itself changed.

What happens, in the order in which it is judged; the first that applies decides.

A deploy (`deploy.py`) of an image:
  1. of another repository than the service's: refused. What runs is not what `--from`, or this
     run's first try, says: moved.
  2. that is still to be built (`--before-build`): as 7, and `retag` where its tag was deployed;
     nothing is written.
  3. its digest is not named and nobody tells it: an error, unless `tag` is accepted.
  4. a deploy with the same record is on the branch already: done, nothing to write.
  5. it runs already: nothing to write; with `--release` the hold ends (as 9).
  6. the record that was archived is not of what stands there: `held` or `outdated` where the deploy
     would undo what was done since, else moved, and recording again is right.
  7. `lost-hold`, `held`, `bad`, `outdated` (`holds.py`), unless accepted.
  8. the registry: `gone`, `not-an-image`, `platform` where one that runs now is lacking.
  9. if it ends a hold: `automation` where a policy would take a bad image again.
 10. `same-tag` where a field keeps its text, so that no pod would learn of the image.
 11. the effect (`effect.py`): an edit after which something else would take effect is an error;
     `effect` where that is proven neither by the model nor by a build of the machine's kustomize.
 12. else the edits, the record of what is replaced, the new state file.

A rollback (`rollback.py`):
  1. a plan that was made before must be for this place; what runs must be what it says.
  2. `choose.py`: the candidates come from the ledger (the stack of what ran here), from the
     registry by a query, or from a name or a time (`candidates.py`); each is judged in order
     (`judge.py`), and the first that nothing refuses is chosen. It is refused for what it is: it
     runs, `bad`, `gone`, `platform`, `not-an-image`, `mutable-tag`; for what is known of it:
     `never-deployed`, `never-ran`, `unproven`, `tampered`; and without a digest by `tag`.
  3. `already` where somebody went back before; the refusal of an image that was named;
     `passed-over` where nobody looks on and what ran just before is not the one; `same-tag`;
     `effect`, unless nothing but the edited values differs from when the image ran; `storage` and
     `schema` where data could be hurt.
  4. no image: not found. A refusal: refused. Both with the plan, which shows every candidate.
  5. else the edits (`edits.py`: the exact text of each field), the record, the image that ran on
     the bad list, the hold, every Flux marker out of action.

A release (`release.py`) ends the hold and puts the markers back, unless a policy would take an
image again that is on the bad list; another hold than the one that its person saw is moved. A
repair rebuilds the state file from its versions in Git, else from commits and records, or ties a
hold to a field again. A retirement removes what is left of a service without fields.

What counts is that of the fields, whatever service and environment are called (`standing.py`): one
state from the state files of all their names and the files of holds in force. A hold whose field is
found no more stops deploys that it may concern (`lost-hold`) until it is tied again or ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.deploy import deploy, refuse_other_repository
from gitops_rollback.decide.facts import MissingFactError
from gitops_rollback.decide.recording import make_record
from gitops_rollback.decide.release import release, repair, retire
from gitops_rollback.decide.rollback import rollback
from gitops_rollback.errors import GitopsRollbackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops_rollback.decide.facts import Facts, Need
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import MadeRecord

_RULES: Mapping[str, Callable[[Wish, Facts], Change | Refused]] = {
    "deploy": deploy,
    "rollback": rollback,
    "release": release,
    "repair": repair,
    "retire": retire,
}


def decide(wish: Wish, facts: Facts) -> Need[Any] | Refused | Change:
    """Return what a wish does to a service, why not, or the fact that is missing to tell."""
    try:
        return _RULES[wish.action](wish, facts)
    except MissingFactError as missing:
        return missing.need
    except GitopsRollbackError as error:
        return Refused(facts.at, error)


def record(
    wish: Wish, facts: Facts, action: str, replaced_by: ImageReference | None
) -> Need[Any] | MadeRecord:
    """Return the record of what `replaced_by` is about to replace, or the fact that is missing.

    Raises `ConfigError` if that is of another repository.
    """
    if replaced_by is not None:
        refuse_other_repository(facts, replaced_by)
    try:
        return make_record(wish, facts, action, replaced_by)
    except MissingFactError as missing:
        return missing.need
