import io.github.gitopsrollback.Job
import io.github.gitopsrollback.StepRun

/** Begins a ready-made job: checks its version, its parameters and its settings; see gitopsJob.txt. */
Map call(Map params = [:]) {
    return new Job(new StepRun(this, 'gitopsJob').check(params)).begin()
}
