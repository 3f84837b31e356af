package io.github.gitopsrollback

import groovy.json.JsonOutput

/**
 * Runs the command on the agent, which needs nothing but python3 and git.
 *
 * The command comes with the library as one archive; an agent unpacks it once for each content. An agent that has it
 * costs one `sh`; one that lacks it says so by exit code 97, gets the archive, and is asked again.
 */
class Helper implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final String resources = 'io/github/gitopsrollback/'
    private final int lacksArchive = 97

    /** @param script the step's script */
    Helper(Object script) {
        this.script = script
    }

    /**
     * Runs one command.
     *
     * Its options travel as JSON in ASCII, with `$` written as an escape: Jenkins expands `$NAME` in the values of a process's
     * environment by that same environment, which holds the credentials, and encodes them as the agent's locale can.
     *
     * @param command its name
     * @param options environment variables, by which it reads its options
     * @param folder a folder of this run, for the archive and as a last resort the unpacked command
     * @param output where it writes its result
     * @param useInstalled whether a `gitops-rollback` of the same version on the agent is to be used instead
     * @return its exit code
     */
    int run(String command, Map<String, String> options, String folder, String output, boolean useInstalled) {
        Map<String, String> properties = properties()
        Map<String, Object> order = [
            command: command, options: options, output: output, archive: "${folder}/helper.tar.gz".toString(),
            fallback: "${script.pwd(tmp: true)}/gitops-rollback-helper".toString(),
            sha256: properties.sha256, version: properties.version, installed: useInstalled,
        ]
        String json = JsonOutput.toJson(order).replace('$', '\\u0024')
        int code = lacksArchive
        script.withEnv(["GITOPS_ORDER=${json}", "GITOPS_OUTPUT=${output}"]) {
            code = shell(command)
            if (code == lacksArchive) {
                script.writeFile(
                    file: "${folder}/helper.tar.gz",
                    text: script.libraryResource(resource: "${resources}gitops-rollback.tar.gz", encoding: 'Base64'),
                    encoding: 'Base64',
                )
                code = shell(command)
            }
        }
        return code
    }

    private int shell(String command) {
        return script.sh(label: "gitops-rollback ${command}", script: program(), returnStatus: true)
    }

    private Map<String, String> properties() {
        Map<String, String> found = [:]
        for (line in script.libraryResource("${resources}helper.properties").tokenize('\n')) {
            List<String> parts = line.tokenize('=')
            found[parts[0].trim()] = parts[1].trim()
        }
        return found
    }

    /** One process in all: a Python that any python3 understands finds or unpacks the command, then becomes it. */
    private String program() {
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
