package io.github.gitopsrollback

/**
 * The shell script that runs the command: one process in all.
 *
 * A Python that any python3 understands finds or unpacks the command, then becomes it. It is isolated (`-I`) from what else the
 * agent's Python was told to load, and leaves no PYTHONPATH for the processes it starts. An unpacked copy is used only if it is
 * whole and nobody else could have changed it; any other is unpacked anew.
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
''' + orders + copies + start + '''
'
'''
    }

    // The Python program in three parts: without single quotes and backslashes, it stands in the shell's quotes.
    private final String orders = '''import json, os, stat, sys

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
        yield os.path.realpath(own)
    elif os.environ.get("HOME"):
        yield os.path.realpath(os.path.join(os.environ["HOME"], ".cache", "gitops-rollback"))
    yield os.path.realpath(order["fallback"])
'''

    // Each archive is unpacked into a folder named by its sha256, with a list of its files and their sizes, written last.
    // A folder of somebody else, or that others may write to, is not ours to run; nor what a link leads to by the time it runs.
    private final String copies = '''
def ours(path):
    about = os.lstat(path)
    return stat.S_ISDIR(about.st_mode) and about.st_uid in (0, os.getuid()) and not about.st_mode & 0o022

def whole(folder):
    try:
        with open(os.path.join(folder, ".files")) as file:
            lines = file.read().splitlines()
        if not ours(folder) or lines[-1:] != ["whole"]:
            return False
        for line in lines[:-1]:
            size, name = line.split(" ", 1)
            about = os.lstat(os.path.join(folder, name))
            if not stat.S_ISREG(about.st_mode) or about.st_size != int(size):
                return False
    except (OSError, ValueError):
        return False
    return True

def prepare(home):
    mask = os.umask(0o077)
    os.makedirs(home, exist_ok=True)
    os.umask(mask)
    about = os.stat(home)
    if about.st_uid not in (0, os.getuid()):
        raise OSError(1, "it belongs to another user")
    if about.st_mode & 0o022:
        os.chmod(home, stat.S_IMODE(about.st_mode) & ~0o022)

def sweep(home, lock):
    import fcntl, shutil
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in os.listdir(home):
            if name.startswith(".unpacking-"):
                shutil.rmtree(os.path.join(home, name), ignore_errors=True)
    except OSError:
        pass
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        pass

def extract(archive, folder):
    import tarfile
    with tarfile.open(archive["file"]) as tar:
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        lines = ["%d %s" % (entry.size, entry.name) for entry in tar.getmembers()]
    with open(os.path.join(folder, ".files"), "w") as file:
        file.write("".join(line + chr(10) for line in lines + ["whole"]))
    os.chmod(folder, 0o700)

def put_aside(target):
    import shutil
    if os.path.islink(target) or os.path.isfile(target):
        os.unlink(target)
    elif os.path.exists(target):
        shutil.rmtree(target, ignore_errors=True)

def unpack(archive, home):
    import shutil, tempfile
    prepare(home)
    target = os.path.join(home, archive["sha256"])
    lock = os.open(home, os.O_RDONLY)
    fresh = None
    try:
        sweep(home, lock)
        fresh = tempfile.mkdtemp(prefix=".unpacking-", dir=home)
        extract(archive, fresh)
        if not whole(target):
            put_aside(target)
        os.rename(fresh, target)
    except OSError:
        if not whole(target):
            raise
    finally:
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)
        os.close(lock)
    return target
'''

    private final String start = '''
def found(archive):
    for home in homes():
        target = os.path.join(home, archive["sha256"])
        if whole(target) and ours(home):
            return target

def helper(archive):
    target = found(archive)
    if target:
        return target
    import hashlib
    with open(archive["file"], "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != archive["sha256"]:
            fail("the command reached this agent damaged", "run the build again; in a fork of the library: make helper")
    problems = []
    for home in homes():
        try:
            return unpack(archive, home)
        except OSError as problem:
            problems.append("%s: %s" % (home, problem.strerror or problem))
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
archives = order["archives"]
lacking = sum(archive["lacks"] for archive in archives if not os.path.exists(archive["file"]) and not found(archive))
if lacking:
    sys.exit(96 + lacking)
sys.path[:0] = [helper(archive) for archive in archives]
sys.argv[:] = ["gitops-rollback"] + arguments
import runpy
runpy.run_module("gitops_rollback", run_name="__main__", alter_sys=True)
'''

}
