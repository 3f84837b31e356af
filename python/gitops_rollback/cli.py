"""The command: choose a subcommand, run it, turn what happens into an exit code and a result."""

from __future__ import annotations

import gc
import os
import sys

from gitops_rollback import __version__

TYPE_CHECKING = False  # what typing's stands for, without the import: it is a third of `--version`
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping
    from types import FrameType

    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.tell.output import Output

# How many objects more are made before garbage is looked for, and how often among older ones. A run
# is short and keeps what it has read: of proving 2,000 files two fifths of the CPU went into that.
_SELDOM = (200_000, 50, 50)
_AT_ONCE = 0.01  # seconds: after what now runs has come to its end
_AGAIN = "run the same command again: it is safe"
# Each is a module of `commands`, imported only when it is asked for.
COMMANDS = {
    "record": "archive the image and the manifests that are about to be replaced",
    "deploy": "put a new image into the manifest: one commit, pushed",
    "plan": "choose the image to go back to and explain it; change nothing",
    "rollback": "put the image to go back to into the manifest, and hold it",
    "release": "lift a hold and restore the Flux markers",
    "history": "list what was deployed and rolled back, and what proves it",
    "stats": "tell how often is deployed, how much of it fails, how fast it is taken back",
    "report": "make a page to archive: plan, difference, timeline, timings",
    "check": "would a rollback work right now? (the drill); --storage: volumes and claims",
    "wait": "wait until Flux has applied a change and the pods run its image",
    "services": "list the services that are configured or discovered",
    "jobs": "create or update the Jenkins jobs (jobs install)",
    "completion": "print what lets bash, zsh or fish complete commands and options",
    "fields": "list the image fields of local files; prove that each can be edited and undone",
}
# What kubectl, helm, flux and gh call some of them.
_ELSEWHERE = {
    "undo": "rollback", "revert": "rollback", "diff": "plan", "preview": "plan",
    "list": "services", "ls": "services", "get": "services", "status": "history or wait",
    "log": "history", "logs": "history", "resume": "release", "unlock": "release",
    "set": "deploy", "update": "deploy", "version": "--version",
}  # fmt: skip


class Meant:
    """Where the result of a run goes: as far as that is known, also where the run fails."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.options: Namespace | None = None

    @property
    def output(self) -> Output:
        """What the options say, else what the arguments looked like."""
        found: Output = getattr(self.options, "output", self._output)
        return found

    @output.setter
    def output(self, output: Output) -> None:
        self._output = output


def main() -> None:
    """Run the command with the process's arguments and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"gitops-rollback {__version__}\n")
        raise SystemExit(0)
    import signal  # noqa: PLC0415 - not for --version

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it is caught: nothing is begun
    gc.set_threshold(*_SELDOM)
    _leave_no_memory()
    code = run(arguments, os.environ)
    if "GITOPS_TOLD" in os.environ:
        _tell_build(_split(arguments)[1] or "", code)
    from gitops_rollback.outlet import leave  # noqa: PLC0415 - not for --version

    leave(code)


def _leave_no_memory() -> None:
    """Let no crash, of this program or of a git that it starts, write its memory to a file.

    Passwords stand in it.
    """
    import resource  # noqa: PLC0415 - not for --version

    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run the command and return its exit code; nothing but bugs escapes as a traceback.

    What it prints goes through `outlet`: known secrets, and what a terminal would obey, do not.
    """
    from gitops_rollback import outlet, redaction  # noqa: PLC0415 - not for --version

    redaction.forget()
    redaction.know_environment(environment)
    redaction.know_arguments(arguments)
    with outlet.opened() as streams:
        return streams.counted(_run(arguments, environment))


def _run(arguments: list[str], environment: Mapping[str, str]) -> int:
    from gitops_rollback.alarm import has_rung  # noqa: PLC0415 - not for --version
    from gitops_rollback.errors import (  # noqa: PLC0415 - the same
        GitopsRollbackError,
        Interrupted,
        InterruptedRunError,
        OutOfTime,
    )
    from gitops_rollback.tell.output import Output  # noqa: PLC0415 - the same

    has_heard = _catch_signals()
    meant = Meant(Output())
    try:
        meant.output = _output_of(arguments, environment)
        return _dispatch(arguments, environment, meant)
    except GitopsRollbackError as error:
        return _fail(error, meant.output)
    except (Interrupted, KeyboardInterrupt):
        what = "before anything was pushed: the branch is as it was"
        if _split(arguments)[1] == "wait":  # which pushes nothing: a change was pushed before it
            what = "while waiting: what was pushed stays pushed, whether anybody looks or not"
        return _fail(InterruptedRunError(f"interrupted {what}", _AGAIN), meant.output)
    except (OutOfTime, MemoryError) as error:
        return _fail(_resource(error), meant.output)
    except Exception as error:  # noqa: BLE001 - the last resort, which names itself a bug
        # Of what a signal or the timer raises, C code can make an error of its own.
        if has_heard():
            what = "interrupted; what was pushed before, if anything, is told above"
            return _fail(InterruptedRunError(what, _AGAIN), meant.output)
        return _fail(_resource(OutOfTime()) if has_rung() else _unexpected(error), meant.output)


def _tell_build(command: str, code: int) -> None:
    """Leave what a build of Jenkins shows, for the step that runs this command."""
    from gitops_rollback.tell.jenkins import write_told  # noqa: PLC0415 - for steps alone
    from gitops_rollback.tell.terminal import say  # noqa: PLC0415 - the same

    try:
        write_told(command, code, os.environ)
    except OSError as error:
        say(f"warning: the build's title cannot be written: {error}")


def _dispatch(arguments: list[str], environment: Mapping[str, str], meant: Meant) -> int:
    from importlib import import_module  # noqa: PLC0415 - not for --version

    from gitops_rollback.alarm import bounded  # noqa: PLC0415 - the same
    from gitops_rollback.parsing import parse, truth  # noqa: PLC0415 - the same

    verbose, name, rest = _split(arguments)
    if name == "help" and rest:
        name, rest = rest[0], [*rest[1:], "--help"]
    if name is None or name in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0 if name is not None else 2
    if name not in COMMANDS:
        raise _unknown_command(name)
    _log(everything=truth("verbose", environment) or verbose)
    place = f"gitops_rollback.commands.{name}"
    if "-h" in rest or "--help" in rest:
        from gitops_rollback.tell.help import doc_of, help_of  # noqa: PLC0415 - only where asked for

        sys.stdout.write(help_of(name, doc_of(place), is_whole="--all" in rest))
        return 0
    options = parse(name, rest, environment)
    meant.options = options
    if getattr(options, "verbose", False):  # behind the command, where most type it
        _log(everything=True)
    from gitops_rollback.session import ahead  # noqa: PLC0415 - not for --help

    with bounded(_longest(options)), ahead(name, options, environment):
        return int(import_module(place).run(options, environment))


def _longest(options: Namespace) -> float:
    """Return how long a run may compute, in seconds: `--timeout`, and what it may wait besides."""
    waits = getattr(options, "wait", True)  # `wait` itself has no such option
    more = getattr(options, "wait_timeout", None) if waits else None
    return float(getattr(options, "timeout", None) or 0) + float(more or 0)


def help_text() -> str:
    """Return what `gitops-rollback --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()]
    return (
        "usage: gitops-rollback [-v] COMMAND [options]\n\n"
        "Put the previous image back: archive, deploy and roll back images in a GitOps\n"
        "repository.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\n"
        "options:\n"
        "  -v, --verbose  show each git call and each wait\n"
        "  --version      print the version\n\n"
        "gitops-rollback COMMAND --help tells the options of a command that one needs first, with\n"
        "--all every one. Every option --x-y can also be set as GITOPS_X_Y.\n"
    )


def _split(arguments: list[str]) -> tuple[bool, str | None, list[str]]:
    rest = list(arguments)
    verbose = False
    while rest and rest[0] in ("-v", "--verbose"):
        verbose = True
        rest.pop(0)
    if not rest:
        return verbose, None, []
    return verbose, rest[0], rest[1:]


def _output_of(arguments: list[str], environment: Mapping[str, str]) -> Output:
    """Find `--output` before options are parsed, so that an error in them reaches it too."""
    from gitops_rollback.late import replace  # noqa: PLC0415 - not for --version
    from gitops_rollback.tell.output import read_output  # noqa: PLC0415 - the same

    given = []
    for index, argument in enumerate(arguments):
        if argument.startswith("--output="):
            given.append(argument.partition("=")[2])
        elif argument.startswith("-o") and argument != "-o":
            given.append(argument.removeprefix("-o").removeprefix("="))
        elif argument in ("--output", "-o") and index + 1 < len(arguments):
            given.append(arguments[index + 1])
    command = _split(arguments)[1] or ""
    return replace(read_output(given, environment.get("GITOPS_OUTPUT")), command=command)


def _fail(error: GitopsRollbackError, output: Output) -> int:
    from gitops_rollback.errors import UsageError  # noqa: PLC0415 - only for errors
    from gitops_rollback.refusals import Place, place_of  # noqa: PLC0415 - the same
    from gitops_rollback.tell.output import error_to_json, write_result  # noqa: PLC0415 - the same
    from gitops_rollback.tell.terminal import say  # noqa: PLC0415 - the same

    if place_of(os.environ) is Place.JENKINS:
        from gitops_rollback.tell.jenkins import in_words_of_jenkins  # noqa: PLC0415 - there alone

        error.hint = error.jenkins_hint or in_words_of_jenkins(error.hint)
        error.message = in_words_of_jenkins(error.message)
    say(f"error: {error.message}", f"hint: {error.hint}")
    try:
        write_result(error_to_json(error), output)
    except UsageError as again:
        say(f"error: {again}")
    return error.exit_code


def _unexpected(error: Exception) -> GitopsRollbackError:
    """Return what is told of an error that nobody foresaw: the machine's affair, else a bug."""
    if isinstance(error, OSError) and _is_of_machine(error):
        return _resource(error)
    if str(error) == "can't start new thread":  # of RuntimeError, where memory or processes end
        return _resource(OSError(error))
    import traceback  # noqa: PLC0415 - only for bugs

    from gitops_rollback.errors import BugError  # noqa: PLC0415 - the same

    sys.stderr.write("".join(traceback.format_exception(error)))
    return BugError(
        f"gitops-rollback {__version__} has a bug: {type(error).__name__}: {error}",
        "please report it with the lines above",
    )


def _is_of_machine(error: OSError) -> bool:
    """Tell whether a machine or a network refuses so, and not a program that asks for nonsense.

    What is wrong with a file that was named has been said where it is read.
    """
    import errno  # noqa: PLC0415 - only for errors

    names = (
        "ENOSPC EDQUOT EFBIG EROFS EIO ESTALE EACCES EPERM EBUSY EMFILE ENFILE ENOMEM EAGAIN "
        "ENOBUFS ELOOP ENAMETOOLONG EPIPE ENETDOWN ENETUNREACH EHOSTUNREACH EHOSTDOWN"
    )
    known = {getattr(errno, name) for name in names.split()}
    return isinstance(error, ConnectionError | TimeoutError) or error.errno in known


def _resource(error: BaseException) -> GitopsRollbackError:
    import time  # noqa: PLC0415 - only for errors

    from gitops_rollback.errors import OutOfTime, ResourceError  # noqa: PLC0415 - the same

    if isinstance(error, OSError):
        import logging  # noqa: PLC0415 - only for errors

        logging.getLogger("gitops_rollback").debug("this machine refused", exc_info=error)
        return ResourceError(
            f"this machine refused what was asked of it: {error}; what was pushed before, if "
            "anything, is told above",
            "look at that file, at the disk, at the memory and at the rights of this account",
        )
    if isinstance(error, MemoryError):
        return ResourceError(
            "there was not enough memory; what was pushed before, if anything, is told above",
            "look at the size of what is read (-v shows it), and at the machine",
        )
    if isinstance(error, OutOfTime) and error.told is not None:
        return error.told
    return ResourceError(
        f"the run took longer than --timeout allows, and computed for {time.process_time():.1f} s: "
        "a query, a pattern, a file of the repository or a list of tags makes endless work, or"
        " others or this machine are slow; the branch is as it was",
        "look at --query, at what changed in the repository and at what the registry has, or give a"
        " longer --timeout",
    )


def _unknown_command(name: str) -> GitopsRollbackError:
    from gitops_rollback.errors import UsageError, nearest_hint  # noqa: PLC0415 - only for errors

    if name.startswith("-"):
        return UsageError(
            f"'{name}' stands before the command",
            f"write it behind: gitops-rollback COMMAND {name} …",
        )
    meant = f"did you mean {_ELSEWHERE[name]}?" if name in _ELSEWHERE else ""
    return UsageError(
        f"there is no command '{name}'",
        meant or nearest_hint(name, COMMANDS) or "see gitops-rollback --help",
    )


def _log(*, everything: bool) -> None:
    import logging  # noqa: PLC0415 - not for --version

    from gitops_rollback.outlet import OneLine  # noqa: PLC0415 - the same

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    log = logging.getLogger("gitops_rollback")
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if everything else logging.WARNING)


def _catch_signals() -> Callable[[], bool]:
    """Let a signal end the run wherever it arrives; return what tells whether one did."""
    import signal  # noqa: PLC0415 - not for --version

    from gitops_rollback import alarm  # noqa: PLC0415 - the same
    from gitops_rollback.errors import Interrupted, OutOfTime  # noqa: PLC0415 - the same

    # A hangup is the end of the session; `nohup` has it ignored.
    is_heard = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    ends = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if is_heard else []))

    heard: list[int] = []

    def interrupt(received: int, _frame: FrameType | None) -> None:
        heard.append(received)
        for number in ends:
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    usual = sys.unraisablehook

    def raise_again(dropped: sys.UnraisableHookArgs) -> None:
        """Repeat what was raised in a callback of the interpreter, which drops it and goes on."""
        if dropped.exc_type is OutOfTime:
            alarm.ring_again()
            return
        if heard and dropped.exc_type is OSError and dropped.object is None:
            return  # "ignored due to race condition": a signal that came together with the first
        if dropped.exc_type is not Interrupted:
            usual(dropped)
            return
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, _AT_ONCE)

    for number in ends:
        signal.signal(number, interrupt)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, no process is waited for
    sys.unraisablehook = raise_again
    return lambda: bool(heard)
