import io.github.gitopsrollback.Outcome
import io.github.gitopsrollback.StepRun

/** Finds the image that a rollback would go back to, and says why; see gitopsFindPreviousImage.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsFindPreviousImage').check(params)
    return run.inFolder {
        Map outcome = run.run('plan')
        Outcome ended = new Outcome(run)
        Map plan = ended.expect(outcome)
        run.archive.show(outcome.root, '**/*-result.json')
        run.page.show(outcome.told)
        if (run.values.failBlocked) {
            ended.refuseBlocked(outcome)
        }
        run.report([GITOPS_PLAN: outcome.file])
        return plan + [shown: outcome.told.subMap(['question', 'change', 'about']) + [place: run.page.place(run.values)]]
    }
}
