package io.github.gitopsrollback

/**
 * One run of a step: its parameters, its own folder on the agent, the command with its credentials, and how it fails.
 *
 * Several may run at once in one build: each has a folder of its own, on the agent and among the artifacts, and changes its own
 * lines of the build's description only. What becomes of a command is told by `Outcome`.
 */
class StepRun implements Serializable {

    private static final long serialVersionUID = 1

    /** The step's script. */
    final Object script
    /** The step's name. */
    final String step
    /** What the build shows of this run. */
    final Page page
    /** What it leaves among the build's artifacts. */
    final Archive archive
    /** What the step was given, checked. */
    Map values = [:]
    /** This run's folder on the agent; what is archived lies below it. */
    String folder = ''
    /** Whether it makes a report where nobody says. */
    boolean makesReport = true

    private final Parameters parameters
    private int rounds = 0

    /**
     * @param script the step's script
     * @param step its name
     */
    StepRun(Object script, String step) {
        this.script = script
        this.step = step
        this.page = new Page(script)
        this.archive = new Archive(script, step)
        this.parameters = new Parameters(script, step)
    }

    /** Checks the step's parameters; what it takes and needs is in the table of steps. */
    StepRun check(Map params) {
        values = parameters.check(params)
        return this
    }

    /** Whether a setting holds: the step's own, else that of the job's environment, else not. */
    boolean holds(String key, String variable, boolean otherwise = false) {
        return new Settings(script).truth(values[key] == null ? variable : key, values[key], variable, otherwise)
    }

    /** Runs the body with a folder of its own, which is gone afterwards. */
    Map inFolder(Closure body) {
        folder = "${script.pwd(tmp: true)}/gitops-rollback-${UUID.randomUUID()}".toString()
        boolean isDone = false
        try {
            Map result = body()
            isDone = true
            return result
        } finally {
            cleanUp(isDone)
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
     * @return `[code: …]`, with `result` and what the build shows of it (`told`) if the command left one
     */
    @SuppressWarnings('CatchException')
    Map run(String command, Map<String, String> more = [:], List<String> without = []) {
        Map<String, String> options = parameters.options(values.findAll { !without.contains(it.key) }) + more
        String own = "${freshFolder()}/${page.place(values)}gitops-rollback".toString()
        String file = "${own}/${step}-result.json".toString()
        options.putAll(GITOPS_BY: new Who(script).name(values), GITOPS_STEP: step, GITOPS_TOLD: "${own}/${step}-told.json".toString())
        options.putAll(GITOPS_WAIT: '', GITOPS_AUTO_ROLLBACK: '')  // the step waits and undoes itself
        Map outcome = [code: 0, file: file, root: "${folder}/${rounds}".toString(), told: [:]]
        List<String> kinds = command == 'wait' ? ['git', 'kubeconfig'] : ['git', 'jenkins', 'dockerHub', 'registry']
        try {
            new Secrets(script).bind(values, kinds) {
                outcome.code = new Helper(script).run(command, options, folder, file, holds('useInstalled', 'GITOPS_USE_INSTALLED'))
            }
        } catch (Exception ended) {  // stopped, or Jenkins itself failed: the agent is lost, credentials are not there
            new Outcome(this).unfinished(command, ended, options.GITOPS_TOLD)
            throw ended
        }
        if (script.fileExists(file)) {
            outcome.result = script.readJSON(file: file, returnPojo: true)
        }
        if (script.fileExists(options.GITOPS_TOLD)) {
            outcome.told = script.readJSON(file: options.GITOPS_TOLD, returnPojo: true)
        }
        return outcome
    }

    /** Removes this run's folder; where the agent is lost with it, the build ends with what was wrong first. */
    @SuppressWarnings('CatchException')
    private void cleanUp(boolean isDone) {
        try {
            script.dir(folder) {
                script.deleteDir()
            }
        } catch (Exception unreachable) {
            if (isDone) {
                throw unreachable
            }
            script.echo("warning: ${folder} could not be removed: ${unreachable.message}")
        }
    }

    /**
     * Archives the page of `report` and links it; a page that cannot be made fails nothing.
     *
     * @param documents environment variables that name the results it shows
     */
    void report(Map<String, String> documents) {
        if (!holds('report', 'GITOPS_REPORT', makesReport)) {
            return
        }
        try {
            String pages = freshFolder()
            Map made = run('report', [GITOPS_REPORT_DIR: "${pages}/${page.place(values)}".toString()] + documents, ['plan'])
            if (made.code == 0 && archive.show(pages, '**/gitops-rollback/report/**')) {
                page.link('report', "${page.place(values)}gitops-rollback/report/report.html")
            }
        } catch (IOException problem) {  // an AbortException of a step is one too
            script.echo("warning: there is no report: ${problem.message}")
        }
    }

}
