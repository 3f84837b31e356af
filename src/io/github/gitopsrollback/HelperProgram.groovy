package io.github.gitopsrollback

/**
 * The shell script that runs the command: one process in all.
 *
 * A Python that any python3 understands finds or unpacks the command, then becomes it. It is isolated (`-I`) from what else the
 * agent's Python was told to load, and leaves no PYTHONPATH for the processes it starts.
 */
class HelperProgram implements Serializable {

    private static final long serialVersionUID = 1

    /** Returns the script; it has no value of a user in it. */
    String text() {
        return '''{ set +x; } 2>/dev/null
if ! command -v python3 >/dev/null 2>&1; then
  mkdir -p "${GITOPS_OUTPUT%/*}"
  printf '%s\\n' '{"schemaVersion": 1, "error": {"category": "config", "message": "this agent has no python3",' \\
    '"hint": "install python3 3.11 or newer on it; Debian: apt-get install python3; Alpine: apk add python3"}}' >"$GITOPS_OUTPUT"
  exit 96
fi
exec python3 -I -X utf8 -c '
import json, os, sys

order = json.loads(os.environ.pop("GITOPS_ORDER"))

def fail(message, hint):
    error = {"schemaVersion": 1, "error": {"category": "config", "message": message, "hint": hint}}
    os.makedirs(os.path.dirname(order["output"]), exist_ok=True)
    with open(order["output"], "w") as file:
        json.dump(error, file)
    sys.exit(96)

def homes():
    own = os.environ.get("GITOPS_HELPER_HOME")
    if own:
        yield own
    elif os.environ.get("HOME"):
        yield os.path.join(os.environ["HOME"], ".cache", "gitops-rollback")
    yield order["fallback"]

def unpack(home):
    import shutil, tarfile, tempfile
    target = os.path.join(home, order["sha256"])
    os.makedirs(home, exist_ok=True)
    fresh = tempfile.mkdtemp(prefix=".unpacking-", dir=home)
    try:
        with tarfile.open(order["archive"]) as archive:
            archive.extractall(fresh, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        os.chmod(fresh, 0o755)
        os.rename(fresh, target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not os.path.isdir(target):
            raise
    return target

def helper():
    for home in homes():
        target = os.path.join(home, order["sha256"])
        if os.path.isdir(target):
            return target
    if not os.path.exists(order["archive"]):
        sys.exit(97)
    import hashlib
    with open(order["archive"], "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != order["sha256"]:
            fail("the command reached this agent damaged", "run the build again; in a fork of the library: make helper")
    problems = []
    for home in homes():
        try:
            return unpack(home)
        except OSError as problem:
            problems.append("%s: %s" % (home, problem.strerror))
    fail("this agent has no place for the command: " + "; ".join(problems), "set GITOPS_HELPER_HOME to a folder it can write")

def installed():
    import shutil, subprocess
    path = shutil.which("gitops-rollback")
    if path:
        answer = subprocess.run([path, "--version"], stdout=subprocess.PIPE).stdout.decode().split()
        if answer[-1:] == [order["version"]]:
            os.execv(path, [path] + arguments)

if sys.version_info < (3, 11):
    fail(
        "the python3 of this agent is %d.%d, older than 3.11" % sys.version_info[:2],
        "install python3 3.11 or newer and put it first on PATH; Debian 12 and Ubuntu 24.04 have it",
    )
for name, value in order["options"].items():
    os.environ[name] = value.replace(chr(0), " ")
arguments = [order["command"], "--output", order["output"]]
os.makedirs(os.path.dirname(order["output"]), exist_ok=True)
if order["installed"]:
    installed()
sys.path.insert(0, helper())
sys.argv[:] = ["gitops-rollback"] + arguments
import runpy
runpy.run_module("gitops_rollback", run_name="__main__", alter_sys=True)
'
'''
    }

}
