import io.github.gitopsrollback.Rollback
import io.github.gitopsrollback.StepRun

/** Puts the previous image back, or the one of a plan, and holds it there; see gitopsRollback.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsRollback').check(params)
    return run.inFolder {
        new Rollback(run).rollBack()
    }
}
