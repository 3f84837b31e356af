import io.github.gitopsrollback.Outcome
import io.github.gitopsrollback.StepRun

/** Ends the hold that a rollback set; see gitopsRelease.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsRelease').check(params)
    return run.inFolder {
        Map outcome = run.run('release')
        Map result = new Outcome(run).expect(outcome)
        run.page.show(outcome.told)
        Map made = result.subMap(['commit', 'pullRequest', 'blocked']).findAll { it.value != null }
        if (!run.values.dryRun) {
            return made
        }
        return made + [shown: outcome.told.subMap(['question', 'change', 'about']), hold: outcome.told.hold, nothing: outcome.told.nothing]
    }
}
