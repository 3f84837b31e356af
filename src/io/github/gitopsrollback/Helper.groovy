package io.github.gitopsrollback

import groovy.json.JsonOutput

/**
 * Runs the command on the agent, which needs nothing but python3 and git.
 *
 * The command comes with the library as two archives, its own code and what that depends on; an agent unpacks each once for each
 * content. An agent that has both costs one `sh`; one that lacks some says which by its exit code, gets them, and is asked again.
 */
class Helper implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final String resources = 'io/github/gitopsrollback/'
    /** `lacks` is what the archive adds to the exit code of an agent that lacks it, `codes` are the codes that it is part of. */
    private final List<Map<String, Object>> archives = [
        [name: 'package', file: 'gitops-rollback.tar', lacks: 1, codes: [97, 99]],
        [name: 'dependencies', file: 'dependencies.tar.gz', lacks: 2, codes: [98, 99]],
    ]

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
        List<Map<String, Object>> wanted = archives.collect { archive ->
            [file: "${folder}/${archive.file}".toString(), sha256: delivered[archive.name], lacks: archive.lacks]
        }
        Map<String, Object> order = [
            command: command, options: options, output: output, archives: wanted, version: delivered.version,
            fallback: "${script.pwd(tmp: true)}/gitops-rollback-helper".toString(), installed: useInstalled,
        ]
        String json = JsonOutput.toJson(order).replace('$', '\\u0024')
        int code = 0
        script.withEnv(["GITOPS_ORDER=${json}", "GITOPS_OUTPUT=${output}"]) {
            code = shell(command)
            if (code > 96 && code < 100) {
                bring(code, folder)
                code = shell(command)
            }
        }
        return code
    }

    /** The version of the command that the library carries. */
    String version() {
        return delivered().version
    }

    /** Writes the archives that the agent lacks into a folder of this run. */
    private void bring(int code, String folder) {
        for (archive in archives) {
            if (archive.codes.contains(code)) {
                script.writeFile(
                    file: "${folder}/${archive.file}",
                    text: script.libraryResource(resource: "${resources}${archive.file}", encoding: 'Base64'),
                    encoding: 'Base64',
                )
            }
        }
    }

    private int shell(String command) {
        return script.sh(label: "gitops-rollback ${command}", script: new HelperProgram().text(), returnStatus: true)
    }

    /** Version of the command, and sha256 of each archive, that the library carries. */
    private Map<String, String> delivered() {
        Map<String, String> found = [:]
        for (line in script.libraryResource("${resources}helper.properties").tokenize('\n')) {
            List<String> parts = line.tokenize('=')
            found[parts[0].trim()] = parts[1].trim()
        }
        return found
    }

}
