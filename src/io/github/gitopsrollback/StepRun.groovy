package io.github.gitopsrollback

/**
 * One run of a step: its parameters, its own folder on the agent, the command with its credentials, and how it fails.
 *
 * A failure is one line made of the result's message and hint; the whole result is archived beside it.
 */
class StepRun implements Serializable {

    private static final long serialVersionUID = 1

    /** The step's script. */
    final Object script
    /** The step's name. */
    final String step
    /** What the step was given, checked. */
    Map values = [:]
    /** This run's folder on the agent; what is archived lies below it. */
    String folder = ''
    /** Whether it makes a report where nobody says. */
    boolean makesReport = true

    private int rounds = 0

    /**
     * @param script the step's script
     * @param step its name
     */
    StepRun(Object script, String step) {
        this.script = script
        this.step = step
    }

    /**
     * Checks the step's parameters.
     *
     * @param params what it was called with
     * @param own the keys it takes beside the common ones
     * @param required the keys it cannot do without
     */
    StepRun check(Map params, List<String> own, List<String> required) {
        Parameters parameters = new Parameters(script, step)
        values = parameters.check(params, parameters.common() + own, required)
        return this
    }

    /** Runs the body with a folder of its own, which is gone afterwards. */
    Map inFolder(Closure body) {
        folder = "${script.pwd(tmp: true)}/gitops-rollback-${UUID.randomUUID()}".toString()
        try {
            return body()
        } finally {
            script.dir(folder) {
                script.deleteDir()
            }
        }
    }

    /** A folder that no earlier command of this run wrote to. */
    String freshFolder() {
        rounds = rounds + 1
        return "${folder}/${rounds}".toString()
    }

    /**
     * Runs a command.
     *
     * @param command its name
     * @param more environment variables beside the step's own options
     * @param without names of the step's own options that are not this command's
     * @return `[code: …]`, with `result` if the command left one
     */
    Map run(String command, Map<String, String> more = [:], List<String> without = []) {
        Parameters parameters = new Parameters(script, step)
        Map<String, String> options = parameters.options(values.findAll { !without.contains(it.key) }) + more
        options.GITOPS_BY = new Who(script).name(values)
        String file = "${freshFolder()}/gitops-rollback/${step}-result.json".toString()
        boolean installed = "${values.useInstalled ?: script.env.GITOPS_USE_INSTALLED}" == 'true'
        int code = 0
        List<String> kinds = command == 'wait' ? ['git', 'kubeconfig'] : ['git', 'jenkins', 'dockerHub', 'registry']
        new Secrets(script).bind(values, kinds) {
            code = new Helper(script).run(command, options, folder, file, installed)
        }
        Map outcome = [code: code, file: file]
        if (script.fileExists(file)) {
            outcome.result = script.readJSON(file: file, returnPojo: true)
        }
        return outcome
    }

    /** Returns the result of a command that has done what it should; fails the build if it has not. */
    Map expect(Map outcome) {
        if (outcome.code != 0 || outcome.result == null) {
            fail(outcome)
        }
        if (outcome.result.blocked) {
            List<String> left = outcome.result.blocked.collect { "${it.service} (${it.code})".toString() }
            script.unstable("${step}: left as they are: ${left.join(', ')}")
        }
        return outcome.result
    }

    /** Ends the build with one line; the result is archived in full. */
    void fail(Map outcome) {
        Map error = outcome.result?.error
        if (outcome.result != null) {
            script.catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS', catchInterruptions: false) {
                archive(outcome.file - "/gitops-rollback/${step}-result.json", 'gitops-rollback/*-result.json')
            }
        }
        if (outcome.result?.services) {
            report([GITOPS_RESULT: outcome.file])
        }
        if (error == null) {
            script.error("${step}: the command ended with exit code ${outcome.code} and left no result; what it said is above" +
                ' (run the step again: what is done already is not done twice)')
        }
        String start = outcome.code == 130 ? "${step}: interrupted: " : "${step}: "
        String hint = error.hint ? " (${new Report(script).hint(error.hint)})" : ''
        script.error("${start}${error.message}${hint}".replaceAll('\\s*[\\r\\n]+\\s*', ' '))
    }

    /**
     * Archives the page of `report` and links it; a page that cannot be made fails nothing.
     *
     * @param documents environment variables that name the results it shows
     */
    void report(Map<String, String> documents) {
        Object configured = script.env.GITOPS_REPORT ?: makesReport
        if ("${values.report == null ? configured : values.report}" != 'true') {
            return
        }
        script.catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS', catchInterruptions: false) {
            String pages = freshFolder()
            Map made = run('report', [GITOPS_REPORT_DIR: pages] + documents, ['plan'])
            if (made.code == 0) {
                archive(pages, 'gitops-rollback/report/**')
                new Report(script).link()
            }
        }
    }

    /** Archives the files of a pattern under their paths below a folder; `mayLack`: there may be none. */
    void archive(String root, String pattern, boolean mayLack = false) {
        script.dir(root) {
            script.archiveArtifacts(artifacts: pattern, allowEmptyArchive: mayLack)
        }
    }

}
