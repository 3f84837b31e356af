import io.github.gitopsrollback.Deployment
import io.github.gitopsrollback.StepRun

/** Records and archives what runs, then puts a new image into the manifest; see gitopsDeploy.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsDeploy').check(params)
    run.makesReport = false
    return run.inFolder {
        new Deployment(run).deploy()
    }
}
