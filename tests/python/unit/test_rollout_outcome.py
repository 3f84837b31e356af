"""How a wait ends: its error (design 5) and the state of the whole, by what was seen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.errors import ClusterError, Exit, MovedError, WaitingError
from gitops_rollback.image import parse_image
from gitops_rollback.rollout import (
    Failure,
    Lost,
    Seen,
    State,
    Target,
    Track,
    error_of,
    failures_of,
    overall,
    refuse_others,
)
from gitops_rollback.rollout.standing import Standing, Whose

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = Target("cart", "production", parse_image("acme/cart:1.5.0"), "c" * 40, "main", ())
BY_IMAGE = Failure("pull", "cannot be pulled", "look at it", Whose.OURS, by_image=True)
BY_QUOTA = Failure("quota", "no room", "ask for more", Whose.CLUSTER)
LOST = Lost("west", ClusterError("west does not answer", "see whether it is reachable"))


def tracks(*states: State, failure: Failure | None = None) -> tuple[Track, ...]:
    found = tuple(Track(TARGET, f"cluster-{number}") for number in range(len(states)))
    for track, state in zip(found, states, strict=True):
        track.take(Standing(state, "so", failure=failure if state is State.FAILED else None), 1.0)
    return found


def code(seen: Seen, failures: Sequence[Failure] = ()) -> Exit:
    error = error_of(seen, failures)
    return error.exit_code if error else Exit.DONE


def test_the_whole_is_as_far_as_what_is_least_far() -> None:
    far = [State.READY, State.APPLIED, State.ROLLING, State.APPLYING, State.FETCHING]
    for better, worse in itertools.combinations(far, 2):
        assert overall(Seen(tracks(better, worse))) == worse.value
        assert overall(Seen(tracks(worse, better))) == worse.value


@pytest.mark.parametrize("state", [one for one in State if one is not State.FAILED])
def test_a_failure_is_the_state_of_the_whole(state: State) -> None:
    assert overall(Seen(tracks(state, State.FAILED, failure=BY_QUOTA))) == "failed"
    assert overall(Seen(tracks(State.FAILED, state, failure=BY_QUOTA))) == "failed"


@pytest.mark.parametrize(
    ("seen", "state", "exit_code"),
    [
        (Seen(tracks(State.READY)), "ready", Exit.DONE),
        (Seen(tracks(State.APPLIED)), "applied", Exit.DONE),
        (Seen(tracks(State.REPLACED)), "replaced", Exit.MOVED),
        (Seen(tracks(State.READY, State.REPLACED)), "replaced", Exit.MOVED),
        (Seen(tracks(State.READY), (LOST,)), "unverified", Exit.FAILED),
        (Seen(tracks(State.ROLLING), (LOST,)), "rolling-out", Exit.FAILED),
        (Seen(lost=(LOST,), may_be_unseen=False), "unverified", Exit.FAILED),
        (Seen(why_not=("no kubeconfig",)), "unverified", Exit.DONE),
        (Seen(why_not=("refused",), may_be_unseen=False), "unverified", Exit.FAILED),
    ],
)
def test_what_was_asked_for_and_not_seen_is_no_success(
    seen: Seen, state: str, exit_code: Exit
) -> None:
    assert (overall(seen), code(seen)) == (state, exit_code)


def test_one_cluster_of_two_that_was_not_seen_is_named_with_what_the_other_says() -> None:
    error = error_of(Seen(tracks(State.READY), (LOST,)), [])
    assert error is not None
    assert error.message == "not verified: west does not answer (seen elsewhere: cluster-0: ready)"
    assert error.hint == "see whether it is reachable"


def test_what_another_image_mends_is_told_before_what_it_does_not() -> None:
    error = error_of(Seen(tracks(State.FAILED, failure=BY_QUOTA), (LOST,)), [BY_QUOTA, BY_IMAGE])
    assert isinstance(error, ClusterError)
    assert error.message == "cart production: cannot be pulled; and west does not answer"
    assert error.hint == "look at it"


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("kubectl -n shop describe pod a; to go back: gitops-rollback rollback",
         "kubectl --context 'a b' -n shop describe pod a; to go back: gitops-rollback rollback"),
        ("kubectl --namespace flux-system get pods",
         "kubectl --context 'a b' --namespace flux-system get pods"),
        ("flux resume kustomization apps", "flux --context 'a b' resume kustomization apps"),
        ("kubectl --context east get pods", "kubectl --context east get pods"),
        ("Flux does, or kubectl-edit", "Flux does, or kubectl-edit"),
    ],
)  # fmt: skip
def test_a_command_that_is_printed_asks_the_cluster_that_was_named(hint: str, told: str) -> None:
    """By the context at hand it would delete, or resume, in another one."""
    certain, possible = Failure("node", "so", hint, Whose.CLUSTER, patience=9.0), State.ROLLING
    for context, expected in (("a b", told), ("", hint)):
        track = Track(TARGET, context)
        track.take(Standing(possible, "so", suspicion=certain), 1.0)
        assert track.time_is_up(30).hint == expected
        track.take(Standing(State.FAILED, "so", failure=certain), 2.0)
        [failure] = failures_of(Seen((track,)), 30).values()
        assert failure.hint == expected


def test_time_that_is_up_fails_what_is_not_over_and_nothing_else() -> None:
    seen = Seen(tracks(State.READY, State.ROLLING))
    [(track, failure)] = failures_of(seen, 30).items()
    assert track is seen.tracks[1]
    assert (failure.code, "not done after 30 s" in failure.message) == ("timeout", True)


def test_beside_a_failure_nobody_is_blamed_for_the_time_that_it_ended() -> None:
    seen = Seen(tracks(State.FAILED, State.ROLLING, failure=BY_IMAGE))
    assert [*failures_of(seen, 30).values()] == [BY_IMAGE]


def change(image: str, **more: object) -> dict[str, object]:
    return {"services": [{"service": "cart", "to": image}], **more}


def test_a_change_that_found_its_image_is_waited_for() -> None:
    refuse_others(change("docker.io/acme/cart:1.5.0"), [TARGET])


def test_a_proposal_that_is_not_merged_is_not_waited_for() -> None:
    proposed = {"number": 12, "url": "https://github.com/acme/manifests/pull/12"}
    with pytest.raises(WaitingError, match=r"main@cccccccccccc has 1\.5\.0: pull request #12"):
        refuse_others(change("docker.io/acme/cart:1.6.0", pullRequest=proposed), [TARGET])


def test_another_image_at_the_tip_is_another_change() -> None:
    with pytest.raises(MovedError, match=r"has 1\.5\.0, and no longer 1\.6\.0"):
        refuse_others(change("docker.io/acme/cart:1.6.0"), [TARGET])
