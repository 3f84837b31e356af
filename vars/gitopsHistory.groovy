import io.github.gitopsrollback.Outcome
import io.github.gitopsrollback.StepRun

/** Lists what was deployed and rolled back, newest first; see gitopsHistory.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsHistory').check(params)
    return run.inFolder {
        Map outcome = run.run('history')
        Map history = new Outcome(run).expect(outcome)
        run.page.show(outcome.told)
        run.archive.show(outcome.root, '**/*-result.json')
        return history
    }
}
