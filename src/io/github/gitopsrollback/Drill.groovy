package io.github.gitopsrollback

/** The drill: would a rollback work right now? The build fails if it would not, and is unstable with warnings. */
class Drill implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int warnings = 8

    /** @param run the step's run */
    Drill(StepRun run) {
        this.run = run
    }

    /** Checks; returns `{verdict, findings}`. */
    Map check() {
        String folder = run.freshFolder()
        Map outcome = run.run('check', [GITOPS_REPORT_DIR: "${folder}/${run.page.place(run.values)}".toString()])
        if (outcome.told.title) {
            run.page.show(outcome.told)
        }
        String page = "${run.page.place(run.values)}gitops-rollback/report/report.html"
        if (run.script.fileExists("${folder}/${page}") && run.archive.show(folder, '**/gitops-rollback/report/**')) {
            run.page.link('report', page)
        }
        if (outcome.code != warnings) {
            new Outcome(run).expect(outcome)
            return outcome.result.subMap(['verdict', 'findings'])
        }
        List<String> texts = []
        for (found in outcome.result.findings) {
            if (found.level == 'warning') {
                texts << "${found.check} ${found.subject}: ${found.message}".toString()
            }
        }
        run.script.unstable("${run.step}: ${outcome.result.summary}: ${texts.join('; ')}")
        return outcome.result.subMap(['verdict', 'findings'])
    }

}
