import io.github.gitopsrollback.Drill
import io.github.gitopsrollback.StepRun

/** Asks whether a rollback would work right now; see gitopsCheck.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsCheck').check(params)
    return run.inFolder {
        new Drill(run).check()
    }
}
