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
        Map<String, String> delivered = delivered()
        Map<String, Object> order = [
            command: command, options: options, output: output, archive: "${folder}/helper.tar.gz".toString(),
            fallback: "${script.pwd(tmp: true)}/gitops-rollback-helper".toString(),
            sha256: delivered.sha256, version: delivered.version, installed: useInstalled,
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
        return script.sh(label: "gitops-rollback ${command}", script: new HelperProgram().text(), returnStatus: true)
    }

    /** Version and sha256 of the archive that the library carries. */
    private Map<String, String> delivered() {
        Map<String, String> found = [:]
        for (line in script.libraryResource("${resources}helper.properties").tokenize('\n')) {
            List<String> parts = line.tokenize('=')
            found[parts[0].trim()] = parts[1].trim()
        }
        return found
    }

}
