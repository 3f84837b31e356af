"""What a build of Jenkins shows of a result: its title, its links, its one line of error.

A step of the library runs a command with `GITOPS_TOLD` naming a file; when the command has ended,
`write_told` reads the result it left, and writes there what the build is to show. All of it is made
from the result alone, so that it is the same whatever the command was doing, and can be tried
without Jenkins. The words are plain text: Jenkins shows titles and descriptions escaped.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.errors import Exit
from gitops_rollback.forges.address import page_of_commit
from gitops_rollback.image import label_of, step_of
from gitops_rollback.jobs import names_of_forms
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.model import RECORDED, one_line, some, title
from gitops_rollback.options import NO_HOLD, TABLE, Kind, variable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TOLD_VARIABLE = "GITOPS_TOLD"
_MOST_NAMED = 5  # services
_LONGEST_TITLE = 160  # characters: Jenkins shows some 100 beside a build's number
_LONGEST_ERROR = 4000
_LONGEST_REASON = 200
_OWN = regex(r"gitops-rollback ([a-z]+)\b")
_OPTION = regex(r"(?<![\w-])--([a-z][a-z-]*[a-z])(?![\w-])")
_VALUE = regex(r" (\"[^\"]*\"|'[^']*'|(?!--)[^\s;,()]*[^\s;,().])")
_PLACEHOLDER = regex(r" (SERVICE|NAME|FOLDER)(?![\w-])")
# Commands of other programs are typed as they are, by whoever has a shell.
_FOREIGN = regex(
    r"`[^`]*`|\b(?:kubectl|flux|helm|sops) [^;,()`]*"
    r"|\bgit (?:config|log|branch|fetch|push|clone|--version)\b[^;,()`]*"
)
_SAID = frozenset(("hint", "message", "warnings", "findings"))  # keys of texts for people
_ROLLBACK, _DEPLOY = "the rollback job", "the deploy job"
_JOBS = {
    "rollback": _ROLLBACK,
    "plan": f"ACTION plan of {_ROLLBACK}",
    "history": f"ACTION history of {_ROLLBACK}",
    "release": f"ACTION release of {_ROLLBACK}",
    "deploy": _DEPLOY,
}
_STATES = {
    "ready": "running",
    "applied": "applied",
    "replaced": "overtaken",
    "unverified": "not verified",
}


@dataclass(frozen=True)
class Told:
    """What a build shows.

    `title` is one line, empty where there is nothing to say; `about` the services it speaks of, as
    the title names them; `links` what the description links, by what it is; `error` the one line of
    a failure, with what to do in brackets; `refused` the code of a refusal, else empty; `to` what
    services were brought to; `question` what a person is asked to approve, in sentences, and
    `change` the same as a title has it; `is_nothing` whether nothing would change by it; `hold`
    which holds are meant by whoever approves it, as `--hold` takes them: empty where no release
    was asked for.
    """

    title: str
    about: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    refused: str = ""
    to: str = ""
    question: str = ""
    change: str = ""
    is_nothing: bool = False
    hold: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the step reads it; every key is there."""
        return {name.removeprefix("is_"): value for name, value in vars(self).items()}


def write_told(command: str, code: int, environment: Mapping[str, str]) -> None:
    """Write what the build shows, if a step asked for it; raise `OSError` if it cannot.

    A command that was killed, or whose disk is full, leaves no result: then nothing is written, and
    the step says so itself.
    """
    target = environment.get(TOLD_VARIABLE)
    output = environment.get("GITOPS_OUTPUT")
    if not target or not output or not Path(output).is_file():
        return
    result = json.loads(Path(output).read_text(encoding="utf-8"))
    found = told(command, code, result, environment, clock.now())
    fresh = Path(f"{target}.new")
    fresh.write_text(json.dumps(found.to_json(), ensure_ascii=False), encoding="utf-8")
    fresh.replace(target)  # whole, or not there: the step reads it


def told(
    command: str,
    code: int,
    result: Mapping[str, Any],
    environment: Mapping[str, str],
    now: str,
) -> Told:
    """Return what a build shows of a command's result, given its exit code. Pure.

    `environment` tells the address of the repository, for the link to a commit; `now` how long ago
    what is gone back to was deployed.
    """
    services = result.get("services") or []
    error = result.get("error") or {}
    about = tuple(_name(one) for one in services)
    links = _links(result, environment)
    if error and code != Exit.WAITING and command != "wait":
        refused = error.get("code", "") if code == Exit.REFUSED else ""
        failed = _check(result) if "summary" in result else _failure(code, error)
        return Told(_short(failed), about, links, _line(code, error), refused)
    title = _TITLES[command](result) if command in _TITLES else ""
    question = _questions(command, result, now)
    line = _line(code, error) if error else ""
    return Told(
        _short(title),
        about,
        links,
        line,
        to=_to(services),
        question=question,
        change=_short(title.removeprefix("plan: ").removeprefix("dry run: ")),
        is_nothing=command == "release" and _releases_nothing(result),
        hold=_hold(services),
    )


def in_words_of_jenkins(text: str) -> str:
    """Return a text as one reads it in Jenkins, where nobody can type an option.

    `--to TAG` is the field TO of the job's form, and an option without a field is the variable that
    sets it for job or folder. A command is what one of the jobs does, with the fields to fill in;
    what no job does is for whoever has a shell. Commands of other programs stay as they are.
    """
    done: list[str] = []
    place = 0
    for foreign in _FOREIGN.finditer(text):
        done += [_own_words(text[place : foreign.start()]), foreign[0]]
        place = foreign.end()
    return "".join([*done, _own_words(text[place:])])


def _own_words(text: str) -> str:
    done: list[str] = []
    place = 0
    while (command := _OWN.search(text, place)) is not None:
        options, end = _options_behind(text, command.end())
        done += [_with_fields(text[place : command.start()]), _as_job(command[1], options)]
        place = end
    return "".join([*done, _with_fields(text[place:])])


def _with_fields(text: str) -> str:
    return _OPTION.sub(lambda match: _field(match[1], match[0]), text)


def _options_behind(text: str, place: int) -> tuple[list[tuple[str, str]], int]:
    """Read the options that stand behind a command, and where the prose goes on."""
    found: list[tuple[str, str]] = []
    while True:
        option = _OPTION.match(text, place + 1) if text[place : place + 1] == " " else None
        named = _PLACEHOLDER.match(text, place)
        if option is None and named is None:
            return found, place
        if option is None:
            assert named is not None  # noqa: S101 - one of both is there
            place = named.end()
            continue
        value = _VALUE.match(text, option.end()) if _takes_value(option[1]) else None
        found.append((option[1], value[1] if value else ""))
        place = value.end() if value else option.end()


def _as_job(command: str, options: Sequence[tuple[str, str]]) -> str:
    """Say which job does it, `… the rollback job (SERVICE cart)`, or that one needs a shell."""
    forms = names_of_forms()
    job = _JOBS.get(command)
    if job is None or any(_form_name(name) not in forms for name, _value in options):
        said = ", ".join(f"{name.replace('-', ' ')} {value}".strip() for name, value in options)
        return f"gitops-rollback {command} in a shell{f' ({said})' if said else ''}"
    fields = ", ".join(f"{_form_name(name)} {value}".strip() for name, value in options)
    return f"{job} ({fields})" if fields else job


def _takes_value(option: str) -> bool:
    return all(row.kind is not Kind.FLAG for row in TABLE if row.name == option)


def _form_name(option: str) -> str:
    return option.upper().replace("-", "_")


def hinted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result whose messages, warnings and hints are in the words of Jenkins."""
    return {key: _reworded(value, is_said=key in _SAID) for key, value in document.items()}


def _reworded(value: Any, *, is_said: bool) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return hinted(value)
    if isinstance(value, list):
        return [_reworded(one, is_said=is_said) for one in value]
    return in_words_of_jenkins(value) if is_said and isinstance(value, str) else value


def _field(name: str, otherwise: str) -> str:
    if _form_name(name) in names_of_forms():
        return _form_name(name)
    return variable_name(name) if any(row.name == name for row in TABLE) else otherwise


def _failure(code: int, error: Mapping[str, Any]) -> str:
    """Say in a title that nothing was done, and why."""
    words = {
        Exit.REFUSED: "refused",
        Exit.NOT_FOUND: "no image to go back to",
        Exit.MOVED: "not done",
    }
    words[Exit.INTERRUPTED] = "interrupted"
    return f"{words.get(Exit(code), 'failed')}: {error['message']}"


def _line(code: int, error: Mapping[str, Any]) -> str:
    """Return the one line that ends the build: what is wrong, and what to do in brackets."""
    start = {Exit.INTERRUPTED: "interrupted: ", Exit.REFUSED: f"refused ({error.get('code')}): "}
    hint = f" ({error['hint']})" if error.get("hint") else ""
    return one_line(f"{start.get(Exit(code), '')}{error['message']}{hint}", _LONGEST_ERROR)


def _change(result: Mapping[str, Any], done: str) -> str:
    """`cart 1.5.0 → 1.4.2, held`, `dry run: …`, `cart 1.5.0: nothing to do`, `… waiting for …`."""
    versions = _list(_versions(one) for one in result["services"])
    if _is_waiting(result):
        return f"{versions}, waiting for pull request #{result['pullRequest']['number']}"
    if result.get("dryRun"):
        return f"dry run: {versions}"
    if not result.get("changed"):
        is_told = any(one.get("action") == RECORDED for one in result["services"])
        return f"{'written down only' if is_told else 'nothing to do'}: {versions}"
    left = _list(f"{_name(one)} left ({one['code']})" for one in result.get("blocked", []))
    return f"{versions}{done}; {left}" if left else f"{versions}{done}"


def _is_waiting(result: Mapping[str, Any]) -> bool:
    """Whether a pull request is open for it: then nothing is changed yet."""
    return bool((result.get("error") or {}).get("category") == "waiting")


def _release(result: Mapping[str, Any]) -> str:
    images = _list(
        f"{_name(one)} {label_of(one.get('from') or one.get('to'))}" for one in result["services"]
    )
    if _is_waiting(result):
        return f"release {images}, waiting for pull request #{result['pullRequest']['number']}"
    if _releases_nothing(result):
        return f"nothing to do: {_list(map(_name, result['services']))} not held"
    if result.get("dryRun"):
        return f"dry run: release {images}"
    return f"released {images}"


def _releases_nothing(result: Mapping[str, Any]) -> bool:
    return not result.get("changed") and not any(one.get("edits") for one in result["services"])


def _plan(result: Mapping[str, Any]) -> str:
    versions = _list(_versions(one) for one in result["services"])
    for one in result["services"]:
        for block in one.get("blockedBy", []):
            return f"plan: {versions} (refused: {block['message']})"
    return f"plan: {versions}"


def _check(result: Mapping[str, Any]) -> str:
    """`drill: 2 of 14 services could not go back`: the drill's own line, without its verb."""
    return f"drill: {result['summary'].partition(': ')[2]}"


def _wait(result: Mapping[str, Any]) -> str:
    """How far a change came: `running after 7.4 s (commit 0.6, applied 1.9)`, `not applied: …`."""
    word = _STATES.get(result.get("state", ""))
    if word is None or ("error" in result and result.get("state") != "replaced"):
        message = (result.get("error") or {}).get("message", "how it went is not known")
        return f"{'not verified' if word == _STATES['unverified'] else 'not applied'}: {message}"
    seconds = result.get("seconds") or {}
    if "ready" not in seconds:
        return word
    steps = ", ".join(
        f"{name} {seconds[name]:.1f}"
        for name in ("decide", "commit", "fetched", "applied")
        if name in seconds
    )
    after = f"{word} after {seconds['ready']:.1f} s"
    return f"{after} ({steps})" if steps else after


def _history(result: Mapping[str, Any]) -> str:
    return f"history: {_list(_name(one) for one in result['services'])}"


_TITLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "deploy": partial(_change, done=""),
    "rollback": partial(_change, done=", held"),
    "release": _release,
    "plan": _plan,
    "check": _check,
    "wait": _wait,
    "history": _history,
}


def _questions(command: str, result: Mapping[str, Any], now: str) -> str:
    """Return what is approved, in sentences: one for each service, then what to mind."""
    if command == "plan":
        return " ".join(_question(one, now) for one in result["services"] if one.get("to"))
    if command == "release":
        return " ".join(_release_question(one) for one in result["services"])
    return ""


def _hold(services: Sequence[Mapping[str, Any]]) -> str:
    """Return the holds that a release of these services ends, as `--hold` takes them."""
    told = [one["holds"] for one in services if "holds" in one]
    return (",".join(identity for ids in told for identity in ids) or NO_HOLD) if told else ""


def _question(one: Mapping[str, Any], now: str) -> str:
    target = one["to"]
    sure = "seen in the registry" if target.get("verified") else "not verified in the registry"
    chosen: Mapping[str, Any] = next(
        (c for c in one.get("candidates", []) if c["verdict"] == "chosen"), {}
    )
    since = chosen.get("deployedAt")
    age = f", deployed {clock.age(since, now)} ago ({since})" if since else ""
    text = f"Roll back {_versions(one)}? {label_of(target['image'])} is {sure}{age}."
    warnings = [one_line(str(found), _LONGEST_REASON) for found in one.get("findings", [])]
    return f"{text} Mind: {'; '.join(warnings)}." if warnings else text


def _release_question(one: Mapping[str, Any]) -> str:
    image = label_of(one.get("from") or one.get("to"))
    warnings = [one_line(str(found), _LONGEST_REASON) for found in one.get("warnings", [])]
    text = f"End the hold of {_name(one)}, which runs {image}? The next build is deployed again."
    return f"{text} Mind: {'; '.join(warnings)}." if warnings else text


def _links(result: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of the commit and the pull request, as far as they are known."""
    links = {}
    if result.get("commit") and "changed" in result:
        commit, remote = result["commit"], environment.get("GITOPS_REPOSITORY", "")
        links["commit"] = page_of_commit(remote, commit) or commit
    if result.get("pullRequest"):
        links["pull request"] = result["pullRequest"]["url"]
    return links


def _versions(one: Mapping[str, Any]) -> str:
    """`cart production 1.5.0 → 1.4.2`; an image that stays is named once."""
    before = one.get("from") or (one.get("current") or {}).get("image")
    target = one.get("to")
    after = target.get("image") if isinstance(target, dict) else target
    if before and after and before != after:
        return f"{_name(one)} {one_line(step_of(before, after), _LONGEST_TITLE)}"
    return f"{_name(one)} {label_of(before or after)}"


def _to(services: Sequence[Mapping[str, Any]]) -> str:
    """Return what services were brought to: `1.4.2`; of several `cart 1.4.2, payment 2.0.0`."""
    ends = [one["to"] for one in services if isinstance(one.get("to"), str)]
    if len(services) == 1:
        return "".join(map(label_of, ends))
    return ", ".join(f"{_name(one)} {label_of(one.get('to'))}" for one in services if ends)


def _name(one: Mapping[str, Any]) -> str:
    return title(one["service"], one.get("environment"))


def _list(texts: Iterable[str]) -> str:
    return some([*texts], _MOST_NAMED, "; ")


def _short(title: str) -> str:
    return one_line(title, _LONGEST_TITLE)
