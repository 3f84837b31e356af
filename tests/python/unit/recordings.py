"""Replay what a real cluster said, step by step, as a wait would have judged it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_rollback.image import parse_image
from gitops_rollback.rollout.appliers import REQUESTED
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.standing import FOREVER
from gitops_rollback.rollout.target import KINDS, Place, Stand, Target, relation
from gitops_rollback.rollout.track import Track

FOLDER = Path(__file__).parents[1] / "data" / "rollouts"


@dataclass
class Replay:
    """How a recording went: its lines with the seconds they came at, and the track at the end."""

    track: Track
    lines: list[tuple[float, str]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(line for _at, line in self.lines)


def load(name: str) -> dict[str, Any]:
    """Return a recording."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def target_of(recording: dict[str, Any], newest: int = -1) -> Target:
    """Return what is waited for: the newest deploy of a recording, or another."""
    deploys = [one for one in recording["commits"] if one["entries"]] or recording["commits"]
    chosen = deploys[newest]
    place = Place(*recording.get("place", ("apps/cart.yaml", "Deployment", "cart")))
    return Target(
        "cart", "default", parse_image(chosen["image"]), chosen["commit"], "main", (place,),
        next(iter(chosen["entries"]), ""),
    )  # fmt: skip


def replay(
    recording: dict[str, Any],
    target: Target,
    *,
    denied: tuple[str, ...] = (),
    nudged: bool = True,
    since: str = "",
) -> Replay:
    """Judge after every step until it is over; kinds that are denied bring nothing.

    It begins with the first step in which the text `since` is found.
    """
    objects = Objects(recording["url"])
    for kind in denied:
        objects.take(Change(Query(kind), denied=True))
    done = Replay(Track(target, ""))
    commits = {one["commit"]: one for one in recording["commits"]}
    relations: dict[str, Any] = {}
    token = _token(recording) if nudged else ""
    begun = False
    for step in recording["steps"]:
        query = Query(step["kind"], "shop")
        found = tuple(step["objects"]) if step["kind"] not in denied else ()
        objects.take(Change(query, found, step.get("whole", False), step.get("deleted", False)))
        begun = begun or since in json.dumps(step)
        view = objects.view(target, relations, token)
        if view is None or not begun:
            continue
        view = type(view)(**{**vars(view), "listed": _listed(recording, step, denied)})
        standing = judge(target, view)
        for commit in standing.asks:
            there = commits[commit]
            stand = Stand(parse_image(there["image"]), tuple(there["entries"]))
            relations[commit] = relation(target, stand)
            done.looked_up.append(commit)
        if standing.asks:
            standing = judge(target, view)
        line = done.track.take(standing, step["at"])
        if line:
            done.lines.append((step["at"], line))
        if done.track.is_over:
            return done
    _time_passes(done, recording["steps"][-1]["at"])
    return done


def _time_passes(done: Replay, now: float) -> None:
    """Look once more when the patience with what is suspected is over."""
    look, standing = done.track.next_look(now), done.track.standing
    if standing is not None and look < FOREVER:
        done.lines.append((now + look, done.track.take(standing, now + look)))


def _listed(recording: dict[str, Any], now: dict[str, Any], denied: tuple[str, ...]) -> bool:
    steps = recording["steps"][: recording["steps"].index(now) + 1]
    seen = {step["kind"] for step in steps if step.get("whole")}
    return seen >= {"Pod", *KINDS} - set(denied)


def _token(recording: dict[str, Any]) -> str:
    """Return what the last nudge has set."""
    token = ""
    for step in recording["steps"]:
        for one in step["objects"] if step["kind"] == "GitRepository" else ():
            token = one["metadata"].get("annotations", {}).get(REQUESTED, token)
    return token
