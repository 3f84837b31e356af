import io.github.gitopsrollback.Deployment
import io.github.gitopsrollback.Parameters
import io.github.gitopsrollback.StepRun

/** Records and archives what runs, then puts a new image into the manifest; see gitopsDeploy.txt. */
Map call(Map params = [:]) {
    List<String> own = ['image', 'images', 'skipBlocked', 'reason', 'release', 'allowOlder', 'accept', 'from', 'dryRun', 'keep',
                        'by', 'approvedBy', 'lock', 'report']
    own += ['autoRollback'] + new Parameters(this, 'gitopsDeploy').proposal() + new Parameters(this, 'gitopsDeploy').waiting()
    StepRun run = new StepRun(this, 'gitopsDeploy').check(params, own, ['service', 'image'])
    run.makesReport = false
    return run.inFolder {
        new Deployment(run).deploy()
    }
}
